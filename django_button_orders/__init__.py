"""Report a Django shop's orders to Button, and every change of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_button_orders.beat import beat_schedule as beat_schedule
    from django_button_orders.middleware import aget_btn_ref as aget_btn_ref
    from django_button_orders.middleware import get_btn_ref as get_btn_ref
    from django_button_orders.operations.erase import erase as erase
    from django_button_orders.outbox.adapters import OrderAdapter as OrderAdapter
    from django_button_orders.outbox.adapters import register as register
    from django_button_orders.outbox.marking import mark_changed as mark_changed
    from django_button_orders.outbox.receivers import (
        suppress_reporting as suppress_reporting,
    )
    from django_button_orders.outbox.tokens import set_btn_ref as set_btn_ref
    from django_button_orders.report.lines import spread as spread
    from django_button_orders.report.money import net_of as net_of
    from django_button_orders.report.money import to_minor_units as to_minor_units
    from django_button_orders.report.objects import Customer as Customer
    from django_button_orders.report.objects import LineItem as LineItem
    from django_button_orders.report.objects import OrderReport as OrderReport
    from django_button_orders.report.objects import hash_email as hash_email

__version__ = "0.1.0"

# The public names, and the modules that have them. A module is imported when a name
# is first used, because a settings file imports this package for beat_schedule(),
# long before models may be imported.
_HOME = {
    "Customer": "report.objects",
    "LineItem": "report.objects",
    "OrderAdapter": "outbox.adapters",
    "OrderReport": "report.objects",
    "aget_btn_ref": "middleware",
    "beat_schedule": "beat",
    "erase": "operations.erase",
    "get_btn_ref": "middleware",
    "hash_email": "report.objects",
    "mark_changed": "outbox.marking",
    "net_of": "report.money",
    "register": "outbox.adapters",
    "set_btn_ref": "outbox.tokens",
    "spread": "report.lines",
    "suppress_reporting": "outbox.receivers",
    "to_minor_units": "report.money",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
