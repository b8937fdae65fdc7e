"""
The calls to Button of the last week, hour by hour.

Hours that are over are counted once and kept; only what came later is counted anew.
An hour is what its workers' clocks took for it: a submission has no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import Count
from django.db.models.functions import TruncHour

from django_button_orders.models import Submission
from django_button_orders.models.snapshots import SubmissionHour
from django_button_orders.monitoring.durations import bucket_of, percentile

HOUR = timedelta(hours=1)
WEEK = 7 * 24
# Until then a call of an hour may still be written down.
LATE = timedelta(minutes=10)
# Hours that are counted by one query, so that its groups fit into memory.
PORTION = 24

Outcome = Submission.Outcome
# Durations by outcome: how many calls in each bucket.
Durations = dict[str, Counter[int]]
Hours = dict[datetime, Durations]


@dataclass(frozen=True, kw_only=True)
class Period:
    """The calls of some hours, added up. ``median`` and ``p95`` are milliseconds."""

    counts: Mapping[str, int]
    median: float | None
    p95: float | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def success_rate(self) -> float | None:
        """Return the share of calls that succeeded, or None if there was none."""
        if not self.total:
            return None
        return self.counts[Outcome.SUCCEEDED] / self.total


def add_up(hours: Iterable[Durations]) -> Period:
    totals: Durations = {outcome: Counter() for outcome in Outcome.values}
    for durations in hours:
        for outcome, counts in durations.items():
            totals[outcome].update(counts)
    everything = sum(totals.values(), Counter())
    return Period(
        counts={outcome: counts.total() for outcome, counts in totals.items()},
        median=percentile(everything, 50),
        p95=percentile(everything, 95),
    )


def hour_of(moment: datetime, using: str) -> datetime:
    """Return the beginning of an hour, as the database finds it in ``count``."""
    zone = connections[using].timezone
    if zone is not None:
        moment = moment.astimezone(zone)
    return moment.replace(minute=0, second=0, microsecond=0)


def last_hours(count: int, now: datetime, using: str) -> list[datetime]:
    """Return the beginnings of so many hours, of which the last has just begun."""
    latest = hour_of(now, using)
    return [latest - HOUR * ago for ago in reversed(range(count))]


def first_open_hour(now: datetime, using: str) -> datetime:
    """Return the first hour to which calls may still be added."""
    return hour_of(now - LATE, using)


def count(using: str, since: datetime, until: datetime | None = None) -> Hours:
    """Count the submissions of a time, out of an index alone."""
    submissions = Submission.objects.using(using).filter(started_at__gte=since)
    if until is not None:
        submissions = submissions.filter(started_at__lt=until)
    groups = (
        submissions.annotate(
            # In the zone that the database keeps, so that nothing is converted.
            hour=TruncHour("started_at", tzinfo=connections[using].timezone),
            bucket=bucket_of("duration_ms"),
        )
        .values_list("hour", "outcome", "bucket")
        .annotate(calls=Count("*"))
        .order_by()
    )
    hours: Hours = {}
    for hour, outcome, bucket, calls in groups:
        durations = hours.setdefault(hour, {})
        durations.setdefault(outcome, Counter())[bucket] += calls
    return hours


def keep_hours(using: str, now: datetime) -> None:
    """Keep what was counted of hours that are over, and forget those of long ago."""
    first = last_hours(WEEK, now, using)[0]
    kept = SubmissionHour.objects.using(using)
    end = first_open_hour(now, using)
    start = max(first, next_to_keep(using, first))
    while start < end:
        until = min(start + HOUR * PORTION, end)
        keep(using, count(using, start, until), start, until)
        start = until
    kept.filter(hour__lt=first).delete()


def next_to_keep(using: str, default: datetime) -> datetime:
    """Return the hour after the last one that is kept."""
    kept = SubmissionHour.objects.using(using).order_by("-hour")
    latest = kept.values_list("hour", flat=True).first()
    return default if latest is None else latest + HOUR


def keep(using: str, counted: Hours, start: datetime, until: datetime) -> None:
    """Write hours down, also those in which nothing was sent. Any number may do it."""
    rows = []
    while start < until:
        rows.append(SubmissionHour(hour=start, durations=counted.get(start, {})))
        start += HOUR
    SubmissionHour.objects.using(using).bulk_create(rows, ignore_conflicts=True)


def find_kept(using: str, now: datetime) -> Hours:
    first = last_hours(WEEK, now, using)[0]
    kept = SubmissionHour.objects.using(using).filter(hour__gte=first)
    return {
        hour: from_json(item) for hour, item in kept.values_list("hour", "durations")
    }


def count_open(using: str, now: datetime) -> Hours:
    """Count the submissions of hours that are not kept yet, at most a week."""
    first = last_hours(WEEK, now, using)[0]
    return count(using, max(first, next_to_keep(using, first)))


def from_json(durations: Mapping[str, Mapping[str, int]]) -> Durations:
    return {
        outcome: Counter({int(bucket): calls for bucket, calls in counts.items()})
        for outcome, counts in durations.items()
    }


def as_json(hours: Hours) -> dict[str, Any]:
    return {hour.isoformat(): durations for hour, durations in hours.items()}


def hours_from_json(hours: Mapping[str, Any]) -> Hours:
    return {
        datetime.fromisoformat(hour): from_json(durations)
        for hour, durations in hours.items()
    }
