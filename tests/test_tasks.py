from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import responses
from celery.bootsteps import Blueprint
from celery.signals import worker_shutting_down
from django.test import TestCase, TransactionTestCase, override_settings
from kombu.exceptions import OperationalError

from django_button_orders import doorbell
from django_button_orders.delivery.rate_limit import take_turns
from django_button_orders.doorbell import Ring
from django_button_orders.models import ButtonOrder
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.tasks import (
    CeleryPublisher,
    prune_submissions,
    report_due_orders,
    report_order,
    shutdown,
)
from tests import celery
from tests.celery import app
from tests.shop.models import Order, OrderLine
from tests.utils import (
    OK,
    ORDERS_URL,
    add_answer,
    button_settings,
    calls,
    create_row,
    make_due,
    order_url,
)


def take_messages(queue=None):
    """Return the arguments of the messages in a queue, and empty it."""
    return [
        (message.headers["task"], *message.payload[:2])
        for message in celery.take_messages(queue)
    ]


@override_settings(BUTTON_ORDERS=button_settings())
class EndingTests(TestCase):
    """A worker that is told to end starts no more calls."""

    def test_sweep(self):
        row = create_row()
        self.addCleanup(shutdown.note_start)

        worker_shutting_down.send(sender="celery@host", sig="SIGTERM", how="Warm")
        report_due_orders()

        row.refresh_from_db()
        assert (row.status, row.attempts) == ("pending", 0)
        assert not Snapshot.objects.exists()

    def test_next_worker_of_the_process(self):
        self.addCleanup(shutdown.note_start)

        worker_shutting_down.send(sender="celery@host", sig="SIGTERM", how="Warm")
        # Sent as a signal, it would have Celery set its worker up.
        shutdown.note_start()

        assert not shutdown.is_ending()

    def test_worker_that_fails_as_it_is_told_to_end(self):
        """So does Celery's pool of threads at SIGQUIT: no signal is sent."""
        self.addCleanup(shutdown.note_start)
        worker = SimpleNamespace(steps=[])
        shutdown.note_start(sender=worker)
        assert not shutdown.is_ending()
        worker.blueprint = Blueprint()
        worker.blueprint.start(worker)
        assert not shutdown.is_ending()

        worker.blueprint.stop(worker)

        assert shutdown.is_ending()

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_processes_of_the_pool_know(self):
        self.addCleanup(shutdown.note_start)
        pid = os.fork()
        if pid == 0:
            shutdown.note_end()
            os._exit(0)
        os.waitpid(pid, 0)

        assert shutdown.is_ending()


class QueueTestCase(TransactionTestCase):
    def setUp(self):
        super().setUp()
        # Also what other tests have rung for, and what is not published yet.
        doorbell.flush()
        take_messages()
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)


@override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
class PublisherTests(QueueTestCase):
    def test_keys_only(self):
        row = create_row(customer={"id": "u-77"})
        doorbell.flush()

        assert take_messages() == [
            (
                "django_button_orders.report_order",
                [row.pk],
                {"using": "default", "trigger": "save"},
            )
        ]

    def test_known_in_every_thread(self):
        """Celery's current app is that of one thread: others would make one up."""
        publisher = CeleryPublisher()
        thread = threading.Thread(
            target=lambda: (publisher.is_eager(), publisher.publish(Ring(1, "default")))
        )

        thread.start()
        thread.join()
        publisher.close()

        assert len(take_messages()) == 1

    def test_refused(self):
        publisher = CeleryPublisher()

        with broken_broker(), pytest.raises(OperationalError):
            publisher.publish(Ring(1, "default"))

    def test_stale_connection_is_replaced(self):
        publisher = CeleryPublisher()
        publisher.publish(Ring(1, "default"))
        publisher.connection.release()

        publisher.publish(Ring(2, "default"))
        publisher.close()

        assert [arguments for _, arguments, _ in take_messages()] == [[1], [2]]

    def test_forked_child_leaves_the_connection_alone(self):
        publisher = CeleryPublisher()
        publisher.publish(Ring(1, "default"))
        connection = publisher.connection

        publisher.forget()

        assert publisher.connection is None
        assert connection.connected
        publisher.publish(Ring(2, "default"))
        assert len(take_messages()) == 2
        connection.close()
        publisher.close()

    @override_settings(BUTTON_ORDERS=button_settings(QUEUE="button"))
    def test_queue(self):
        take_messages("button")
        publisher = CeleryPublisher()

        publisher.publish(Ring(1, "default"))
        publisher.close()
        report_due_orders.delay()

        assert take_messages() == []
        assert len(take_messages("button")) == 2


@override_settings(BUTTON_ORDERS=button_settings(BATCH_SIZE=4))
class WorkerTests(QueueTestCase):
    """What a worker does with the tasks."""

    def setUp(self):
        super().setUp()
        add_answer("POST")
        self.addCleanup(shutdown.note_start)

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
        for thread in threading.enumerate():
            if thread.name == "button-orders-help":
                thread.join(10)
        [message] = celery.take_messages()
        assert message.headers["task"] == "django_button_orders.report_due_orders"
        assert message.headers["expires"] is not None

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.05))
    def test_ring_out_of_turn_calls_later(self):
        """Many of them, once."""
        take_turns("default", 2)
        for number in range(3):
            self.run_task(report_order, create_row(order_id=f"{number}").pk)

        for thread in threading.enumerate():
            if thread.name == "button-orders-help":
                thread.join(10)
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
            for thread in threading.enumerate():
                if thread.name == "button-orders-help":
                    thread.join(10)

        assert self.statuses() == ["reported"] * 14


