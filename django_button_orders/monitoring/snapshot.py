"""
Figures that the sweep takes now and then, for whoever wants them in between.

To count a million orders takes a moment, so snapshots take a hundredth of the time,
unless there are tens of millions. Where counting takes none, the figures are counted
anew whenever they are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max
from django.db.models.functions import Coalesce

from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.snapshots import ONLY, Snapshot
from django_button_orders.monitoring import calls
from django_button_orders.monitoring.calls import Hours
from django_button_orders.monitoring.orders import Group, Orders, count_orders

# A sweep is not noted more often than that, however many there are.
NOTE_SECONDS = 10
SHORTEST_INTERVAL = 60
# Well before a snapshot is old, however long it takes.
LONGEST_INTERVAL = 300
# Of the time, snapshots take one part in so many.
SHARE = 100
# Figures that are counted so fast are counted anew whenever they are shown, and so
# are those which nobody has taken for so long.
FAST_SECONDS = 0.05
OLD_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What takes time to count. ``hours`` are those which are not kept yet."""

    orders: Orders
    hours: Hours

    def as_json(self) -> dict[str, Any]:
        groups = [asdict(group) for group in self.orders.groups]
        return {"groups": groups, "hours": calls.as_json(self.hours)}

    @classmethod
    def from_json(cls, figures: Mapping[str, Any]) -> Figures:
        return cls(
            orders=Orders([Group(**group) for group in figures["groups"]]),
            hours=calls.hours_from_json(figures["hours"]),
        )


def note_sweep(using: str) -> None:
    """Note that a sweep has come to its end, and take a snapshot if it is time."""
    rows = Snapshot.objects.using(using).filter(pk=ONLY)
    noted = rows.filter(swept_at__lt=from_now(-NOTE_SECONDS))
    if not noted.update(swept_at=DatabaseNow()) and not rows.exists():
        rows.bulk_create([Snapshot()], ignore_conflicts=True)
    # Whoever moves this on takes it: the others would count the same.
    later = from_now(SHORTEST_INTERVAL)
    if rows.filter(next_at__lte=DatabaseNow()).update(next_at=later):
        take_snapshot(using)


def take_snapshot(using: str, *, clock: Callable[[], float] = time.monotonic) -> None:
    began, now = clock(), database_time(using)
    calls.keep_hours(using, now)
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
    """Return figures that are fit to be shown, and their age in seconds."""
    taken = Snapshot.objects.using(using).filter(pk=ONLY, taken_at__isnull=False)
    snapshot = taken.first()
    if snapshot is not None and snapshot.taken_at is not None:
        age = seconds_between(snapshot.taken_at, now)
        if snapshot.seconds > FAST_SECONDS and age < OLD_SECONDS:
            return Figures.from_json(snapshot.figures), age
    return count_figures(using, now), 0.0


def seconds_between(earlier: datetime, later: datetime) -> float:
    return max((later - earlier).total_seconds(), 0.0)


def count_figures(using: str, now: datetime) -> Figures:
    return Figures(orders=count_orders(using), hours=calls.count_open(using, now))


def database_time(using: str) -> datetime:
    """Return the time by the clock of a database."""
    # An aggregate has a row to stand in also where the table has none.
    time_ = Coalesce(Max(DatabaseNow()), DatabaseNow())
    now: datetime = Snapshot.objects.using(using).aggregate(now=time_)["now"]
    return now
