"""The pages of Django's admin."""

from __future__ import annotations

from django_button_orders.admin.accounts import PausedAccountAdmin
from django_button_orders.admin.differences import DifferenceAdmin
from django_button_orders.admin.host import ButtonOrderAdminMixin
from django_button_orders.admin.orders import ButtonOrderAdmin

__all__ = [
    "ButtonOrderAdmin",
    "ButtonOrderAdminMixin",
    "DifferenceAdmin",
    "PausedAccountAdmin",
]