class EagerTests(QueueTestCase):
    def setUp(self):
        super().setUp()
        app.conf.task_always_eager = True
        self.addCleanup(setattr, app.conf, "task_always_eager", False)

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_runs_after_the_commit(self):
        add_answer("POST")

        order = Order.objects.create(number="42")

        assert ButtonOrder.objects.get().status == "reported"
        add_answer("POST", order_url("42"))
        OrderLine.objects.create(order=order, sku="a", price=1)
        assert calls() == ["POST /v1/order", "POST /v1/order/42"]

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_is_not_muted_by_a_broker_that_failed(self):
        add_answer("POST")
        bell = doorbell._bells[0]
        self.addCleanup(setattr, bell, "muted_until", bell.muted_until)
        bell.muted_until = float("inf")

        Order.objects.create(number="42")

        assert ButtonOrder.objects.get().status == "reported"

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_bug_in_a_task_does_not_break_the_save(self):
        ButtonOrder.objects.bulk_create([ButtonOrder(order_id="42", account="moon")])

        Order.objects.create(number="42", account="moon")

        assert ButtonOrder.objects.get().status == "failed"


@override_settings(BUTTON_ORDERS=button_settings())
class ReportOrderTests(QueueTestCase):
    def test_reports(self):
        add_answer("POST")
        row = create_row()

        report_order(row.pk)

        row.refresh_from_db()
        assert row.status == "reported"
        assert row.submissions.get().trigger == "save"
        assert take_messages() == []

    def test_short_wait_rings_later(self):
        add_answer("POST", status=503)
        row = create_row()

        report_order(row.pk)

        assert take_messages() == [
            (
                "django_button_orders.report_order",
                [row.pk],
                {"using": "default"},
            )
        ]

    def test_long_wait_is_in_the_database_alone(self):
        add_answer("POST", status=503)
        row = create_row()
        ButtonOrder.objects.update(attempts=4)

        report_order(row.pk)

        row.refresh_from_db()
        assert row.status == "pending"
        assert take_messages() == []

    def test_changed_while_sending_rings_at_once(self):
        row = create_row()

        def answer(request):
            ButtonOrder.objects.mark_changed()
            return 200, {}, json.dumps(OK)

        responses.add_callback("POST", ORDERS_URL, answer)

        report_order(row.pk)

        assert len(take_messages()) == 1

    def test_broker_is_gone(self):
        add_answer("POST", status=503)
        row = create_row()
        app.conf.task_publish_retry = False
        self.addCleanup(setattr, app.conf, "task_publish_retry", True)

        with broken_broker(), self.assertLogs("django_button_orders.tasks"):
            report_order(row.pk)

        row.refresh_from_db()
        assert row.status == "pending"

    def test_row_is_gone(self):
        report_order(4711)

        assert calls() == []


@contextmanager
def broken_broker():
    """Let Celery talk to a port where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        before = app.conf.broker_url, app.conf.broker_write_url
        app.conf.broker_url = app.conf.broker_write_url = f"amqp://127.0.0.1:{port}//"
        app._pool = app.amqp._producer_pool = None
        try:
            yield
        finally:
            app.conf.broker_url, app.conf.broker_write_url = before
            app._pool = app.amqp._producer_pool = None


@override_settings(BUTTON_ORDERS=button_settings())
class SweepTaskTests(QueueTestCase):
    databases = {"default", "archive"}

    def test_reports_what_is_due_everywhere(self):
        add_answer("POST")
        create_row(order_id="1")
        create_row(order_id="2", using="archive")
        create_row(order_id="3")
        ButtonOrder.objects.filter(order_id="3").update(status="failed")

        report_due_orders()

        assert len(calls()) == 2
        assert ButtonOrder.objects.get(order_id="1").status == "reported"
        archived = ButtonOrder.objects.using("archive").get()
        assert archived.status == "reported"
        assert archived.submissions.get().trigger == "sweep"

    def test_it_is_noted_everywhere(self):
        report_due_orders()

        assert Snapshot.objects.exists()
        assert Snapshot.objects.using("archive").exists()

    def test_bulk_created_rows(self):
        add_answer("POST")
        row = create_row()
        row.pk, row.order_id = None, "2"
        ButtonOrder.objects.bulk_create([row])

        report_due_orders()

        assert ButtonOrder.objects.filter(status="reported").count() == 2

    def test_waiting_rows_wait(self):
        add_answer("POST", status=503)
        create_row()
        report_due_orders()

        report_due_orders()

        assert len(calls()) == 1
        make_due()
        add_answer("GET", order_url(), status=503)
        report_due_orders()
        assert len(calls()) == 2

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_not_enabled(self):
        create_row()

        report_due_orders()

        assert calls() == []

    @override_settings(
        BUTTON_ORDERS=button_settings(
            ACCOUNTS={"eu": {"ENABLED": False}}, BATCH_SIZE=2, CONCURRENCY=2
        )
    )
    def test_batches_of_enabled_accounts(self):
        add_answer("POST")
        for number in range(7):
            create_row(order_id=f"{number}")
        create_row(account="eu")

        report_due_orders()

        assert len(calls()) == 7


@override_settings(BUTTON_ORDERS=button_settings())
class RegistrationTests(TestCase):
    def test_names_and_results(self):
        for task in (report_order, report_due_orders, prune_submissions):
            assert task.name == f"django_button_orders.{task.__name__}"
            assert task.ignore_result is True

    def test_publisher_is_connected(self):
        """In every process that sets up Django, such as a web server."""
        code = (
            "import django; django.setup();"
            "from django_button_orders import doorbell;"
            "print(type(doorbell._bells[0].publisher).__name__,"
            " doorbell._bells[0].publisher.app.main)"
        )

        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout == "CeleryPublisher tests\n"
