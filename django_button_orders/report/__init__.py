"""
What Button should know about one order: value objects and their rules. No database.

Read ``objects`` (the report, its JSON object and its digest), then ``validation`` (the
rules for single values), ``money`` (minor units), ``lines`` (shares of an amount) and
``moments``. ``columns`` names the columns of Button's batch files, ``erasing`` removes
a customer from a report, and ``privacy`` describes errors without a customer's data.
"""

from __future__ import annotations

from django_button_orders.report.lines import spread
from django_button_orders.report.money import net_of, to_minor_units
from django_button_orders.report.objects import (
    Customer,
    LineItem,
    OrderReport,
    hash_email,
)

__all__ = [
    "Customer",
    "LineItem",
    "OrderReport",
    "hash_email",
    "net_of",
    "spread",
    "to_minor_units",
]
