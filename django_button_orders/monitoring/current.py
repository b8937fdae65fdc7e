"""Gather the present figures of one database, for the panel and the commands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.monitoring.calls import (
    Durations,
    Hours,
    Period,
    find_stored_hours,
    hours_of_week,
    summarize,
)
from django_button_orders.monitoring.orders import Orders
from django_button_orders.monitoring.snapshot import (
    Figures,
    database_time,
    find_figures,
    seconds_between,
)

DAY_HOURS = 24


@dataclass(frozen=True, kw_only=True)
class OldestDue:
    """The order that has been due for the longest time, in seconds."""

    order: ButtonOrder
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """
    The figures of one database.

    The figures of orders and calls are ``age`` seconds old; the others are of now.
    """

    using: str
    now: datetime
    age: float
    orders: Orders
    # The calls of the last week by hour. The last hour is not over.
    hours: Hours
    oldest_due: OldestDue | None
    paused: list[PausedAccount]
    # The seconds since the last sweep, or None if there was none.
    sweep_seconds: float | None

    @property
    def day(self) -> Period:
        """The calls of the last 24 hours, the present one included."""
        return summarize(list(self.hours.values())[-DAY_HOURS:])

    @property
    def week(self) -> Period:
        return summarize(self.hours.values())


def find_statistics(using: str, *, now: datetime | None = None) -> Statistics:
    """Return the figures of a database. The default for ``now`` is its clock."""
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
    """Return the calls of each hour of a week, the first hour first."""
    # A stored hour is complete. The same hour in a snapshot may not be.
    known = figures.hours | find_stored_hours(using, now)
    hours: Hours = {hour: {} for hour in hours_of_week(now, using)}
    first, latest = min(hours), max(hours)
    for hour, durations in known.items():
        if hour >= first:
            # A worker's clock may be ahead: its future calls belong to this hour.
            merge(hours[min(hour, latest)], durations)
    return hours


def merge(durations: Durations, others: Durations) -> None:
    for outcome, counts in others.items():
        durations.setdefault(outcome, Counter()).update(counts)


def find_oldest_due(using: str, now: datetime) -> OldestDue | None:
    """Return the oldest due order, with one index lookup for each account."""
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
    """Return the seconds since the last sweep ended, or None if there was none."""
    swept_at = Snapshot.objects.using(using).values_list("swept_at", flat=True).first()
    return None if swept_at is None else seconds_between(swept_at, now)
