"""Insert many orders, and rows that are due or done."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from shop.models import Order, OrderLine, Product

from benchmarks.bases import Base
from benchmarks.naive.models import Report
from django_button_orders.models import ButtonOrder

# The rows of a backfill's batch are due at one moment, so these are as well.
AT_ONCE = 500
PAYLOAD = {
    "total": 8700,
    "currency": "USD",
    "purchase_date": datetime(2026, 11, 1, 12, tzinfo=timezone.utc),
    "btn_ref": "fakesrctok-XXX",
    "line_items": [
        {"identifier": "MUG-1", "quantity": 2, "amount": 1500, "total": 3000},
        {"identifier": "TEA-9", "quantity": 2, "amount": 2850, "total": 5700},
    ],
}
SERIES = {
    "postgresql": "generate_series(1, {count}) AS series(n)",
    "mysql": "(SELECT seq AS n FROM seq_1_to_{count}) AS series",
    "sqlite": (
        "(WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted"
        " WHERE n < {count}) SELECT n FROM counted) AS series"
    ),
}
EARLIER = {
    "postgresql": "{column} - (n / {size}) * interval '1 millisecond'",
    "mysql": "{column} - INTERVAL (n DIV {size}) * 1000 MICROSECOND",
    "sqlite": "{column}",
}


def stock_orders(base: Base, count: int) -> list[int]:
    """Insert ``count`` paid orders with two lines each. Return their keys."""
    base.clear(orders=False)
    orders = Order.objects.using(base.alias)
    if orders.count() != count:
        base.clear()
        made = base.fill(
            Order(
                number=f"OLD-{number:06}",
                status=Order.Status.PAID,
                email=f"customer{number}@example.com",
                btn_ref=f"fakesrctok-{number}",
            )
            for number in range(count)
        )
        products = list(Product.objects.using(base.alias))[:2]
        base.fill(
            OrderLine(order=order, product=product, unit_price=product.price)
            for order in made
            for product in products
        )
    base.analyze()
    return list(orders.order_by("pk").values_list("pk", flat=True))


def stock_reports(base: Base, count: int) -> list[int]:
    """Insert ``count`` orders, each with naive's row. Return their keys."""
    pks = stock_orders(base, count)
    base.fill(Report(order_id=pk) for pk in pks)
    base.analyze()
    return pks


def stock_due(base: Base, count: int) -> None:
    """Insert ``count`` orders, each with a due row."""
    stock_orders(base, count)
    source = ContentType.objects.db_manager(base.alias).get_for_model(Order)
    numbers = Order.objects.using(base.alias).order_by("pk").values_list("pk", "number")
    base.fill(
        ButtonOrder(order_id=number, source_type_id=source.pk, source_id=str(pk))
        for pk, number in numbers
    )
    base.analyze()


def stock_direct(
    base: Base, count: int, *, prefix: str, at_once: bool = False, **values: Any
) -> None:
    """
    Insert ``count`` rows without a host order.

    They are due batch by batch, as after a backfill, or all ``at_once``.
    """
    [row] = base.fill([ButtonOrder(order_id=f"{prefix}-0", **PAYLOAD, **values)])
    copy(base, row, count - 1, order_id=f"concat('{prefix}-', n)", spread=not at_once)


def copy(
    base: Base, row: Model, count: int, *, spread: bool = False, **values: str
) -> None:
    """Copy a row ``count`` times. ``values`` are SQL for the columns that differ."""
    vendor, quote = base.connection.vendor, base.connection.ops.quote_name
    meta = row._meta
    columns = {
        field.column: values.get(field.column, quote(field.column))
        for field in meta.concrete_fields
        if not field.primary_key and not field.generated
    }
    if spread:
        column = quote("next_attempt_at")
        earlier = EARLIER[vendor].format(column=column, size=AT_ONCE)
        columns["next_attempt_at"] = earlier
    series = SERIES[vendor].format(count=count)
    table, names = quote(meta.db_table), ", ".join(map(quote, columns))
    base.execute(
        f"INSERT INTO {table} ({names}) SELECT {', '.join(columns.values())} "  # noqa: S608 - our names
        f"FROM {table}, {series} WHERE {quote('id')} = {row.pk}"
    )
