from __future__ import annotations

from tests.recipes.pages import run_block

run_block("wagtail", "class ButtonOrdersMenuItem", globals())
run_block("wagtail", "class OrderViewSet", globals())
