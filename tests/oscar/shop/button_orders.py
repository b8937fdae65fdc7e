"""The adapter of the shop, as a shop without names of its own registers it."""

from __future__ import annotations

from oscar.core.loading import get_model

from django_button_orders import register
from django_button_orders.contrib.oscar import OscarOrderAdapter


@register(get_model("order", "Order"))
class ShopOrderAdapter(OscarOrderAdapter):
    pass
