"""Report a Django shop's orders to Button, and every change of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_button_orders.adapters import OrderAdapter as OrderAdapter
    from django_button_orders.adapters import register as register
    from django_button_orders.beat import beat_schedule as beat_schedule
    from django_button_orders.middleware import get_btn_ref as get_btn_ref
    from django_button_orders.money import to_minor_units as to_minor_units
    from django_button_orders.operations import mark_changed as mark_changed
    from django_button_orders.receivers import suppress_reporting as suppress_reporting
    from django_button_orders.report import Customer as Customer
    from django_button_orders.report import LineItem as LineItem
    from django_button_orders.report import OrderReport as OrderReport
    from django_button_orders.report import hash_email as hash_email

__version__ = "0.1.0"

# Loaded when first asked for: a settings file imports this package for
# beat_schedule(), long before models may be imported.
_HOME = {
    "Customer": "report",
    "LineItem": "report",
    "OrderAdapter": "adapters",
    "OrderReport": "report",
    "beat_schedule": "beat",
    "get_btn_ref": "middleware",
    "hash_email": "report",
    "mark_changed": "operations",
    "register": "adapters",
    "suppress_reporting": "receivers",
    "to_minor_units": "money",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
