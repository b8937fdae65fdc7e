from __future__ import annotations

import threading
from contextlib import contextmanager
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.outbox import upsert
from tests.utils import LONG_AGO, create_row, seconds_from_now

rows = ButtonOrder.objects
SOURCE = {"source_type_id": None, "source_id": "7"}
CLOCKS = {"next_attempt_at", "created_at", "updated_at"}
FIELDS = [field.attname for field in ButtonOrder._meta.concrete_fields]


def values(pk, *, without=()):
    left_out = {*CLOCKS, "id", *without}
    row = rows.values(*FIELDS).get(pk=pk)
    return {name: value for name, value in row.items() if name not in left_out}


class InsertTests(TestCase):
    databases = {"default", "archive"}

    def test_is_what_django_would_make(self):
        made = ButtonOrder(account="eu", order_id="1", **SOURCE)
        made.save()

        pk = upsert.insert_row("eu", "2", SOURCE, using="default")

        known = {"order_id"}
        assert values(pk, without=known) == values(made.pk, without=known)
        row = rows.get(pk=pk)
        assert row.order_id == "2"
        for name in CLOCKS:
            assert abs(seconds_from_now(getattr(row, name))) < 60
        assert rows.due().filter(pk=pk).exists()

    def test_there_is_one(self):
        create_row(order_id="1", account="eu")

        assert upsert.insert_row("eu", "1", SOURCE, using="default") is None
        assert rows.get().revision == 1
        assert upsert.insert_row("default", "1", SOURCE, using="default") is not None

    def test_database(self):
        pk = upsert.insert_row("eu", "1", SOURCE, using="archive")

        assert not rows.exists()
        assert rows.using("archive").get().pk == pk

    def test_nothing_in_the_text_is_sql(self):
        text = "%s' OR 1 = 1 -- \\ %(x)s"

        pk = upsert.insert_row(
            text, text, {**SOURCE, "source_id": text}, using="default"
        )

        row = rows.get(pk=pk)
        assert (row.account, row.order_id, row.source_id) == (text, text, text)
        assert upsert.update_row(text, text, using="default") == (
            pk,
            None,
            text,
        )


class MarkTests(TestCase):
    def test_is_what_the_queryset_does(self):
        lease = {"lease_token": uuid4(), "lease_expires_at": LONG_AGO}
        for held in ({}, lease):
            for status in ButtonOrder.Status:
                with self.subTest(status=status, held=bool(held)):
                    rows.all().delete()
                    like = {
                        "status": status,
                        "reason": "refused",
                        "revision": 4,
                        "attempts": 3,
                        "last_error": "No",
                        **held,
                    }
                    one, other = (create_row(order_id=key) for key in ("1", "2"))
                    rows.update(next_attempt_at=None, updated_at=LONG_AGO, **like)

                    assert upsert.update_row("default", "1", using="default") == (
                        one.pk,
                        None,
                        None,
                    )
                    rows.filter(pk=other.pk).mark_changed()

                    known = {"order_id"}
                    assert values(one.pk, without=known) == values(
                        other.pk, without=known
                    )
                    assert rows.get(pk=one.pk).revision == 5
                    for row in rows.all():
                        assert abs(seconds_from_now(row.next_attempt_at)) < 60
                        assert abs(seconds_from_now(row.updated_at)) < 60

    def test_of_this_order_alone(self):
        create_row(order_id="1", account="eu")
        create_row(order_id="2")

        assert upsert.update_row("default", "1", using="default") is None
        assert {row.revision for row in rows.all()} == {1}


class HoldTests(TestCase):
    """With FIRST_REPORT_DELAY, a new row is held from when it was inserted."""

    def insert(self, delay):
        with override_settings(BUTTON_ORDERS={"FIRST_REPORT_DELAY": delay}):
            pk = upsert.insert_row("default", "1", SOURCE, using="default")
        return rows.get(pk=pk)

    def test_inserted(self):
        for delay in (0.5, 30, 86400):
            with self.subTest(delay=delay):
                rows.all().delete()
                row = self.insert(delay)

                held = row.next_attempt_at - row.created_at
                assert abs(held.total_seconds() - delay) < 0.1

    def test_zero_changes_nothing(self):
        assert "next_attempt_at" not in upsert.insert_sql("default")
        assert "unanswered" not in upsert.update_sql("default")

    def test_changes_do_not_bring_it_forward(self):
        row = self.insert(600)
        with override_settings(BUTTON_ORDERS={"FIRST_REPORT_DELAY": 600}):
            upsert.update_row("default", "1", using="default")
            rows.mark_changed()
            rows.cancel()

        again = rows.get()
        assert again.next_attempt_at == row.next_attempt_at
        assert again.revision == 4

    def test_rows_that_are_not_new(self):
        """They wait for a retry, and a change makes them due at once."""
        not_new = (
            {"attempts": 1, "reason": "unavailable"},
            {"unanswered": 1},
            {"reported_revision": 1},
            {"reason": "unauthorized"},
            {"status": "failed", "next_attempt_at": None},
        )
        for change in not_new:
            with self.subTest(change=change):
                rows.all().delete()
                self.insert(600)
                rows.update(**change)
                with override_settings(BUTTON_ORDERS={"FIRST_REPORT_DELAY": 600}):
                    upsert.update_row("default", "1", using="default")

                assert rows.due().count() == 1

    def test_wrong_settings_break_no_save(self):
        row = self.insert("soon")

        assert rows.due().get() == row


class LockedTests(TransactionTestCase):
    """MySQL does not wait for a lock, because a deadlock would undo the shop's save."""

    def test_row_that_somebody_has_locked(self):
        create_row(order_id="1")
        with transaction.atomic():
            if not upsert.must_not_wait("default"):
                assert connection.vendor != "mysql"
                assert upsert.update_row("default", "1", using="default")
                return

        with self.locked(), transaction.atomic():
            assert upsert.update_row("default", "2", using="default") is None
            with pytest.raises(OperationalError):
                upsert.update_row("default", "1", using="default")
            # Only the statement has failed, and not the transaction.
            assert rows.get().revision == 1

        with transaction.atomic():
            assert upsert.update_row("default", "1", using="default") == (
                rows.get().pk,
                None,
                None,
            )
        assert rows.get().revision == 2

    @contextmanager
    def locked(self):
        locked, done = threading.Event(), threading.Event()

        def hold():
            with transaction.atomic():
                rows.select_for_update().get(order_id="1")
                locked.set()
                done.wait(30)
            connection.close()

        holder = threading.Thread(target=hold)
        holder.start()
        assert locked.wait(30)
        try:
            yield
        finally:
            done.set()
            holder.join(30)
