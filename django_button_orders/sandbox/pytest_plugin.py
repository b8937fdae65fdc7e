"""
A fixture for the tests of a shop.

Loaded by every run of pytest where the app is installed, so it imports next to
nothing before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_button_orders.sandbox import Sandbox


@pytest.fixture
def button_sandbox() -> Iterator[Sandbox]:
    """A local Button that ``BUTTON_ORDERS`` points to for the time of a test."""
    from django.conf import settings
    from django.test import override_settings

    from django_button_orders.sandbox import Sandbox

    with Sandbox() as sandbox:
        there = {"BASE_URL": sandbox.url, "API_KEY": sandbox.api_key}
        button_orders = {**getattr(settings, "BUTTON_ORDERS", {}), **there}
        # Accounts with a key or a host of their own would reach the real Button.
        if accounts := button_orders.get("ACCOUNTS"):
            button_orders["ACCOUNTS"] = {
                name: {**values, **there} for name, values in accounts.items()
            }
        with override_settings(BUTTON_ORDERS=button_orders):
            yield sandbox
