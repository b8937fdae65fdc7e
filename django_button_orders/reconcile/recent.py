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

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
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
from django_button_orders.reconcile.findings import Finding
from django_button_orders.reconcile.run import compare
from django_button_orders.reconcile.with_shop import ShopOrders

logger = get_logger(__name__)

BATCH_SIZE = 200
# The number of orders that a line of the log names.
SHOWN_IDS = 2

IsOver = Callable[[], bool]


@dataclass
class Notes:
    """
    The findings of a run, for the log.

    ``due`` counts the orders that are due now. ``kept`` has the IDs of the reported
    orders for which no report can be built any more, by the hook and its error.
    """

    due: int = 0
    kept: defaultdict[tuple[str, str], list[str]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, findings: list[Finding]) -> None:
        for finding in findings:
            self.due += finding.is_fixed and not finding.has_failed
            if finding.is_kept:
                error = finding.difference.error
                self.kept[finding.hook, error].append(finding.difference.order_id)

    def log(self, using: str) -> None:
        if self.due:
            logger.warning("Database %s: %s", using, describe_due(self.due))
        for (hook, error), order_ids in self.kept.items():
            logger.warning("%s", describe_kept(hook, error, order_ids))


def describe_due(count: int) -> str:
    if count == 1:
        return "1 order differed from its Button order, and is due now."
    return f"{count} orders differed from their Button orders, and are due now."


def describe_kept(hook: str, error: str, order_ids: list[str]) -> str:
    """Return why no report can be built for some reported orders, and what follows."""
    is_one = len(order_ids) == 1
    orders = "1 reported order" if is_one else f"{len(order_ids)} reported orders"
    such_as = "" if is_one else "such as "
    ids = ", ".join(order_ids[:SHOWN_IDS])
    why = error.removeprefix(f"{hook}: ").rstrip(".")
    why = why.replace(f"{hook} returned", "it returned")
    their = "its" if is_one else "their"
    return (
        f"{hook or 'The report'} fails for {orders} ({such_as}{ids}): {why}. "
        f"Button keeps {their} last report."
    )


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
    notes = Notes()
    for adapter in adapters:
        # Each model has the same time, however many orders the others have.
        ends = clock() + seconds / len(adapters)
        counts += compare_model(
            adapter,
            days,
            notes,
            using=using,
            is_over=lambda ends=ends: is_stopped() or clock() >= ends,  # type: ignore[misc]  # bound now
        )
    notes.log(using)
    return counts


def compare_model(
    adapter: OrderAdapter, days: int, notes: Notes, *, using: str, is_over: IsOver
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
        notes.add(step.result.findings)
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
