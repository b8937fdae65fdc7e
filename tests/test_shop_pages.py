"""The how-to pages on what a shop reports say the same as the code."""

from __future__ import annotations

import re
from pathlib import Path

from django.test import SimpleTestCase

from django_button_orders import OrderAdapter
from django_button_orders.beat import RECONCILE
from django_button_orders.conf import PROCESS_KEYS, Settings
from django_button_orders.delivery.verdicts import Result
from django_button_orders.sandbox.store import Window

HOWTO = Path(__file__).resolve().parent.parent / "docs" / "howto"


def section(page: str, title: str) -> str:
    """Return the section of a page with a title."""
    text = (HOWTO / f"{page}.rst").read_text()
    rest = text.split(f"\n{title}\n{'=' * len(title)}\n", 1)[1]
    return re.split(r"\n[^\n]+\n={3,}\n", rest)[0]


def first_cells(text: str) -> set[str]:
    """Return the names in the first column of a table, without its head."""
    return set(re.findall(r"\* - ``(\w+)``", text))


class ShopPageTests(SimpleTestCase):
    def test_hooks(self):
        hooks = {name for name in vars(OrderAdapter) if not name.startswith("_")}
        attributes = {"date_field", "watch", "name"}

        assert first_cells(section("adapter", "The hooks")) == hooks - attributes

    def test_settings_that_cannot_differ(self):
        text = section("accounts", "Settings that cannot differ")

        assert set(re.findall(r"``([A-Z_]+)``", text)) == PROCESS_KEYS

    def test_outcomes(self):
        # No call was made, because the worker's time was up: no test of a shop sees it.
        expected = {result.value for result in Result} - {Result.RELEASE.value}

        assert first_cells(section("test-your-adapter", "What report() returns")) == (
            expected
        )

    def test_numbers(self):
        limits = section("test-your-adapter", "Limits")
        unseen = section("bulk-changes", "Changes that you must mark")

        assert Window().days == 7
        assert "seven days" in limits
        assert f"by default {Settings().reconcile_days} days" in unseen
        assert f"Every {RECONCILE.seconds // 60} minutes" in unseen
