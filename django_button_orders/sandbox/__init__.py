"""
A local Button, for demos and tests.

It stands apart: it checks what it receives with rules of its own, written from
Button's public pages, and shares no code with the app that it checks.
"""

from __future__ import annotations

from django_button_orders.sandbox.server import Sandbox
from django_button_orders.sandbox.store import ReceivedRequest

__all__ = ["ReceivedRequest", "Sandbox"]
