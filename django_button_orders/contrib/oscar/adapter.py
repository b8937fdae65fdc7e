"""Describe the orders of django-oscar to the app."""

from __future__ import annotations

import decimal
from typing import Any

from django_button_orders.outbox.adapters import OrderAdapter
from django_button_orders.report.money import to_minor_units
from django_button_orders.report.objects import Customer, LineItem, OrderReport


class OscarOrderAdapter(OrderAdapter):
    """Describe the orders of django-oscar 4 to the app. Subclass and register it."""

    date_field = "date_placed"
    watch = {
        "order.Line": "order",
        "order.Surcharge": "order",
        "order.PaymentEvent": "order",
        "order.PaymentEventQuantity": "event__order",
        "order.ShippingEvent": "order",
        "order.ShippingEventQuantity": "event__order",
    }

    def get_order_id(self, order: Any) -> str:
        return str(order.number)

    def get_btn_ref(self, order: Any) -> str:
        """Return the token in the field ``btn_ref`` of a forked order, or the kept."""
        return getattr(order, "btn_ref", "") or super().get_btn_ref(order)

    def build(self, order: Any) -> OrderReport:
        lines = [
            LineItem(
                identifier=line.pk,
                total=to_minor_units(
                    line.line_price_excl_tax,
                    order.currency,
                    rounding=decimal.ROUND_HALF_UP,
                ),
                quantity=line.quantity,
                sku=line.partner_sku,
                description=line.title,
            )
            for line in order.lines.all()
        ]
        return OrderReport(
            order_id=self.get_order_id(order),
            total=sum(line.total or 0 for line in lines),
            currency=order.currency,
            purchase_date=order.date_placed,
            btn_ref=self.get_btn_ref(order),
            customer=Customer(id=order.user_id, email=order.email),
            line_items=lines,
        )
