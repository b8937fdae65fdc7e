"""How the reporting goes, in figures, by the database's clock."""

from __future__ import annotations
