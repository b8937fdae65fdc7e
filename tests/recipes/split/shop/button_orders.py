from __future__ import annotations

from shop.models import Order

from django_button_orders import OrderAdapter, OrderReport, register


@register(Order)
class ShopOrderAdapter(OrderAdapter):
    date_field = "placed_at"

    def get_order_id(self, order):
        return order.number

    def build(self, order):
        return OrderReport(
            order_id=order.number,
            total=order.net_total,
            currency="USD",
            purchase_date=order.placed_at,
        )
