from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager
from unittest.mock import patch

import pytest
import responses
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.contenttypes.models import ContentType
from django.db import DataError, OperationalError, connection, connections, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from django_button_orders import suppress_reporting
from django_button_orders.delivery.call import perform
from django_button_orders.delivery.claims import Claims
from django_button_orders.delivery.prepare import prepare
from django_button_orders.delivery.sweep import (
    FLUSH_SECONDS,
    SweepLimits,
    record_interrupted,
    report,
    report_due,
)
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.clock import from_now
from django_button_orders.signals import order_reported
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import Order
from tests.utils import (
    OK,
    ORDERS_URL,
    add_answer,
    button_settings,
    calls,
    create_row,
    make_due,
)


@override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1, BATCH_SIZE=3))
class ReportDueTests(TestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        for number in range(9):
            create_row(order_id=f"{number}")

    def test_outcomes_and_progress(self):
        add_answer("POST")
        seen = []

        outcomes = report_due(using="default", progress=seen.append)

        assert outcomes == {"reported": 9}
        assert seen == ["reported"] * 9

    def test_narrowed(self):
        add_answer("POST")
        rows = ButtonOrder.objects.filter(order_id__in=["1", "2"])

        assert report_due(using="default", rows=rows) == {"reported": 2}

    @override_settings(BUTTON_ORDERS=button_settings(BATCH_SIZE=1))
    def test_batch_that_is_recorded_at_once(self):
        """A slow machine records a batch before it looks whether more is due."""
        ButtonOrder.objects.all().cancel()
        limits = SweepLimits(on_backlog=lambda: time.sleep(2 * FLUSH_SECONDS))

        assert report_due(using="default", limits=limits) == {"cancelled": 9}

    def test_stopped(self):
        def answer(request):
            stopped.append(True)
            return 200, {}, ""

        stopped = []
        responses.add_callback("POST", ORDERS_URL, answer)

        outcomes = report_due(
            using="default", limits=SweepLimits(is_stopped=lambda: bool(stopped))
        )

        assert len(calls()) == 1
        assert outcomes == {"reported": 1, "release": 2}
        assert ButtonOrder.objects.due().count() == 8
        assert not ButtonOrder.objects.pending().filter(attempts__gt=0).exists()

    @override_settings(
        BUTTON_ORDERS=button_settings(CONCURRENCY=1, BATCH_SIZE=3, LEASE_SECONDS=36)
    )
    def test_given_back_and_claimed_again(self):
        def answer(request):
            # Too slow for the others of its batch.
            waits.append(time.sleep(1.1 if len(waits) == 0 else 0))
            return 200, {}, ""

        waits = []
        responses.add_callback("POST", ORDERS_URL, answer)

        assert report_due(using="default") == {"reported": 9}
        assert not ButtonOrder.objects.exclude(status="reported").exists()

    @override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1, BATCH_SIZE=3))
    def test_key_that_is_restored(self):
        """A probe is sent, although the sweep has seen the key refused."""

        def answer(request):
            return 200 if restored else 401, {}, ""

        def wait(outcome):
            if outcome == "pause":
                # In five minutes, while the sweep has other things to do.
                restored.append(True)
                PausedAccount.objects.update(probe_at=from_now(-1))
                make_due()

        restored = []
        responses.add_callback("POST", ORDERS_URL, answer)
        outcomes = report_due(using="default", progress=wait)

        assert not PausedAccount.objects.exists()
        assert outcomes["pause"] == 1
        report_due(using="default")
        assert not ButtonOrder.objects.exclude(status="reported").exists()
        # None of those that were claimed with the refused one was sent.
        assert len(calls()) == 10

    @override_settings(BUTTON_ORDERS=button_settings(BATCH_SIZE=100))
    def test_is_written_down_while_others_are_prepared(self):
        """An adapter may take its time over each of them."""
        add_answer("POST")
        for number in range(9):
            Order.objects.create(number=f"host {number}")
        ButtonOrder.objects.filter(source_id=None).delete()
        seen = []

        def build(adapter, order):
            ends = time.monotonic() + 5
            while len(calls()) < len(seen) and time.monotonic() < ends:
                time.sleep(0.001)
            time.sleep(0.01)
            seen.append(ButtonOrder.objects.filter(status="reported").count())
            return original(adapter, order)

        original = ShopOrderAdapter.build
        with (
            patch.object(ShopOrderAdapter, "build", build),
            patch("django_button_orders.delivery.sweep.FLUSH_SECONDS", 0.0),
        ):
            report_due(using="default")

        assert seen[-1] > 0
        assert not ButtonOrder.objects.exclude(status="reported").exists()

    def test_stopped_while_others_are_prepared(self):
        add_answer("POST")
        for number in range(9):
            Order.objects.create(number=f"host {number}")
        ButtonOrder.objects.filter(source_id=None).delete()
        built = []

        def build(adapter, order):
            built.append(order)
            return original(adapter, order)

        original = ShopOrderAdapter.build
        with patch.object(ShopOrderAdapter, "build", build):
            report_due(
                using="default", limits=SweepLimits(is_stopped=lambda: bool(built))
            )

        assert len(built) == 1
        assert ButtonOrder.objects.due().count() >= 8

    def test_time_is_up(self):
        assert report_due(using="default", limits=SweepLimits(seconds=0)) == {}
        assert ButtonOrder.objects.due().count() == 9

    def test_row_that_is_not_valid(self):
        add_answer("POST")
        with suppress_reporting():
            order = Order.objects.create(number="x" * 300, is_cancelled=True)
        ButtonOrder.objects.filter(order_id="0").update(
            order_id="shop.order:1",
            source_type=ContentType.objects.get_for_model(Order),
            source_id=str(order.pk),
        )

        outcomes = report_due(using="default")

        assert outcomes == {"reported": 8, "failed": 1}
        assert ButtonOrder.objects.get(order_id="shop.order:1").reason == "invalid"

    def test_slow_adapter_gives_back_what_there_is_no_time_for(self):
        add_answer("POST")
        attempts = Claims(ButtonOrder.objects.all()).claim(9)
        ends = attempts[0].lease_ends
        moments = iter([ends - 60, ends - 60, *[ends - 20] * 7])

        prepared = [prepare(item, clock=lambda: next(moments)) for item in attempts]

        released = [item for item in prepared if item.verdict]
        assert len(released) == 7
        assert {item.verdict.result.value for item in released} == {"release"}

    @override_settings(BUTTON_ORDERS=button_settings(LEASE_SECONDS=34))
    def test_lease_that_is_too_short_does_not_go_on_for_ever(self):
        assert report_due(using="default") == {"release": 9}
        assert calls() == []


