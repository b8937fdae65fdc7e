from __future__ import annotations

import signal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import InterfaceError, OperationalError, connection
from django.test import TransactionTestCase, override_settings

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder, QueuedAction
from django_button_orders.operations.queue import queue_action, run_queued_actions
from django_button_orders.tasks import report_due_orders
from tests.admin.utils import create_user
from tests.management.processes import ProcessTestCase
from tests.operations.test_orders import REPORT, add_failed
from tests.tasks.utils import QueueTestCase, take_messages
from tests.utils import button_settings

rows, queue = ButtonOrder.objects, QueuedAction.objects


def leave(name, pks, **options):
    """Queue an action of an operator."""
    user_id = create_user().pk
    options = {"using": "default", "what": f"{name}: {len(pks)} orders", **options}
    queue_action(name, pks, user_id=user_id, **options)


def never():
    return False


@override_settings(BUTTON_ORDERS=button_settings())
class QueueTests(TransactionTestCase):
    def setUp(self):
        ContentType.objects.clear_cache()

    def test_batches(self):
        """A large action is stored in several rows, so that no transaction is long."""
        pks = add_failed(1201)

        leave("dismiss", pks, note="Told Button by mail.")

        assert [len(action.keys) for action in queue.order_by("pk")] == [500, 500, 201]
        assert run_queued_actions(using="default", is_stopped=never)
        assert rows.filter(last_error="Told Button by mail.").count() == 1201
        assert not queue.exists()

    def test_stopped_and_resumed(self):
        pks = add_failed(1001)
        leave("dismiss", pks)
        answers = [False, True]

        is_complete = run_queued_actions(
            using="default", is_stopped=lambda: answers.pop(0)
        )

        assert not is_complete
        assert rows.filter(status="dismissed").count() == 500
        assert run_queued_actions(using="default", is_stopped=never)
        assert rows.filter(status="dismissed").count() == 1001

    def test_log_entry_that_is_gone(self):
        """Nobody asks for the action any more, and later ones go on."""
        leave("dismiss", add_failed(2))
        LogEntry.objects.all().delete()

        assert run_queued_actions(using="default", is_stopped=never)

        assert not queue.exists()
        assert not rows.filter(status="dismissed").exists()

    def test_killed_before_the_batch_was_deleted(self):
        """The next sweep skips the orders that were changed."""
        leave("dismiss", add_failed(3))

        def die(execute, sql, *args):
            if sql.startswith("DELETE") and QueuedAction._meta.db_table in sql:
                raise KeyboardInterrupt
            return execute(sql, *args)

        with connection.execute_wrapper(die), pytest.raises(KeyboardInterrupt):
            run_queued_actions(using="default", is_stopped=never)
        assert queue.count() == 1

        assert run_queued_actions(using="default", is_stopped=never)
        assert not queue.exists()
        # One for the request, and one for each order.
        assert LogEntry.objects.count() == 1 + 3

    def test_database_that_is_away(self):
        """The action waits, and the other work of the sweep goes on."""
        leave("dismiss", add_failed(3))
        troubles = [OperationalError("starting up"), InterfaceError("closed")]

        def be_away(execute, sql, *args):
            if troubles and "SELECT" in sql and QueuedAction._meta.db_table in sql:
                raise troubles.pop()
            return execute(sql, *args)

        with connection.execute_wrapper(be_away):
            for _ in range(2):
                with self.assertLogs("django_button_orders", "ERROR"):
                    report_due_orders()
        assert rows.failed().count() == 3

        report_due_orders()
        assert rows.filter(status="dismissed").count() == 3


@override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
class RingTests(QueueTestCase):
    def test_one_stands_for_a_batch(self):
        ContentType.objects.clear_cache()
        pks = add_failed(3)
        leave("retry", pks)

        run_queued_actions(using="default", is_stopped=never)

        doorbell.flush()
        [(task, rung, _keywords)] = take_messages()
        assert (task, rung) == (REPORT, pks[:1])
        assert rows.due().count() == 3


class ProcessTests(ProcessTestCase):
    """Without Celery, the loop does what operators have asked for."""

    def setUp(self):
        super().setUp()
        self.button_orders |= {"DOORBELL": "none"}
        with override_settings(BUTTON_ORDERS=self.button_orders):
            self.pks = add_failed(1001)
            leave("dismiss", self.pks)
        self.publish()

    def dismissed(self):
        self.refresh()
        return rows.filter(status="dismissed").count()

    def test_loop_is_killed_and_starts_again(self):
        loop = self.loop()
        self.wait_for("a batch to be done", lambda: self.dismissed() >= 500)
        loop.stop(signal.SIGKILL)

        self.loop()

        self.wait_for("all to be done", lambda: self.dismissed() == 1001)
        assert LogEntry.objects.count() == 1 + 1001

    def loop(self):
        command = self.arguments("button_orders_report", "--loop", "--interval", "1")
        return self.start_logged(*command)

    def test_without_the_loop(self):
        """A cron job may run the command once every few minutes."""
        status, _, error = self.run_command("button_orders_report")

        assert (status, error) == (0, "")
        assert self.dismissed() == 1001
