from __future__ import annotations

import json

import responses
from celery import Celery
from celery.beat import Scheduler
from django.test import SimpleTestCase, override_settings

from django_button_orders import beat_schedule
from django_button_orders.models import ButtonOrder
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.tasks import (
    prune_submissions,
    report_due_orders,
    report_order,
)
from tests import celery
from tests.celery import app
from tests.tasks.utils import QueueTestCase, broken_broker, take_messages
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

    def test_sweep_is_recorded_everywhere(self):
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
class RegistrationTests(SimpleTestCase):
    def test_names_and_results(self):
        for task in (report_order, report_due_orders, prune_submissions):
            assert task.name == f"django_button_orders.{task.__name__}"
            assert task.ignore_result is True


class TimeLimitTests(QueueTestCase):
    """The limits of a project are for its other tasks."""

    def limits(self, **conf):
        """Return the limits in a message, as a worker reads them."""
        shop = Celery("shop", broker=app.conf.broker_url)
        self.addCleanup(app.set_current)
        shop.conf.update(task_default_queue=app.conf.task_default_queue, **conf)
        shop.tasks[report_due_orders.name].delay()
        [message] = celery.take_messages()
        return message.headers["timelimit"]

    def test_own(self):
        assert self.limits() == [3600, 3300]
        own = self.limits(task_time_limit=5, task_soft_time_limit=3)
        assert own == [3600, 3300]

    def test_limit_that_somebody_sets_for_them(self):
        annotations = {"*": {"time_limit": 100}}

        assert self.limits(task_annotations=annotations) == [100, 50]


class BeatTests(QueueTestCase):
    def test_entries(self):
        """Celery's own beat does not know the option of django-celery-beat."""
        scheduler = Scheduler(app=app, lazy=True)
        for name, values in beat_schedule().items():
            entry = scheduler.Entry(name=name, app=app, **values)
            with app.connection_for_write() as connection:
                producer = app.amqp.Producer(connection)
                scheduler.apply_async(entry, producer=producer, advance=False)

        messages = celery.take_messages()
        assert len(messages) == len(beat_schedule())
        for message in messages:
            assert message.headers["expires"] is not None
            assert "expire_seconds" not in {**message.properties, **message.headers}
