"""Where the fixture was: environments keep this name until the next installation."""

from __future__ import annotations

from django_button_orders.pytest_plugin import button_sandbox

__all__ = ["button_sandbox"]
