from __future__ import annotations

from tests.recipes.pages import run_block

run_block("databases", "class OrdersRouter", globals())
