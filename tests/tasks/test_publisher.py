from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import datetime

import pytest
from django.test import SimpleTestCase, override_settings
from kombu.exceptions import OperationalError

from django_button_orders import doorbell
from django_button_orders.doorbell import Ring
from django_button_orders.models import ButtonOrder
from django_button_orders.tasks import report_due_orders
from django_button_orders.tasks.publisher import CeleryPublisher
from tests import celery
from tests.celery import app
from tests.shop.models import Order, OrderLine
from tests.tasks.utils import QueueTestCase, broken_broker, take_messages
from tests.utils import (
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
    seconds_from_now,
)


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

    def test_delay(self):
        publisher = CeleryPublisher()
        publisher.publish(Ring(1, "default", delay=30))
        publisher.close()

        [message] = celery.take_messages()
        eta = datetime.fromisoformat(message.headers["eta"])
        assert 20 < seconds_from_now(eta) <= 30

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

    def test_process_that_forks_during_the_first_ring(self):
        """The child must not inherit modules that are half imported."""
        code = (
            "import django, sys; django.setup(); from tests.celery import app; "
            "app.conf.broker_transport = 'tests.tasks.slow_transport:Transport'; "
            "from tests.tasks.forking import main; sys.exit(main())"
        )
        environment = {
            **os.environ,
            "CELERY_BROKER_URL": "memory://",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        }

        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-W", "ignore", "-c", code],
            env=environment,
            timeout=300,
            check=False,
        )

        assert done.returncode == 0

    @override_settings(BUTTON_ORDERS=button_settings(QUEUE="button"))
    def test_queue(self):
        take_messages("button")
        publisher = CeleryPublisher()

        publisher.publish(Ring(1, "default"))
        publisher.close()
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
        self.addCleanup(setattr, bell, "muted_until", bell.muted_until)
        bell.muted_until = float("inf")

        Order.objects.create(number="42")

        assert ButtonOrder.objects.get().status == "reported"

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_bug_in_a_task_does_not_break_the_save(self):
        ButtonOrder.objects.bulk_create([ButtonOrder(order_id="42", account="moon")])

        Order.objects.create(number="42", account="moon")

        assert ButtonOrder.objects.get().status == "failed"


class ConnectionTests(SimpleTestCase):
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
