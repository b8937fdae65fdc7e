"""An adapter for a model with integer keys, which grow, unlike UUIDs."""

from __future__ import annotations

from datetime import datetime, timezone

from django_button_orders import OrderAdapter, OrderReport, register
from tests.shop.models import Page


@register(Page)
class PageAdapter(OrderAdapter):
    def get_order_id(self, order):
        return f"page-{order.title}"

    def build(self, order):
        return OrderReport(
            order_id=self.get_order_id(order),
            total=100,
            currency="USD",
            purchase_date=datetime(2026, 11, 1, tzinfo=timezone.utc),
        )
