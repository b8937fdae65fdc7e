"""
A local Button, for demos and tests.

It stands apart: it checks what it receives with rules of its own, written from
Button's public pages, and shares no code with the app that it checks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_button_orders.sandbox.server import Sandbox as Sandbox
    from django_button_orders.sandbox.wire import ReceivedRequest as ReceivedRequest

# Loaded when first asked for: every run of pytest imports this package, for
# its plugin, and few need a server.
_HOME = {"ReceivedRequest": "wire", "Sandbox": "server"}

__all__ = ["ReceivedRequest", "Sandbox"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
