from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from celery.bootsteps import Blueprint
from celery.signals import worker_shutting_down
from django.test import TestCase, override_settings

from django_button_orders.delivery.rate_limit import reserve_turns
from django_button_orders.models import ButtonOrder
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.tasks import report_due_orders, report_order
from django_button_orders.tasks.worker import shutdown
from tests import celery
from tests.tasks.utils import (
    QueueTestCase,
    broken_broker,
    take_messages,
    wait_for_help,
)
from tests.utils import add_answer, button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class EndingTests(TestCase):
    """A worker that is told to end starts no more calls."""

    def test_sweep(self):
        row = create_row()
        self.addCleanup(shutdown.on_start)

        worker_shutting_down.send(sender="celery@host", sig="SIGTERM", how="Warm")
        report_due_orders()

        row.refresh_from_db()
        assert (row.status, row.attempts) == ("pending", 0)
        assert not Snapshot.objects.exists()

    def test_next_worker_of_the_process(self):
        self.addCleanup(shutdown.on_start)

        worker_shutting_down.send(sender="celery@host", sig="SIGTERM", how="Warm")
        # Sent as a signal, it would have Celery set its worker up.
        shutdown.on_start()

        assert not shutdown.is_ending()

    def test_worker_that_fails_as_it_is_told_to_end(self):
        """So does Celery's pool of threads at SIGQUIT: no signal is sent."""
        self.addCleanup(shutdown.on_start)
        worker = SimpleNamespace(steps=[])
        shutdown.on_start(sender=worker)
        assert not shutdown.is_ending()
        worker.blueprint = Blueprint()
        worker.blueprint.start(worker)
        assert not shutdown.is_ending()

        worker.blueprint.stop(worker)

        assert shutdown.is_ending()

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_processes_of_the_pool_know(self):
        self.addCleanup(shutdown.on_start)
        pid = os.fork()
        if pid == 0:
            shutdown.on_end()
            os._exit(0)
        os.waitpid(pid, 0)

        assert shutdown.is_ending()


@override_settings(BUTTON_ORDERS=button_settings(BATCH_SIZE=4))
class WorkerTests(QueueTestCase):
    """What a worker does with the tasks."""

    def setUp(self):
        super().setUp()
        add_answer("POST")
        self.addCleanup(shutdown.on_start)

    def run_task(self, task, *args, **kwargs):
        task.push_request(called_directly=False)
        try:
            task.run(*args, **kwargs)
        finally:
            task.pop_request()

    def statuses(self):
        rows = ButtonOrder.objects.order_by("pk")
        return list(rows.values_list("status", flat=True))

    def test_one_ring_stands_for_many_rows(self):
        first = create_row(order_id="1")
        for number in range(2, 4):
            create_row(order_id=f"{number}")

        self.run_task(report_order, first.pk)

        assert self.statuses() == ["reported"] * 3
        assert take_messages() == []

    def test_what_a_person_asked_for_is_one_row(self):
        asked = create_row(order_id="1")
        other = create_row(order_id="2")

        self.run_task(report_order, asked.pk, trigger="admin", user_id="7")

        found = [
            (submission.trigger, submission.user_id)
            for row in (asked, other)
            for submission in row.submissions.all()
        ]
        assert found == [("admin", 7), ("sweep", None)]

    def test_ring_that_others_have_answered(self):
        first = create_row(order_id="1")
        self.run_task(report_order, first.pk)
        create_row(order_id="2")

        self.run_task(report_order, first.pk)

        assert self.statuses() == ["reported"] * 2

    def test_leaves_the_rest_to_those_who_are_busy(self):
        for number in range(4):
            create_row(order_id=f"busy {number}")
        ButtonOrder.objects.claim(limit=4, lease_seconds=60)
        mine = create_row(order_id="mine")
        create_row(order_id="another")

        self.run_task(report_order, mine.pk)

        assert self.statuses() == ["pending"] * 4 + ["reported", "pending"]

    def test_backlog_calls_for_help_once(self):
        for number in range(14):
            create_row(order_id=f"{number}")

        self.run_task(report_due_orders)

        assert self.statuses() == ["reported"] * 14
        wait_for_help()
        [message] = celery.take_messages()
        assert message.headers["task"] == "django_button_orders.report_due_orders"
        assert message.headers["expires"] is not None

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.05))
    def test_ring_out_of_turn_calls_later(self):
        """Many of them, once."""
        reserve_turns("default", 2)
        for number in range(3):
            self.run_task(report_order, create_row(order_id=f"{number}").pk)

        wait_for_help()
        messages = celery.take_messages()
        assert 1 <= len(messages) <= 3
        assert {message.headers["task"] for message in messages} == {
            "django_button_orders.report_due_orders"
        }
        assert messages[0].headers["eta"] is not None
        assert self.statuses() == ["pending"] * 3

    def test_caller_who_is_no_worker(self):
        """Nobody else is called, and no other order is waited for."""
        rows = [create_row(order_id=f"{number}") for number in range(6)]

        report_order(rows[0].pk)
        assert self.statuses() == ["reported"] + ["pending"] * 5

        report_due_orders()
        assert self.statuses() == ["reported"] * 6
        assert take_messages() == []

    def test_broker_that_is_away_does_not_keep_a_backlog(self):
        for number in range(14):
            create_row(order_id=f"{number}")

        with broken_broker(), self.assertLogs("django_button_orders", "WARNING"):
            self.run_task(report_due_orders)
            wait_for_help()

        assert self.statuses() == ["reported"] * 14
