"""A shop with an adapter in which each order may have a mistake planted."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from hashlib import sha256

from django_button_orders import (
    Customer,
    LineItem,
    OrderAdapter,
    OrderReport,
    register,
    to_minor_units,
)
from django_button_orders.outbox.adapters import registered, unregister
from tests.shop.models import Order, OrderLine

NOW = datetime.now(timezone.utc)
ADDRESS = "kim@shop.test"
TAX, DELIVERY = 1330, 500


class PlantedAdapter(OrderAdapter):
    """An adapter that makes the mistake which ``order.trouble`` names."""

    date_field = "placed_at"

    def get_order_id(self, order):
        if order.trouble == "get_order_id":
            raise LookupError(f"No number for {ADDRESS}")
        return order.number

    def is_reportable(self, order):
        return order.is_paid

    def is_cancelled(self, order):
        return order.is_cancelled

    def get_account(self, order):
        return order.account

    def get_queryset(self):
        return Order.objects.prefetch_related("lines")

    def build(self, order):
        if order.trouble == "build":
            raise ValueError(f"No report for {ADDRESS}")
        if order.trouble == "nothing":
            return None
        total = to_minor_units(order.total, order.currency)
        values = {
            "order_id": order.number,
            "total": total,
            "currency": order.currency,
            "purchase_date": order.placed_at,
            "btn_ref": order.btn_ref,
            "customer": Customer(
                id=order.pk, email=f"{order.pk}@shop.test", is_new=False
            ),
            "line_items": [
                LineItem(identifier=line.pk, total=int(line.price * 100))
                for line in order.lines.all()
            ],
        }
        plant = PLANTS.get(order.trouble)
        return OrderReport(**(values | plant(values) if plant else values))

    def gross_total(self, order):
        return int(order.total * 100) + TAX + DELIVERY

    def tax(self, order):
        if order.trouble == "hook":
            raise KeyError(ADDRESS)
        return TAX

    def delivery(self, order):
        return DELIVERY


def with_total(more):
    """Return a plant that adds to the total, and to the line."""

    def plant(values):
        total = values["total"] + more
        return {"total": total, "line_items": [LineItem(identifier=1, total=total)]}

    return plant


def with_line(**line):
    def plant(values):
        return {"line_items": [LineItem(**{"identifier": 1, "total": 7000, **line})]}

    return plant


def with_values(**new):
    return lambda values: new


#: The values of a report that each mistake replaces.
PLANTS = {
    "date": with_values(purchase_date="2026-11-30"),
    "currency": with_values(currency="usd"),
    "lines": with_values(line_items=[LineItem(identifier=1, total=6999)]),
    "clock": lambda values: {"purchase_date": datetime.now(timezone.utc)},
    "identifier": with_values(
        line_items=[LineItem(identifier="MUG", total=3500) for _ in "ab"]
    ),
    "above": with_total(TAX + DELIVERY + 1),
    "gross": with_total(TAX + DELIVERY),
    "delivery": with_total(DELIVERY),
    "tax": with_total(TAX),
    "future": with_values(purchase_date=NOW + timedelta(hours=9)),
    "old": with_values(purchase_date=datetime(1970, 1, 1, tzinfo=timezone.utc)),
    "description": with_line(description=f"Gift for {ADDRESS}"),
    "attributes": with_line(attributes={"to": ADDRESS}),
    "customer_order_id": with_values(customer_order_id=ADDRESS),
    "hash": with_values(customer=Customer(email_sha256=sha256(b"").hexdigest())),
    "org": with_values(btn_ref="org-3eec44df0966f6f0"),
    "fake": with_values(btn_ref="fakesrctok-abcdef0123456789"),
    "dummy": with_values(customer=Customer(email="guest@shop.invalid")),
    "shared": with_values(btn_ref="srctok-shared"),
    "withdrawn": with_values(currency="HRK"),
}


@contextmanager
def planted_shop(adapter=PlantedAdapter):
    """Have no adapters but this one for ``Order``."""
    adapters = {item.model: type(item) for item in registered()}
    for model in adapters:
        unregister(model)
    register(Order)(adapter)
    try:
        yield
    finally:
        unregister(Order)
        for model, known in adapters.items():
            register(model)(known)


def place(count, start=1, **values):
    """Place orders with one line each, which are numbered from ``start`` on."""
    orders = Order.objects.bulk_create(
        Order(
            **{
                "number": f"{number:04d}",
                "placed_at": NOW - timedelta(minutes=number),
                "btn_ref": f"srctok-{number:016x}",
                **values,
            }
        )
        for number in range(start, start + count)
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, sku="MUG", price=order.total) for order in orders
    )
    return orders
