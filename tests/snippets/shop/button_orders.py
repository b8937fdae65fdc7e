"""The shop's adapter, on pages that do not define their own."""

from __future__ import annotations

from shop.models import Order, OrderLine, Refund

from django_button_orders import (
    LineItem,
    OrderAdapter,
    OrderReport,
    register,
    to_minor_units,
)


@register(Order)
class ShopOrderAdapter(OrderAdapter):
    date_field = "placed_at"
    watch = {OrderLine: "order", Refund: "line__order"}

    def get_order_id(self, order):
        return order.number

    def is_reportable(self, order):
        return order.is_paid

    def is_cancelled(self, order):
        return order.status == "cancelled"

    def build(self, order):
        return OrderReport(
            order_id=order.number,
            total=to_minor_units(order.net_total, order.currency),
            currency=order.currency,
            purchase_date=order.placed_at,
            btn_ref=order.btn_ref,
            line_items=[
                LineItem(
                    identifier=line.pk,
                    sku=line.sku,
                    quantity=line.quantity,
                    total=to_minor_units(line.net_total, order.currency),
                )
                for line in order.lines.all()
            ],
        )
