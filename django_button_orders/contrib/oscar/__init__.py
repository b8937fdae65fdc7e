"""Report the orders of a django-oscar shop: the names that its code imports."""

from __future__ import annotations

from django_button_orders.contrib.oscar.adapter import OscarOrderAdapter

__all__ = ["OscarOrderAdapter"]
