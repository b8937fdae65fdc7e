"""
Count the calls to Button of the last week by hour, outcome and duration.

The counts of past hours are stored, so that only the latest hours are counted anew. A
call belongs to the hour in which it started, by its worker's clock.

Durations are counted in buckets, which are accurate to three per cent. A bucket is
named by its shortest duration in milliseconds. Below 64 ms each millisecond has a
bucket; above, each doubling has 32.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connections
from django.db.models import Case, Count, Expression, F, Value, When
from django.db.models.functions import TruncHour

from django_button_orders.models import Submission, as_aware
from django_button_orders.models.snapshots import SubmissionHour

HOUR = timedelta(hours=1)
WEEK_HOURS = 7 * 24
# A call may be recorded this long after its hour.
LATE = timedelta(minutes=10)
# The groups of one query must fit into memory, so it counts this many hours.
PORTION = 24

FINE_BITS = 6
# Above 2**21 ms (35 minutes), which no call should take, buckets get no wider.
MOST_BITS = 21

Outcome = Submission.Outcome
# The number of calls in each bucket, by outcome.
Durations = dict[str, Counter[int]]
Hours = dict[datetime, Durations]


@dataclass(frozen=True, kw_only=True)
class Period:
    """The calls of some hours together. ``median`` and ``p95`` are milliseconds."""

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


def summarize(hours: Iterable[Durations]) -> Period:
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
    """Return the start of a moment's hour, as the database's time zone divides it."""
    connection: Any = connections[using]
    is_local = connection.vendor == "postgresql"
    zone = ZoneInfo(connection.timezone_name) if is_local else timezone.utc
    hour = moment.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    # In UTC, so that the hours before it can be found by subtraction.
    return hour.astimezone(timezone.utc)


def hours_of_week(now: datetime, using: str) -> list[datetime]:
    """Return the starts of the hours of a week, the present one included."""
    latest = hour_of(now, using)
    return [latest - HOUR * ago for ago in reversed(range(WEEK_HOURS))]


def first_open_hour(now: datetime, using: str) -> datetime:
    """Return the first hour that may still get calls."""
    return hour_of(now - LATE, using)


def count_calls(using: str, since: datetime, until: datetime | None = None) -> Hours:
    """Count the submissions that started in a period, from an index alone."""
    submissions = Submission.objects.using(using).filter(started_at__gte=since)
    if until is not None:
        submissions = submissions.filter(started_at__lt=until)
    groups = (
        submissions.annotate(
            # The database's own time zone, so that it converts nothing.
            hour=TruncHour("started_at", tzinfo=connections[using].timezone),
            bucket=bucket_of("duration_ms"),
        )
        .values_list("hour", "outcome", "bucket")
        .annotate(calls=Count("*"))
        .order_by()
    )
    hours: Hours = {}
    for hour, outcome, bucket, calls in groups:
        durations = hours.setdefault(as_aware(hour), {})
        durations.setdefault(outcome, Counter())[bucket] += calls
    return hours


def store_hours(using: str, now: datetime) -> None:
    """Store the counts of past hours, and delete those older than a week."""
    first = hours_of_week(now, using)[0]
    stored = SubmissionHour.objects.using(using)
    end = first_open_hour(now, using)
    start = max(first, next_hour_to_store(using, first))
    while start < end:
        until = min(start + HOUR * PORTION, end)
        store(using, count_calls(using, start, until), start, until)
        start = until
    stored.filter(hour__lt=first).delete()


def next_hour_to_store(using: str, default: datetime) -> datetime:
    """Return the hour after the last stored one."""
    stored = SubmissionHour.objects.using(using).order_by("-hour")
    latest = stored.values_list("hour", flat=True).first()
    return default if latest is None else as_aware(latest) + HOUR


def store(using: str, counted: Hours, start: datetime, until: datetime) -> None:
    """
    Store the counts of hours, also of hours without calls.

    Several processes may do so at once: the first one's counts stay.
    """
    rows = []
    while start < until:
        rows.append(SubmissionHour(hour=start, durations=counted.get(start, {})))
        start += HOUR
    SubmissionHour.objects.using(using).bulk_create(rows, ignore_conflicts=True)


def find_stored_hours(using: str, now: datetime) -> Hours:
    first = hours_of_week(now, using)[0]
    stored = SubmissionHour.objects.using(using).filter(hour__gte=first)
    return {
        as_aware(hour): from_json(item)
        for hour, item in stored.values_list("hour", "durations")
    }


def count_open_hours(using: str, now: datetime) -> Hours:
    """Count the submissions of the hours that are not stored yet."""
    first = hours_of_week(now, using)[0]
    return count_calls(using, max(first, next_hour_to_store(using, first)))


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


def width(bucket: int) -> int:
    """Return the width of a bucket in milliseconds."""
    bits = min(bucket.bit_length(), MOST_BITS)
    return 1 << max(bits - FINE_BITS, 0)


def bucket_of(field: str) -> Expression:
    """Return an expression for the bucket of a field, in integer arithmetic."""
    steps = [
        When(**{f"{field}__lt": 1 << bits}, then=Value(1 << (bits - FINE_BITS)))
        for bits in range(FINE_BITS, MOST_BITS)
    ]
    coarsest = Value(1 << (MOST_BITS - FINE_BITS))
    return F(field) - F(field) % Case(*steps, default=coarsest)


def percentile(counts: Mapping[int, int], percent: float) -> float | None:
    """Return the duration that ``percent`` of the calls do not exceed, or None."""
    rank = sum(counts.values()) * percent / 100
    seen = 0
    for bucket in sorted(counts):
        if counts[bucket] and seen + counts[bucket] >= rank:
            share = (rank - seen) / counts[bucket]
            return bucket + (width(bucket) - 1) * share
        seen += counts[bucket]
    return None
