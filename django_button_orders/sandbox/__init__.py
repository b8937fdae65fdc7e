"""
A strict local Button, for demos and tests.

Read ``wire`` (requests and answers), ``rules`` (which orders Button accepts),
``store`` (the orders), ``api`` (what each path does), ``misbehaviour`` (planned
failures), ``fake_button`` (all of these together), ``control`` and ``page`` (the
sandbox's own URLs), ``handler`` (HTTP) and ``server`` (``Sandbox``), in this order.
``pytest_plugin`` is where the fixture for a shop's tests was.
The rules are written from Button's public pages. The sandbox shares no code with the
rest of the package, so that one mistake cannot hide in both.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_button_orders.sandbox.server import Sandbox as Sandbox
    from django_button_orders.sandbox.wire import ReceivedRequest as ReceivedRequest

# Some environments import this package at each run of pytest, for the plugin that was
# here, and few runs need a server. So the modules are imported when one of their names
# is first used.
_HOME = {"ReceivedRequest": "wire", "Sandbox": "server"}

__all__ = ["ReceivedRequest", "Sandbox"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
