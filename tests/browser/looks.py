"""Check the accessibility of a page with axe-core."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# Violations in Django's own HTML, by rule and selector, which the tests ignore.
DJANGOS_OWN = (
    # The search field's label is an image with an alternative text.
    ("label-title-only", "#changelist-search #searchbar"),
    # "1 result (Show all)"
    ("link-in-text-block", "#changelist-search a"),
    ("link-in-text-block", ".breadcrumbs a"),
    # A date and a time share one label.
    ("label", ".vDateField, .vTimeField"),
    # The labels of a TabularInline's fields are the headings of its columns.
    ("label", ".tabular.inline-related td input"),
    ("select-name", ".tabular.inline-related td select"),
    ("empty-table-header", ".tabular.inline-related th.original"),
)


def violations(page: Page) -> list[str]:
    """Return the violations that axe-core finds on a page, one for each element."""
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
