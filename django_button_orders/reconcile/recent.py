"""
Compare recent orders periodically, to report those that were saved without a signal.

The comparison goes through the orders of the last RECONCILE_DAYS days, by the adapter's
``date_field``, and starts again after the last one. Rows are added only for orders that
were placed after the app was first at work on the database: to report older ones is a
person's decision.

Without a ``date_field``, it goes through all orders, the newest keys first, and adds no
rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone

from django.db import router
from django.utils.timezone import localdate

from django_button_orders.clock import Clock, monotonic
from django_button_orders.conf import get_settings
from django_button_orders.models import Checkpoint, as_aware
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    all_orders,
    has_usable_key,
    registered,
    select_orders,
)
from django_button_orders.printable import get_logger
from django_button_orders.reconcile.findings import FIXED
from django_button_orders.reconcile.run import compare
from django_button_orders.reconcile.with_shop import ShopOrders

logger = get_logger(__name__)

BATCH_SIZE = 200

IsOver = Callable[[], bool]


def compare_recent(
    *,
    using: str,
    seconds: float,
    is_stopped: IsOver = lambda: False,
    clock: Clock = monotonic,
) -> Counter[str]:
    """
    Compare orders with their rows for about ``seconds``, and mark what differs.

    The next call continues where this one stops.
    """
    days = get_settings().reconcile_days
    adapters = [
        adapter
        for adapter in registered()
        if days
        and has_usable_key(adapter.model)
        and router.allow_migrate_model(using, adapter.model)
    ]
    counts: Counter[str] = Counter()
    for adapter in adapters:
        # Each model has the same time, however many orders the others have.
        ends = clock() + seconds / len(adapters)
        counts += compare_model(
            adapter,
            days,
            using=using,
            is_over=lambda ends=ends: is_stopped() or clock() >= ends,  # type: ignore[misc]  # bound now
        )
    if counts[FIXED]:
        logger.warning(
            "Database %s: %d orders had changed, or come, without a signal. "
            "They are due now; the admin lists them as differences.",
            using,
            counts[FIXED],
        )
    return counts


def compare_model(
    adapter: OrderAdapter, days: int, *, using: str, is_over: IsOver
) -> Counter[str]:
    checkpoints = Checkpoint.objects.using(using)
    orders = select_recent_orders(adapter, days, using=using)
    # A position has the values of these fields, and a deployment may change them.
    names = " ".join(orders.names)
    name = f"reconcile recent {adapter.model._meta.label} by {names}"[:255]
    checkpoint, _ = checkpoints.get_or_create(name=name)
    counts: Counter[str] = Counter()
    steps = compare(
        orders,
        position=checkpoint.position,
        batch_size=BATCH_SIZE,
        fixes=True,
    )
    for step in steps:
        counts += step.result.counts
        here = checkpoints.filter(name=name, position=checkpoint.position)
        checkpoint.position = step.position
        if not here.update(position=step.position, updated_at=DatabaseNow()):
            # Another process runs the same comparison, and one is enough.
            return counts
        if is_over():
            return counts
    # This was the last page, so the next call starts with the first.
    checkpoints.filter(name=name).update(position="", updated_at=DatabaseNow())
    return counts


def select_recent_orders(adapter: OrderAdapter, days: int, *, using: str) -> ShopOrders:
    name = adapter.date_field
    if not name:
        orders = all_orders(adapter, using=using)
        return ShopOrders(
            adapter=adapter,
            orders=orders,
            using=using,
            names=("-pk",),
            may_add=lambda order: False,
        )
    since = datetime.now(timezone.utc) - timedelta(days=days)
    first = Checkpoint.objects.using(using).first_at_work()
    return ShopOrders(
        adapter=adapter,
        orders=select_orders(adapter, using=using, since=since),
        using=using,
        # Dates usually have an index. By key alone, a database may read all orders to
        # find the recent ones.
        names=(name, "pk"),
        may_add=lambda order: is_later(getattr(order, name), first),
    )


def is_later(value: date, first: datetime) -> bool:
    """Return whether the value of a date field is certainly after a moment."""
    if isinstance(value, datetime):
        return value > first
    # A date says nothing of the time, so the first day does not count.
    return value > localdate(as_aware(first))
