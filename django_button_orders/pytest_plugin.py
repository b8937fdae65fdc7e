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
    from django_button_orders.testing import ButtonSandbox


@pytest.fixture
def button_sandbox() -> Iterator[ButtonSandbox]:
    """Start a sandbox, and use it in place of Button during a test."""
    from django_button_orders.testing import run_sandbox

    with run_sandbox() as sandbox:
        yield sandbox
