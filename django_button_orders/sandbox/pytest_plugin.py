"""
The pytest fixture ``button_sandbox``, for the tests of a shop.

Each run of pytest imports this module if the package is installed, so the imports
stand inside the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_button_orders.sandbox import Sandbox


@pytest.fixture
def button_sandbox() -> Iterator[Sandbox]:
    """Start a local Button and point ``BUTTON_ORDERS`` to it during a test."""
    from django.conf import settings
    from django.test import override_settings

    from django_button_orders.sandbox import Sandbox

    with Sandbox() as sandbox:
        sandboxed = {"BASE_URL": sandbox.url, "API_KEY": sandbox.api_key}
        button_orders = {**getattr(settings, "BUTTON_ORDERS", {}), **sandboxed}
        # An account with its own BASE_URL would call the real Button.
        if accounts := button_orders.get("ACCOUNTS"):
            button_orders["ACCOUNTS"] = {
                name: {**values, **sandboxed} for name, values in accounts.items()
            }
        with override_settings(BUTTON_ORDERS=button_orders):
            yield sandbox
