"""An order as most are, on which the adapters of the pages are tried."""

from __future__ import annotations

from shop.models import Order, OrderLine


def create_typical_order() -> Order:
    """Create a paid order of two lines, with a token, a coupon, tax and delivery."""
    order = Order.objects.create(
        number="typical-1",
        is_paid=True,
        net_total="63.00",
        discount="7.00",
        tax="5.20",
        delivery="4.90",
        btn_ref="fakesrctok-0123456789abcdef",
        email="jane@shop.com",
    )
    OrderLine.objects.create(
        order=order,
        sku="MUG",
        name="Mug",
        category="Home > Kitchen",
        quantity=2,
        net_total="30.00",
    )
    OrderLine.objects.create(
        order=order,
        sku="TEA",
        name="Tea",
        category="Food > Tea",
        quantity=1,
        net_total="40.00",
    )
    # As most shops do, it saves the order once its lines are there.
    order.save()
    return order
