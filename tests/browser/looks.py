"""What is wrong with a page for those who cannot see it as it was drawn."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Faults of Django's own markup, by rule and element. There are no others.
DJANGOS_OWN = (
    # The label of the search field is a magnifying glass with alternative text.
    ("label-title-only", "#changelist-search #searchbar"),
    # "1 result (Show all)"
    ("link-in-text-block", "#changelist-search a"),
    ("link-in-text-block", ".breadcrumbs a"),
    # Date and time, under one heading for both.
    ("label", ".vDateField, .vTimeField"),
    # The fields of a TabularInline, whose labels are the heads of columns.
    ("label", ".tabular.inline-related td input"),
    ("select-name", ".tabular.inline-related td select"),
    ("empty-table-header", ".tabular.inline-related th.original"),
)


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with a page, a line for each element."""
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {rule['id']} ({rule['help']}): {node['html']}"
        for rule in found
        for node in rule["nodes"]
        if not is_djangos(page, rule["id"], node)
    ]


def is_djangos(page: Page, rule: str, node: dict[str, Any]) -> bool:
    element = page.locator(node["target"][0])
    return any(
        element.evaluate("(element, selector) => element.matches(selector)", selector)
        for known, selector in DJANGOS_OWN
        if known == rule
    )
