from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import Submission
from django_button_orders.models.snapshots import SubmissionHour
from django_button_orders.monitoring.calls import (
    HOUR,
    WEEK,
    add_up,
    count,
    count_open,
    find_kept,
    first_open_hour,
    keep,
    keep_hours,
    last_hours,
)
from django_button_orders.monitoring.snapshot import database_time
from tests.monitoring.utils import add_calls
from tests.utils import create_row


class PeriodTests(TestCase):
    def test_added_up(self):
        period = add_up(
            [{"succeeded": {10: 2, 20: 1}}, {"succeeded": {10: 1}, "failed": {60: 1}}]
        )

        assert period.counts == {"succeeded": 4, "will_retry": 0, "failed": 1}
        assert period.total == 5
        assert period.success_rate == 0.8
        assert period.median == 10
        assert period.p95 == 60

    def test_nothing(self):
        period = add_up([])

        assert (period.total, period.success_rate) == (0, None)
        assert (period.median, period.p95) == (None, None)


class HourTests(TestCase):
    def setUp(self):
        self.row = create_row()
        self.now = database_time("default")
        # The last one that is over for certain.
        self.over = first_open_hour(self.now, "default") - HOUR

    def add(self, hour, *durations, minutes=30, **values):
        started_at = hour + timedelta(minutes=minutes)
        add_calls(self.row, *durations, started_at=started_at, **values)

    def test_counted_by_hour_and_outcome(self):
        self.add(self.over, 10, 10, 20)
        self.add(self.over, 30, outcome="failed", minutes=59)
        self.add(self.over + HOUR, 40, minutes=0)

        assert count("default", self.over) == {
            self.over: {"succeeded": {10: 2, 20: 1}, "failed": {30: 1}},
            self.over + HOUR: {"succeeded": {40: 1}},
        }

    def test_counted_until(self):
        self.add(self.over, 10)
        self.add(self.over + HOUR, 40, minutes=0)

        found = count("default", self.over, self.over + HOUR)

        assert found == {self.over: {"succeeded": {10: 1}}}

    def test_kept_and_open_are_all_and_nothing_twice(self):
        self.add(self.over - HOUR, 10)
        self.add(self.over, 20)
        self.add(self.over + HOUR, 30, minutes=0)

        keep_hours("default", self.now)

        kept = find_kept("default", self.now)
        assert max(kept) == self.over
        assert len(kept) in (WEEK - 2, WEEK - 1)
        assert kept[self.over - HOUR] == {"succeeded": {10: 1}}
        assert kept[self.over] == {"succeeded": {20: 1}}
        assert count_open("default", self.now) == {
            self.over + HOUR: {"succeeded": {30: 1}}
        }

    def test_without_any_that_are_kept(self):
        self.add(self.over, 20)
        self.add(self.over - HOUR * WEEK, 10)

        assert count_open("default", self.now) == {self.over: {"succeeded": {20: 1}}}

    def test_late_ones_of_the_last_minutes_still_count(self):
        now = self.over + HOUR + timedelta(minutes=9)

        assert first_open_hour(now, "default") == self.over
        later = now + timedelta(minutes=1)
        assert first_open_hour(later, "default") == self.over + HOUR

    def test_kept_once(self):
        self.add(self.over, 20)
        keep_hours("default", self.now)
        Submission.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            keep_hours("default", self.now)

        assert find_kept("default", self.now)[self.over] == {"succeeded": {20: 1}}
        assert not any("GROUP BY" in query["sql"] for query in queries)

    def test_kept_by_two_at_once(self):
        self.add(self.over, 20)
        counted = count("default", self.over, self.over + HOUR)
        keep("default", counted, self.over, self.over + HOUR)

        keep("default", counted, self.over - HOUR, self.over + HOUR)

        assert find_kept("default", self.now) == {
            self.over - HOUR: {},
            self.over: {"succeeded": {20: 1}},
        }

    def test_forgotten_after_a_week(self):
        keep_hours("default", self.now)
        first = last_hours(WEEK, self.now, "default")[0]
        assert SubmissionHour.objects.order_by("hour")[0].hour == first

        keep_hours("default", self.now + HOUR * 3)

        assert SubmissionHour.objects.order_by("hour")[0].hour == first + HOUR * 3

    def test_after_a_long_silence(self):
        keep_hours("default", self.now - HOUR * WEEK * 3)
        self.add(self.over, 20)

        with CaptureQueriesContext(connection) as queries:
            keep_hours("default", self.now)

        kept = find_kept("default", self.now)
        assert kept[self.over] == {"succeeded": {20: 1}}
        # A day at a time, and no more than a week.
        assert sum("GROUP BY" in query["sql"] for query in queries) == 7
        assert SubmissionHour.objects.count() == len(kept)