class Interruption:
    """Fails the statements that begin in a certain way, so many times."""

    def __init__(self, error, verb, table, times=1):
        self.error = error
        quoted = connections["default"].ops.quote_name(table)
        self.statement = f"{verb} {quoted}"
        self.times = times

    def __call__(self, execute, sql, params, many, context):
        if self.times and sql.startswith(self.statement):
            self.times -= 1
            raise self.error
        return execute(sql, params, many, context)


RECORD = ("INSERT INTO", "django_button_orders_submission")


@override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=2))
class InterruptionTests(TransactionTestCase):
    """What has begun is finished, and the rest is given back."""

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        for number in range(6):
            create_row(order_id=f"{number}")

    def assert_nothing_is_held(self):
        rows = ButtonOrder.objects.all()
        assert not rows.filter(lease_token__isnull=False).exists()
        reported = rows.filter(status="reported")
        assert reported.count() == len(calls())
        assert rows.filter(unanswered=0, attempts__lte=1).count() == 6
        for row in rows.exclude(status="reported"):
            assert (row.status, row.attempts) == ("pending", 0)

    def test_told_to_end(self):
        for error in (SystemExit(1), KeyboardInterrupt(), SoftTimeLimitExceeded()):
            with self.subTest(error=error):
                ButtonOrder.objects.all().delete()
                responses.calls.reset()
                self.setUp()
                add_answer("POST")

                def progress(outcome, error=error):
                    raise error

                with pytest.raises(type(error)):
                    report_due(using="default", progress=progress)

                self.assert_nothing_is_held()

    @override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1))
    def test_what_waits_for_a_thread_is_given_back(self):
        has_ended = threading.Event()

        def answer(request):
            if len(calls()) == 1:
                has_ended.wait(10)
                # The sweep ends just after the event.
                time.sleep(0.2)
            return 200, {}, json.dumps(OK)

        def progress(outcome):
            has_ended.set()
            raise SystemExit(1)

        responses.add_callback("POST", ORDERS_URL, callback=answer)

        with pytest.raises(SystemExit):
            report_due(using="default", progress=progress)

        self.assert_nothing_is_held()
        assert len(calls()) == 2

    def test_call_that_a_thread_is_still_making(self):
        """Nobody knows how it will end, so its lease has to expire."""
        add_answer("POST")
        for is_over in (False, True):
            with self.subTest(is_over=is_over):
                [attempt] = Claims(ButtonOrder.objects.all()).claim(1)
                perform(prepare(attempt))
                attempt.verdict = None

                record_interrupted([attempt], is_over=is_over)

                row = ButtonOrder.objects.get(pk=attempt.row.pk)
                assert (row.lease_token is None) is is_over
                assert (row.status, row.unanswered) == ("pending", 1)

    def test_connection_is_cut_before_the_record(self):
        add_answer("POST")
        cut = Interruption(OperationalError("cut"), *RECORD, times=2)

        with (
            connections["default"].execute_wrapper(cut),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            outcomes = report_due(using="default")

        assert outcomes == {"reported": 6}
        assert len(calls()) == 6
        self.assert_nothing_is_held()

    def test_connection_is_cut_after_the_record(self):
        """What was committed is not recorded twice, and is announced all the same."""
        add_answer("POST")
        announced = []

        def receiver(button_order, **kwargs):
            announced.append(button_order.order_id)

        self.addCleanup(order_reported.disconnect, receiver)
        order_reported.connect(receiver)
        row = ButtonOrder.objects.get(order_id="0")
        with self.cut_after_the_record():
            assert report(row.pk, using="default") is None
        with self.cut_after_the_record():
            assert report_due(using="default") == {"reported": 5}

        assert Submission.objects.count() == 6
        assert sorted(announced) == ["0", "1", "2", "3", "4", "5"]
        self.assert_nothing_is_held()

    @contextmanager
    def cut_after_the_record(self):
        """Cut the connection twice when rows are read after they were recorded."""
        cuts = iter([True] * 2)
        known = Submission.objects.count()

        def cut(execute, sql, params, many, context):
            selects = sql.startswith("SELECT") and "django_button_orders_buttono" in sql
            if selects and Submission.objects.count() > known and next(cuts, False):
                raise OperationalError("cut")
            return execute(sql, params, many, context)

        with (
            connections["default"].execute_wrapper(cut),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            yield

    def test_database_takes_no_record(self):
        add_answer("POST")
        away = Interruption(OperationalError("full"), *RECORD, times=1000)

        with (
            connections["default"].execute_wrapper(away),
            self.assertLogs("django_button_orders", "WARNING"),
            pytest.raises(OperationalError),
        ):
            report_due(using="default")

        # They wait for their leases, and are asked for then.
        assert ButtonOrder.objects.in_flight().filter(unanswered=1).count() == 6

    def test_one_that_cannot_be_recorded_does_not_harm_the_others(self):
        add_answer("POST")
        poison = ButtonOrder.objects.get(order_id="2")
        insert = Interruption(DataError("too long"), *RECORD).statement

        def refuse(execute, sql, params, many, context):
            # By what was sent, which some databases are given within other JSON.
            is_poison = re.search(r"\border_id\W+2\W", str(params))
            if sql.startswith(insert) and is_poison:
                raise DataError("too long")
            return execute(sql, params, many, context)

        with (
            connections["default"].execute_wrapper(refuse),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            report_due(using="default")

        # Its body has been left out.
        assert poison.submissions.get().request_body == ""
        others = Submission.objects.exclude(button_order=poison)
        assert all(others.values_list("request_body", flat=True))
        assert ButtonOrder.objects.filter(status="reported").count() == len(calls())

    def test_nothing_that_is_said_can_be_recorded(self):
        add_answer("POST")
        refuse = Interruption(DataError("too long"), *RECORD, times=1000)

        with (
            connections["default"].execute_wrapper(refuse),
            self.assertLogs("django_button_orders", "ERROR") as logs,
        ):
            report_due(using="default")

        # Each was tried, and waits for its lease.
        assert len(logs.records) == len(calls()) == ButtonOrder.objects.count()
        assert ButtonOrder.objects.in_flight().count() == len(calls())

    def test_told_to_end_in_the_middle_of_a_call(self):
        row = ButtonOrder.objects.get(order_id="0")

        def end(request):
            raise SystemExit(1)

        responses.add_callback("POST", ORDERS_URL, end)

        with pytest.raises(SystemExit):
            report(row.pk, using="default")

        row.refresh_from_db()
        assert (row.status, row.reason) == ("pending", "unavailable")
        assert row.last_error == "The worker ended in the middle of a call."
        assert row.unanswered == 1
        assert row.lease_token is None
        assert row.submissions.get().outcome == "will_retry"

    def test_time_limit_in_the_middle_of_a_call(self):
        row = ButtonOrder.objects.get(order_id="0")
        responses.add("POST", ORDERS_URL, body=SoftTimeLimitExceeded())

        with pytest.raises(SoftTimeLimitExceeded):
            report(row.pk, using="default")

        row.refresh_from_db()
        assert (row.status, row.reason) == ("pending", "unavailable")
        assert row.last_error == "The worker ended in the middle of a call."
        assert row.unanswered == 1

    def test_time_limit_while_the_answer_is_written_down(self):
        row = ButtonOrder.objects.get(order_id="0")
        add_answer("POST")
        is_first = True

        def interrupt(execute, sql, params, many, context):
            nonlocal is_first
            if calls() and is_first:
                is_first = False
                raise SoftTimeLimitExceeded
            return execute(sql, params, many, context)

        with (
            connection.execute_wrapper(interrupt),
            pytest.raises(SoftTimeLimitExceeded),
        ):
            report(row.pk, using="default")

        row.refresh_from_db()
        assert (row.status, row.lease_token) == ("reported", None)
        assert row.submissions.get().outcome == "succeeded"

    def test_time_limit_in_an_adapter(self):
        """A worker that runs out of time says nothing about the order."""
        ButtonOrder.objects.all().delete()

        class SlowReport:
            @property
            def __class__(self):
                raise SoftTimeLimitExceeded

        Order.objects.create(number="7")
        ShopOrderAdapter.built.append(SlowReport())

        create_row(order_id="8")

        with pytest.raises(SoftTimeLimitExceeded):
            report_due(using="default")

        row = ButtonOrder.objects.get(order_id="7")
        assert (row.status, row.reason) == ("pending", "unavailable")
        # The time is up for the others, too.
        other = ButtonOrder.objects.get(order_id="8")
        assert (other.status, other.attempts) == ("pending", 0)
        assert not ButtonOrder.objects.filter(lease_token__isnull=False).exists()
        assert calls() == []

    def test_database_goes_away_before_the_call(self):
        row = ButtonOrder.objects.get(order_id="0")
        with suppress_reporting():
            order = Order.objects.create(number="0")
        ButtonOrder.objects.filter(pk=row.pk).update(
            source_type=ContentType.objects.get_for_model(Order),
            source_id=str(order.pk),
        )
        ContentType.objects.clear_cache()
        away = Interruption(OperationalError("cut"), "SELECT", "django_content_type")

        with (
            connections["default"].execute_wrapper(away),
            pytest.raises(OperationalError),
        ):
            report(row.pk, using="default")

        row.refresh_from_db()
        assert (row.status, row.lease_token, row.attempts) == ("pending", None, 0)


class LockTests(TransactionTestCase):
    """A row that the shop has locked keeps nobody, and nothing is lost for it."""

    @responses.activate
    @override_settings(BUTTON_ORDERS=button_settings())
    def test_the_others_are_written_down(self):
        """Whether they are written together, as successes, or one by one."""
        for status, reason in ((200, "reported"), (503, "pending")):
            with self.subTest(status=status):
                responses.reset()
                add_answer("POST", status=status)
                for number in range(5):
                    create_row(order_id=f"{status} {number}")
                self.report_with_one_locked(f"{status} 2")

                rows = ButtonOrder.objects.filter(order_id__startswith=status)
                assert set(rows.values_list("status", flat=True)) == {reason}
                assert Submission.objects.filter(button_order__in=rows).count() == 5

    def report_with_one_locked(self, order_id):
        attempts = Claims(ButtonOrder.objects.all()).claim(5)
        submissions = Submission.objects.count()
        sweep = threading.Thread(target=self.sweep, args=(attempts,))
        can_skip = connection.features.has_select_for_update_skip_locked
        with transaction.atomic():
            if can_skip:
                ButtonOrder.objects.select_for_update().get(order_id=order_id)
                sweep.start()
                self.wait_for_submissions(submissions + 4)
                # It goes on with what else there is.
                assert sweep.is_alive()
        if not can_skip:
            sweep.start()
        sweep.join(30)
        assert not sweep.is_alive()

    def sweep(self, attempts):
        try:
            report_due(using="default", first=attempts)
        finally:
            connection.close()

    def wait_for_submissions(self, count):
        ends = time.monotonic() + 30
        while Submission.objects.count() < count:
            assert time.monotonic() < ends
            time.sleep(0.01)
