from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import responses
from django.test import TestCase, TransactionTestCase, override_settings
from kombu.exceptions import OperationalError

from django_button_orders import doorbell
from django_button_orders.doorbell import Ring
from django_button_orders.models import ButtonOrder
from django_button_orders.tasks import (
    CeleryPublisher,
    prune_submissions,
    report_due_orders,
    report_order,
)
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


def take_messages(queue="celery"):
    """Return the arguments of the messages in a queue, and empty it."""
    taken = []
    with app.connection_for_read() as connection:
        simple = connection.SimpleQueue(queue)
        while simple.qsize():
            message = simple.get(block=False)
            taken.append((message.headers["task"], *message.payload[:2]))
            message.ack()
        simple.close()
    return taken


class QueueTestCase(TransactionTestCase):
    def setUp(self):
        super().setUp()
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
            target=lambda: (publisher.prepare(), publisher.publish(Ring(1, "default")))
        )

        thread.start()
        thread.join()

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
        report_due_orders.delay()

        assert take_messages() == []
        assert len(take_messages("button")) == 2


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
        bell.muted_until = float("inf")
        self.addCleanup(bell.reset)

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
