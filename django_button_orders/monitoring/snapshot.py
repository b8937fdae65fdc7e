"""
Store counted figures after a sweep, so that pages need not count them.

To count a million orders takes a second or so. Snapshots take at most one per cent of
the time, but are at most five minutes apart. Figures of at most ``FEW_ORDERS``, or that
take under 50 ms to count, are counted whenever they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max
from django.db.models.functions import Coalesce

from django_button_orders.clock import Clock, monotonic
from django_button_orders.models import as_aware
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.snapshots import ONLY, Snapshot
from django_button_orders.monitoring import calls
from django_button_orders.monitoring.calls import Hours
from django_button_orders.monitoring.orders import (
    Amount,
    Closing,
    Group,
    Orders,
    count_closing,
    count_late_returns,
    count_late_tokens,
    count_orders,
)

# The end of a sweep is recorded at most once in this time.
INTERVAL_SECONDS = 10
SHORTEST_INTERVAL = 60
# Shorter than OLD_SECONDS: a new snapshot comes before the last one is old.
LONGEST_INTERVAL = 300
# Snapshots may take one part in 100 of the time.
SHARE = 100
# A snapshot is not used if there are few orders, if it took less than FAST_SECONDS to
# count, or if it is older than OLD_SECONDS. The figures are counted anew instead. To
# count a few orders takes long on a busy machine, but not each time.
FEW_ORDERS = 10_000
FAST_SECONDS = 0.05
OLD_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures that take time to count. ``hours`` are the open ones."""

    orders: Orders
    hours: Hours

    def as_json(self) -> dict[str, Any]:
        orders = self.orders
        return {
            "groups": [asdict(group) for group in orders.groups],
            "late_tokens": orders.late_tokens,
            "late_returns": [asdict(amount) for amount in orders.late_returns],
            "closing": closing_as_json(orders.closing),
            "hours": calls.as_json(self.hours),
        }

    @classmethod
    def from_json(cls, figures: Mapping[str, Any]) -> Figures:
        late_returns = figures.get("late_returns", [])
        return cls(
            orders=Orders(
                [Group(**group) for group in figures["groups"]],
                late_tokens=figures.get("late_tokens", 0),
                late_returns=[Amount(**amount) for amount in late_returns],
                closing=closing_from_json(figures.get("closing", {})),
            ),
            hours=calls.hours_from_json(figures["hours"]),
        )


def closing_as_json(closing: Closing) -> dict[str, Any]:
    first = closing.first and closing.first.isoformat()
    return {"orders": closing.orders, "first": first}


def closing_from_json(closing: Mapping[str, Any]) -> Closing:
    first = closing.get("first")
    return Closing(closing.get("orders", 0), first and datetime.fromisoformat(first))


def store_sweep(using: str) -> bool:
    """
    Store when a sweep ended, and take a snapshot if it is time.

    Return whether it is: then no other process has done so in the last minute.
    """
    rows = Snapshot.objects.using(using).filter(pk=ONLY)
    outdated = rows.filter(swept_at__lt=from_now(-INTERVAL_SECONDS))
    if not outdated.update(swept_at=DatabaseNow()) and not rows.exists():
        rows.bulk_create([Snapshot()], ignore_conflicts=True)
    # Only the process that moves this date on takes the snapshot.
    later = from_now(SHORTEST_INTERVAL)
    is_time = rows.filter(next_at__lte=DatabaseNow()).update(next_at=later) == 1
    if is_time:
        take_snapshot(using)
    return is_time


def take_snapshot(using: str, *, clock: Clock = monotonic) -> None:
    began, now = clock(), database_time(using)
    calls.store_hours(using, now)
    start = clock()
    figures = count_figures(using, now)
    ended = clock()
    interval = min(max(SHARE * (ended - began), SHORTEST_INTERVAL), LONGEST_INTERVAL)
    Snapshot.objects.using(using).filter(pk=ONLY).update(
        figures=figures.as_json(),
        seconds=ended - start,
        taken_at=now,
        next_at=from_now(interval),
    )


def find_figures(using: str, now: datetime) -> tuple[Figures, float]:
    """Return the figures of the snapshot or new ones, and their age in seconds."""
    taken = Snapshot.objects.using(using).filter(pk=ONLY, taken_at__isnull=False)
    snapshot = taken.first()
    if snapshot is not None and snapshot.taken_at is not None:
        age = seconds_between(snapshot.taken_at, now)
        figures = Figures.from_json(snapshot.figures)
        is_slow = snapshot.seconds > FAST_SECONDS and figures.orders.total > FEW_ORDERS
        if is_slow and age < OLD_SECONDS:
            return figures, age
    return count_figures(using, now), 0.0


def seconds_between(earlier: datetime, later: datetime) -> float:
    passed: timedelta = as_aware(later) - as_aware(earlier)
    return max(passed.total_seconds(), 0.0)


def count_figures(using: str, now: datetime) -> Figures:
    orders = replace(
        count_orders(using),
        late_tokens=count_late_tokens(using),
        late_returns=count_late_returns(using),
        closing=count_closing(using),
    )
    return Figures(
        orders=orders,
        hours=calls.count_open_hours(using, now),
    )


def database_time(using: str) -> datetime:
    """Return the time by the clock of a database."""
    # An aggregate returns a row even if the table is empty.
    time_ = Coalesce(Max(DatabaseNow()), DatabaseNow())
    now: datetime = as_aware(Snapshot.objects.using(using).aggregate(now=time_)["now"])
    return now
