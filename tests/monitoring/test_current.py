from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from django.db import connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot, SubmissionHour
from django_button_orders.monitoring.calls import HOUR
from django_button_orders.monitoring.current import find_statistics
from django_button_orders.monitoring.snapshot import database_time
from tests.monitoring.utils import add_calls, pretend_large, sweep
from tests.utils import button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class StatisticsTests(TestCase):
    def setUp(self):
        self.row = create_row()
        self.now = database_time("default")

    def find(self):
        return find_statistics("default", now=self.now)

    def put(self, row, **values):
        ButtonOrder.objects.filter(pk=row.pk).update(**values)

    def test_each_hour_of_a_week(self):
        hours = list(self.find().hours)

        assert len(hours) == 168
        assert hours == sorted(hours)
        assert hours[-1] <= self.now < hours[-1] + HOUR
        assert {later - earlier for earlier, later in pairwise(hours)} == {HOUR}

    def test_periods(self):
        latest = list(self.find().hours)[-1]
        add_calls(self.row, 10, started_at=latest)
        add_calls(self.row, 20, started_at=latest - 23 * HOUR, outcome="failed")
        add_calls(self.row, 30, started_at=latest - 24 * HOUR)
        add_calls(self.row, 40, started_at=latest - 167 * HOUR)
        add_calls(self.row, 50, started_at=latest - 168 * HOUR)

        for is_swept in (False, True):
            with self.subTest(is_swept=is_swept):
                statistics = self.find()

                day, week = statistics.day, statistics.week
                assert day.counts == {"succeeded": 1, "will_retry": 0, "failed": 1}
                assert week.counts == {"succeeded": 3, "will_retry": 0, "failed": 1}
                assert (day.p95, week.p95) == (20, 40)
            sweep("default")

    def test_hour_that_is_kept_since_the_snapshot(self):
        latest = list(self.find().hours)[-1]
        hour = latest - 3 * HOUR
        add_calls(self.row, 10, 10, started_at=hour)
        sweep("default")
        # These are the counts from before the hour was over.
        figures = Snapshot.objects.get().figures
        figures["hours"][hour.isoformat()] = {"succeeded": {"10": 1}}
        Snapshot.objects.update(figures=figures)
        pretend_large()

        assert self.find().week.total == 2

    def test_clock_ahead(self):
        add_calls(self.row, 10, started_at=self.now + timedelta(hours=5))

        statistics = self.find()

        assert list(statistics.hours.values())[-1] == {"succeeded": {10: 1}}

    def test_oldest_due(self):
        eu = create_row(account="eu", order_id="1995")
        self.put(self.row, next_attempt_at=from_now(-100))
        self.put(eu, next_attempt_at=from_now(-200))
        leased = create_row(order_id="1996")
        self.put(leased, next_attempt_at=from_now(-900), lease_expires_at=from_now(60))

        oldest = self.find().oldest_due

        assert oldest.order == eu
        assert 190 < oldest.seconds <= 200

    def test_nothing_due(self):
        self.put(self.row, next_attempt_at=from_now(60))

        assert self.find().oldest_due is None

    def test_paused(self):
        PausedAccount.objects.pause("eu", seconds=60, error="401")
        PausedAccount.objects.pause("default", seconds=60, error="401")

        names = [account.account for account in self.find().paused]
        assert names == ["default", "eu"]

    def test_sweep(self):
        assert self.find().sweep_seconds is None

        sweep("default")
        assert self.find().sweep_seconds == 0
        Snapshot.objects.update(swept_at=from_now(-700))

        assert 600 < self.find().sweep_seconds <= 700

    def test_snapshot_spares_the_large_tables(self):
        sweep("default")
        pretend_large()
        assert SubmissionHour.objects.exists()

        with CaptureQueriesContext(connection) as queries:
            self.find()

        assert not any("COUNT" in query["sql"] for query in queries)
