"""The adapter: what to report to Button about the shop's orders."""

from __future__ import annotations

from django.db.models import QuerySet

from django_button_orders import (
    Customer,
    LineItem,
    OrderAdapter,
    OrderReport,
    register,
    to_minor_units,
)
from shop.models import Order, OrderLine


@register(Order)
class ShopOrderAdapter(OrderAdapter):
    date_field = "placed_at"
    watch = {OrderLine: "order"}

    def get_order_id(self, order: Order) -> str:
        return order.number

    def is_reportable(self, order: Order) -> bool:
        return order.status == Order.Status.PAID

    def is_cancelled(self, order: Order) -> bool:
        return order.status == Order.Status.CANCELLED

    def get_queryset(self) -> QuerySet[Order]:
        return Order.objects.prefetch_related("lines__product")

    def build(self, order: Order) -> OrderReport:
        return OrderReport(
            order_id=order.number,
            total=to_minor_units(order.total, order.currency),
            currency=order.currency,
            purchase_date=order.placed_at,
            btn_ref=order.btn_ref,
            customer=Customer(email=order.email),
            # A line that was returned completely is left out.
            line_items=[
                LineItem(
                    # A product may be on several lines, so its SKU is not enough.
                    identifier=line.pk,
                    sku=line.product.sku,
                    description=line.product.name,
                    category=[line.product.category],
                    quantity=line.kept,
                    amount=to_minor_units(line.unit_price, order.currency),
                    total=to_minor_units(line.total, order.currency),
                )
                for line in order.lines.all()
                if line.kept
            ],
        )
