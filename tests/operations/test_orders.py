from __future__ import annotations

import threading

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection, transaction
from django.test import (
    TestCase,
    TransactionTestCase,
    override_settings,
    skipUnlessDBFeature,
)

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder
from django_button_orders.operations.orders import run_action
from tests.admin.utils import create_user
from tests.tasks.utils import QueueTestCase, take_messages
from tests.utils import LONG_AGO, button_settings

rows, Status = ButtonOrder.objects, ButtonOrder.Status
REPORT = "django_button_orders.report_order"


def add_failed(count):
    rows.bulk_create(
        ButtonOrder(order_id=f"no {number}", status="failed", next_attempt_at=None)
        for number in range(count)
    )
    return list(rows.order_by("pk").values_list("pk", flat=True))


@override_settings(BUTTON_ORDERS=button_settings())
class ActionTests(TestCase):
    def run_on_each_status(self, name, **options):
        """Run an action on an order of each status, and return those it changed."""
        rows.bulk_create(
            ButtonOrder(order_id=status, status=status, updated_at=LONG_AGO)
            for status in Status.values
        )
        pks = list(rows.values_list("pk", flat=True))
        changed = run_action(
            name, pks, using="default", user_id=create_user().pk, **options
        )
        names = rows.filter(updated_at__gt=LONG_AGO).values_list("order_id", flat=True)
        assert changed == len(names) == LogEntry.objects.count()
        return set(names)

    def test_retry(self):
        assert self.run_on_each_status("retry") == {"closed", "failed", "dismissed"}

        assert rows.due().count() == 4

    def test_cancel(self):
        names = {"pending", "reported", "closed", "failed", "dismissed"}

        assert self.run_on_each_status("cancel") == names
        assert rows.due().filter(cancel_requested_at__isnull=False).count() == 5
        assert not rows.cancellable().exists()

    def test_dismiss(self):
        assert self.run_on_each_status("dismiss", note="Told Button by mail.") == {
            "failed"
        }

        row = rows.get(order_id="failed")
        assert (row.status, row.last_error) == ("dismissed", "Told Button by mail.")

    def test_nothing_changes_without_its_log_entry(self):
        pks, user = add_failed(2), create_user()

        def fail(execute, sql, *args):
            if sql.startswith("INSERT") and LogEntry._meta.db_table in sql:
                raise OperationalError("The disk is full.")
            return execute(sql, *args)

        for keys in (pks, pks[:1]):
            with connection.execute_wrapper(fail), pytest.raises(OperationalError):
                run_action("retry", keys, using="default", user_id=user.pk)

        assert rows.failed().count() == 2


@override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
class RingTests(QueueTestCase):
    def setUp(self):
        super().setUp()
        ContentType.objects.clear_cache()
        self.user = create_user()
        self.pks = add_failed(3)

    def rung(self):
        doorbell.flush()
        return take_messages()

    def test_each_says_who_asked(self):
        for verb in ("retry", "cancel"):
            rows.update(status="failed")
            with self.subTest(verb=verb):
                run_action(verb, self.pks, using="default", user_id=self.user.pk)

                by_admin = {
                    "using": "default",
                    "trigger": "admin",
                    "user_id": str(self.user.pk),
                }
                assert self.rung() == [(REPORT, [pk], by_admin) for pk in self.pks]

    def test_none_where_there_is_nothing_to_send(self):
        run_action("dismiss", self.pks, using="default", user_id=self.user.pk)

        assert self.rung() == []

    def test_only_for_those_that_change(self):
        rows.filter(pk=self.pks[0]).update(status="reported")

        changed = run_action("retry", self.pks, using="default", user_id=self.user.pk)

        assert changed == 2
        assert [pks[0] for _task, pks, _keywords in self.rung()] == self.pks[1:]
        assert LogEntry.objects.count() == 2


@override_settings(BUTTON_ORDERS=button_settings())
class LockTests(TransactionTestCase):
    """A shop may have locked one of the rows, and wait for another."""

    @skipUnlessDBFeature("has_select_for_update_skip_locked")
    def test_others_are_not_held_meanwhile(self):
        ContentType.objects.clear_cache()
        user, pks = create_user(), add_failed(3)
        thread = threading.Thread(target=self.dismiss, args=(user.pk, pks))
        with transaction.atomic():
            rows.select_for_update().get(pk=pks[0])
            thread.start()
            # The free rows have changed, and are free again.
            while rows.filter(status="failed").count() > 1:
                threading.Event().wait(0.01)
            rows.filter(pk__in=pks[1:]).update(btn_ref="srctok-2")
            assert rows.filter(status="dismissed", btn_ref="srctok-2").count() == 2

        thread.join(30)

        assert rows.filter(status="dismissed").count() == 3
        assert LogEntry.objects.count() == 3

    def dismiss(self, user_id, pks):
        try:
            run_action("dismiss", pks, using="default", user_id=user_id)
        finally:
            connection.close()
