from __future__ import annotations

import json
from datetime import timedelta

from django.db import connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models import ButtonOrder
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot, SubmissionHour
from django_button_orders.monitoring.orders import Closing
from django_button_orders.monitoring.snapshot import (
    Figures,
    count_figures,
    database_time,
    find_figures,
    store_sweep,
    take_snapshot,
)
from tests.monitoring.utils import add_calls, pretend_large
from tests.utils import button_settings, create_row, seconds_from_now


def put(**values):
    """Change the fields of the snapshot."""
    assert Snapshot.objects.update(**values) == 1


def find():
    """Return the shown number of pending orders, and its age."""
    figures, age = find_figures("default", database_time("default"))
    return figures.orders.statuses["pending"], age


@override_settings(BUTTON_ORDERS=button_settings())
class NoteTests(TestCase):
    def test_first_sweep(self):
        create_row()

        store_sweep("default")

        snapshot = Snapshot.objects.get()
        assert -60 < seconds_from_now(snapshot.swept_at) < 1
        assert snapshot.taken_at is not None
        assert snapshot.figures["groups"][0]["orders"] == 1

    def test_sweeps_one_after_another_write_nothing(self):
        store_sweep("default")

        with CaptureQueriesContext(connection) as queries:
            store_sweep("default")

        assert len(queries) == 3
        assert all(query["sql"].startswith(("UPDATE", "SELECT")) for query in queries)

    def test_noted_again_after_a_while(self):
        store_sweep("default")
        put(swept_at=from_now(-11))
        before = Snapshot.objects.get().swept_at

        store_sweep("default")

        assert Snapshot.objects.get().swept_at > before

    def test_taken_again_after_a_minute(self):
        store_sweep("default")
        next_at = Snapshot.objects.get().next_at
        assert 30 < seconds_from_now(next_at) < 120
        create_row()

        store_sweep("default")
        assert Snapshot.objects.get().figures["groups"] == []
        put(next_at=from_now(-1))
        store_sweep("default")

        assert len(Snapshot.objects.get().figures["groups"]) == 1

    def test_taken_by_one_of_those_who_sweep_at_once(self):
        counts = []

        def sweep_as_well(execute, sql, *arguments):
            if "GROUP BY" in sql and ButtonOrder._meta.db_table in sql:
                counts.append(sql)
                if len(counts) == 1:
                    store_sweep("default")
            return execute(sql, *arguments)

        with connection.execute_wrapper(sweep_as_well):
            store_sweep("default")

        # One query for settled orders, one for the others, one for late returns.
        assert len(counts) == 3

    def test_hours_are_kept(self):
        store_sweep("default")

        assert SubmissionHour.objects.count() >= 166

    def test_other_databases_have_their_own(self):
        store_sweep("archive")

        assert not Snapshot.objects.exists()
        assert Snapshot.objects.using("archive").exists()

    databases = {"default", "archive"}


@override_settings(BUTTON_ORDERS=button_settings())
class FiguresTests(TestCase):
    def test_there_and_back(self):
        row = create_row(finalizes_at=from_now(60))
        create_row(order_id="1995", status="closed", late_amount=2500)
        add_calls(row, 10, 20)
        figures = count_figures("default", database_time("default"))

        same = Figures.from_json(json.loads(json.dumps(figures.as_json())))

        assert same == figures
        assert same.orders.closing.orders == len(same.orders.late_returns) == 1
        assert sum(map(len, same.hours.values())) == 1

    def test_snapshot_of_an_earlier_version(self):
        orders = Figures.from_json({"groups": [], "hours": {}}).orders

        assert orders.late_returns == []
        assert orders.closing == Closing()

    def test_without_a_snapshot(self):
        create_row()

        assert find() == (1, 0)

    def test_fast_ones_are_counted_anew(self):
        take()
        create_row()
        pretend_large(seconds=0.05)

        assert find() == (1, 0)

    def test_few_ones_are_counted_anew(self):
        create_row(order_id="1")
        take()
        put(seconds=9)
        create_row()

        assert find() == (2, 0)

    def test_slow_ones_are_shown_with_their_age(self):
        take()
        taken_at = database_time("default") - timedelta(seconds=99)
        pretend_large(seconds=0.06, taken_at=taken_at)
        create_row()

        pending, age = find()

        assert pending == 0
        assert 99 <= age < 150

    def test_old_ones_are_counted_anew(self):
        take()
        old = database_time("default") - timedelta(seconds=601)
        pretend_large(seconds=0.06, taken_at=old)
        create_row()

        assert find() == (1, 0)

    def test_looking_writes_nothing(self):
        create_row()

        with CaptureQueriesContext(connection) as queries:
            find()

        assert {query["sql"].split()[0] for query in queries} == {"SELECT"}

    def take_slowly(self, seconds):
        """Take a snapshot whose three counting queries seem to take ``seconds``."""

        def dawdle(execute, sql, *arguments):
            if "GROUP BY" in sql and ButtonOrder._meta.db_table in sql:
                clock.append(seconds / 3)
            return execute(sql, *arguments)

        clock = []
        Snapshot.objects.get_or_create()
        with connection.execute_wrapper(dawdle):
            take_snapshot("default", clock=lambda: sum(clock))
        return Snapshot.objects.get()

    def test_slow_ones_are_taken_less_often(self):
        snapshot = self.take_slowly(1)

        # Snapshots take one part in a hundred of the time.
        assert snapshot.seconds == 1
        assert 60 < seconds_from_now(snapshot.next_at) <= 100

    def test_the_slowest_are_taken_before_they_are_old(self):
        snapshot = self.take_slowly(20)

        assert 240 < seconds_from_now(snapshot.next_at) <= 300


def take():
    Snapshot.objects.create()
    take_snapshot("default")
