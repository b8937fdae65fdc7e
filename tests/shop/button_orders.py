from __future__ import annotations

from typing import ClassVar

from django_button_orders import (
    Customer,
    LineItem,
    OrderAdapter,
    OrderReport,
    register,
    to_minor_units,
)
from tests.shop.models import Order, OrderLine


class TroubleError(Exception):
    pass


@register(Order)
class ShopOrderAdapter(OrderAdapter):
    date_field = "placed_at"
    watch = {OrderLine: "order"}
    # What an error says beside the customer's address.
    words: ClassVar[str] = ""
    # Values that build returns in place of a report, once each.
    built: ClassVar[list[object]] = []

    def get_order_id(self, order):
        self.trouble("get_order_id", order)
        return order.number

    def is_reportable(self, order):
        self.trouble("is_reportable", order)
        return order.is_paid

    def is_cancelled(self, order):
        self.trouble("is_cancelled", order)
        return order.is_cancelled

    def get_account(self, order):
        self.trouble("get_account", order)
        return order.account

    def build(self, order):
        self.trouble("build", order)
        if self.built:
            return self.built.pop()
        return OrderReport(
            order_id=order.number,
            total=to_minor_units(order.total, order.currency),
            currency=order.currency,
            purchase_date=order.placed_at,
            btn_ref=order.btn_ref,
            customer=Customer(email=order.email),
            line_items=[
                LineItem(
                    identifier=line.sku,
                    amount=to_minor_units(line.price, order.currency),
                    quantity=line.quantity,
                )
                for line in order.lines.all()
            ],
        )

    def get_btn_ref_date(self, order):
        self.trouble("get_btn_ref_date", order)
        return order.token_came_at

    def trouble(self, hook, order):
        if order.trouble == hook:
            raise TroubleError(f"No luck with {order.email}{self.words}")
