from __future__ import annotations

from collections import Counter
from datetime import timedelta

from django.db import connection
from django.test import SimpleTestCase, TestCase
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from django_button_orders.models import Submission
from django_button_orders.models.snapshots import SubmissionHour
from django_button_orders.monitoring.calls import (
    HOUR,
    WEEK_HOURS,
    bucket_of,
    count_calls,
    count_open_hours,
    find_stored_hours,
    first_open_hour,
    hours_of_week,
    percentile,
    store,
    store_hours,
    summarize,
    width,
)
from django_button_orders.monitoring.snapshot import database_time
from tests.monitoring.utils import add_calls
from tests.utils import create_row


class PeriodTests(TestCase):
    def test_added_up(self):
        period = summarize(
            [{"succeeded": {10: 2, 20: 1}}, {"succeeded": {10: 1}, "failed": {60: 1}}]
        )

        assert period.counts == {"succeeded": 4, "will_retry": 0, "failed": 1}
        assert period.total == 5
        assert period.success_rate == 0.8
        assert period.median == 10
        assert period.p95 == 60

    def test_nothing(self):
        period = summarize([])

        assert (period.total, period.success_rate) == (0, None)
        assert (period.median, period.p95) == (None, None)


class HourTests(TestCase):
    def setUp(self):
        self.row = create_row()
        self.now = database_time("default")
        # The last hour that gets no more calls.
        self.over = first_open_hour(self.now, "default") - HOUR

    def add(self, hour, *durations, minutes=30, **values):
        started_at = hour + timedelta(minutes=minutes)
        add_calls(self.row, *durations, started_at=started_at, **values)

    def test_counted_by_hour_and_outcome(self):
        self.add(self.over, 10, 10, 20)
        self.add(self.over, 30, outcome="failed", minutes=59)
        self.add(self.over + HOUR, 40, minutes=0)

        assert count_calls("default", self.over) == {
            self.over: {"succeeded": {10: 2, 20: 1}, "failed": {30: 1}},
            self.over + HOUR: {"succeeded": {40: 1}},
        }

    def test_counted_until(self):
        self.add(self.over, 10)
        self.add(self.over + HOUR, 40, minutes=0)

        found = count_calls("default", self.over, self.over + HOUR)

        assert found == {self.over: {"succeeded": {10: 1}}}

    def test_kept_and_open_are_all_and_nothing_twice(self):
        self.add(self.over - HOUR, 10)
        self.add(self.over, 20)
        self.add(self.over + HOUR, 30, minutes=0)

        store_hours("default", self.now)

        kept = find_stored_hours("default", self.now)
        assert max(kept) == self.over
        assert len(kept) in (WEEK_HOURS - 2, WEEK_HOURS - 1)
        assert kept[self.over - HOUR] == {"succeeded": {10: 1}}
        assert kept[self.over] == {"succeeded": {20: 1}}
        assert count_open_hours("default", self.now) == {
            self.over + HOUR: {"succeeded": {30: 1}}
        }

    def test_without_any_that_are_kept(self):
        self.add(self.over, 20)
        self.add(self.over - HOUR * WEEK_HOURS, 10)

        assert count_open_hours("default", self.now) == {
            self.over: {"succeeded": {20: 1}}
        }

    def test_late_ones_of_the_last_minutes_still_count(self):
        now = self.over + HOUR + timedelta(minutes=9)

        assert first_open_hour(now, "default") == self.over
        later = now + timedelta(minutes=1)
        assert first_open_hour(later, "default") == self.over + HOUR

    def test_kept_once(self):
        self.add(self.over, 20)
        store_hours("default", self.now)
        Submission.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            store_hours("default", self.now)

        assert find_stored_hours("default", self.now)[self.over] == {
            "succeeded": {20: 1}
        }
        assert not any("GROUP BY" in query["sql"] for query in queries)

    def test_kept_by_two_at_once(self):
        self.add(self.over, 20)
        counted = count_calls("default", self.over, self.over + HOUR)
        store("default", counted, self.over, self.over + HOUR)

        store("default", counted, self.over - HOUR, self.over + HOUR)

        assert find_stored_hours("default", self.now) == {
            self.over - HOUR: {},
            self.over: {"succeeded": {20: 1}},
        }

    def test_forgotten_after_a_week(self):
        store_hours("default", self.now)
        first = hours_of_week(self.now, "default")[0]
        assert SubmissionHour.objects.order_by("hour")[0].hour == first

        store_hours("default", self.now + HOUR * 3)

        assert SubmissionHour.objects.order_by("hour")[0].hour == first + HOUR * 3

    def test_after_a_long_silence(self):
        store_hours("default", self.now - HOUR * WEEK_HOURS * 3)
        self.add(self.over, 20)

        with CaptureQueriesContext(connection) as queries:
            store_hours("default", self.now)

        kept = find_stored_hours("default", self.now)
        assert kept[self.over] == {"succeeded": {20: 1}}
        # One query for each day, for at most a week.
        assert sum("GROUP BY" in query["sql"] for query in queries) == 7
        assert SubmissionHour.objects.count() == len(kept)


class BucketTests(TestCase):
    def test_database_and_width_agree(self):
        durations = [0, 1, 63, 64, 65, 127, 128, 131, 999, 30_000, 4_000_000]
        add_calls(create_row(), *durations)

        found = Submission.objects.annotate(bucket=bucket_of("duration_ms"))

        buckets = dict(found.values_list("duration_ms", "bucket"))
        assert buckets == {
            0: 0,
            1: 1,
            63: 63,
            64: 64,
            65: 64,
            127: 126,
            128: 128,
            131: 128,
            999: 992,
            30_000: 29_696,
            4_000_000: 3_997_696,
        }
        for duration, bucket in buckets.items():
            assert bucket <= duration < bucket + width(bucket)

    def test_three_per_cent(self):
        for bucket in (64, 1000, 29_696, 1_000_000):
            assert width(bucket) / bucket <= 1 / 32


class PercentileTests(SimpleTestCase):
    def test_none(self):
        assert percentile({}, 50) is None

    def test_one(self):
        assert percentile({40: 1}, 50) == 40
        assert percentile({40: 1}, 95) == 40

    def test_ranks(self):
        counts = dict.fromkeys(range(1, 61), 1)

        assert percentile(counts, 50) == 30
        assert percentile(counts, 95) == 57
        assert percentile(counts, 100) == 60

    def test_within_a_bucket(self):
        assert percentile({1024: 100}, 50) == 1024 + 31 * 0.5

    @given(st.lists(st.integers(0, 60_000), min_size=1, max_size=200))
    def test_close_to_the_true_one(self, durations):
        counts = Counter(
            duration - duration % width(duration) for duration in durations
        )
        ordered = sorted(durations)
        for percent in (50, 95):
            rank = max(-(-len(ordered) * percent // 100), 1)
            true = ordered[rank - 1]

            found = percentile(counts, percent)

            assert abs(found - true) <= width(true)
