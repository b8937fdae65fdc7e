"""
What Button should know about one order: value objects and their rules. No database.

Read ``objects`` (the report, its JSON object and its digest), then ``validation`` (the
rules for single values), ``money`` (minor units) and ``moments``. ``columns`` names the
columns of Button's batch files, and ``privacy`` describes errors without a customer's
data.
"""

from __future__ import annotations

from django_button_orders.report.money import to_minor_units
from django_button_orders.report.objects import (
    Customer,
    LineItem,
    OrderReport,
    hash_email,
)

__all__ = ["Customer", "LineItem", "OrderReport", "hash_email", "to_minor_units"]
