"""How one database stands now: what the panel shows and the status command prints."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.monitoring.calls import (
    WEEK,
    Durations,
    Hours,
    Period,
    add_up,
    find_kept,
    last_hours,
)
from django_button_orders.monitoring.orders import Orders
from django_button_orders.monitoring.snapshot import (
    Figures,
    database_time,
    find_figures,
    seconds_between,
)

DAY = 24


@dataclass(frozen=True, kw_only=True)
class OldestDue:
    """The order that has been due for the longest time, and for how long."""

    order: ButtonOrder
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """
    The figures of one database. Those of orders and calls are of ``age`` seconds
    ago, the others of now.
    """

    using: str
    now: datetime
    age: float
    orders: Orders
    # The calls of the last week by hour; the last hour has just begun.
    hours: Hours
    oldest_due: OldestDue | None
    paused: list[PausedAccount]
    # Since a sweep was here, or None if none ever was.
    sweep_seconds: float | None

    @property
    def day(self) -> Period:
        """The calls of the last 24 hours of the clock, the present one among them."""
        return add_up(list(self.hours.values())[-DAY:])

    @property
    def week(self) -> Period:
        return add_up(self.hours.values())


def find_statistics(using: str, *, now: datetime | None = None) -> Statistics:
    """Return the figures of a database, by its clock unless a time is given."""
    now = now or database_time(using)
    figures, age = find_figures(using, now)
    return Statistics(
        using=using,
        now=now,
        age=age,
        orders=figures.orders,
        hours=find_hours(using, now, figures),
        oldest_due=find_oldest_due(using, now),
        paused=list(PausedAccount.objects.using(using).order_by("account")),
        sweep_seconds=find_sweep_seconds(using, now),
    )


def find_hours(using: str, now: datetime, figures: Figures) -> Hours:
    """Return each hour of a week, the first one first, also where it has no calls."""
    # What is kept is complete, and what a snapshot has of the same hour may not be.
    known = figures.hours | find_kept(using, now)
    hours: Hours = {hour: {} for hour in last_hours(WEEK, now, using)}
    first, latest = min(hours), max(hours)
    for hour, durations in known.items():
        if hour >= first:
            # What a clock ahead of the database's has timed counts as of now.
            merge(hours[min(hour, latest)], durations)
    return hours


def merge(durations: Durations, others: Durations) -> None:
    for outcome, counts in others.items():
        durations.setdefault(outcome, Counter()).update(counts)


def find_oldest_due(using: str, now: datetime) -> OldestDue | None:
    """Return the oldest due order, with one step in the index for each account."""
    rows = ButtonOrder.objects.using(using).only("order_id", "next_attempt_at")
    pending = rows.pending()
    oldest = [
        pending.due().filter(account=account).order_by("next_attempt_at", "pk").first()
        for account in pending.accounts()
    ]
    found = [
        OldestDue(order=order, seconds=seconds_between(order.next_attempt_at, now))
        for order in oldest
        if order is not None and order.next_attempt_at is not None
    ]
    return max(found, key=lambda item: item.seconds, default=None)


def find_sweep_seconds(using: str, now: datetime) -> float | None:
    """Return how long ago a sweep came to its end, or None if none ever has."""
    swept_at = Snapshot.objects.using(using).values_list("swept_at", flat=True).first()
    return None if swept_at is None else seconds_between(swept_at, now)
