"""What Button should know about an order: value objects, and their rules."""

from __future__ import annotations

from django_button_orders.report.money import to_minor_units
from django_button_orders.report.objects import (
    Customer,
    LineItem,
    OrderReport,
    hash_email,
)

__all__ = ["Customer", "LineItem", "OrderReport", "hash_email", "to_minor_units"]
