"""A customer is forgotten: nothing is left of them, and nothing is reported twice."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from io import StringIO

import pytest
import responses
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection, connections
from django.test import TransactionTestCase, override_settings, skipUnlessDBFeature

from django_button_orders import erase, hash_email
from django_button_orders.delivery.ask import retrieve
from django_button_orders.delivery.sweep import report, report_due
from django_button_orders.files.export import BatchFile
from django_button_orders.models import ButtonOrder, Difference, Submission
from django_button_orders.operations.erase import export
from django_button_orders.report.erasing import hash_any_email
from tests.admin.utils import create_submission, create_user
from tests.delivery.utils import DeliveryTestCase
from tests.shop.models import Order
from tests.utils import (
    NOT_FOUND,
    OK,
    ORDERS_URL,
    add_answer,
    button_settings,
    calls,
    create_row,
    make_due,
    order_url,
)

APP = apps.get_app_config("django_button_orders")
ADDRESS = "jane@example.com"
SECRETS = (
    ADDRESS,
    hash_email(ADDRESS),
    hash_email("jane@example.org"),
    "jane-77",
    "srctok-jane",
    "a jane",
)
LINES = [
    {
        "identifier": "MUG-1",
        "total": 7000,
        "description": "a jane mug",
        "attributes": {"gift": "a jane"},
    }
]
PERSONAL = {
    "customer": {"id": "jane-77", "email_sha256": hash_email("jane@example.org")},
    "customer_order_id": "jane-77-1",
    "line_items": LINES,
    "btn_ref": "srctok-jane",
}
LATER = datetime.now(timezone.utc) + timedelta(days=9)
BEFORE = datetime.now(timezone.utc) - timedelta(days=9)
FINALIZED = {"meta": {"status": "error"}, "error": {"message": "srctok-jane is late"}}


def everything():
    """Return all that our tables hold, as one text."""
    return str([list(model.objects.values()) for model in APP.get_models()])


def assert_forgotten():
    text = everything()
    assert [secret for secret in SECRETS if secret in text] == []


def create_janes(**values):
    return create_row(**{**PERSONAL, **values})


def erase_all(**options):
    """Erase the customer, and return the order IDs."""
    found = erase(customer_id="jane-77", **options)
    return sorted(order.order_id for order in found.orders)


class EraseTestCase(DeliveryTestCase):
    databases = {"default", "archive"}

    def create_reported(self, **values):
        shown = {**OK["object"], "customer": PERSONAL["customer"], **values}
        add_answer("POST", json={"meta": {"status": "ok"}, "object": shown})
        row = create_janes(**values)
        self.report(row)
        assert row.status == "reported"
        responses.reset()
        responses.calls.reset()
        return row

    def send_due(self):
        """Report all that is due, and return the bodies of the calls."""
        make_due()
        report_due(using="default")
        bodies = [call.request.body for call in responses.calls]
        return [json.loads(body) if body else None for body in bodies]


class RowTests(EraseTestCase):
    def test_what_is_left(self):
        row = self.create_reported()
        create_submission(row, request_body="x", response_body="y", error="a jane")
        Difference.objects.create(
            side="shop",
            kind="changed",
            order_id=row.order_id,
            values={"customer": ["1", "2"]},
            error="a jane",
        )
        ButtonOrder.objects.update(
            last_error="a jane", has_late_token=True, late_token_at=BEFORE
        )

        assert erase_all() == ["1994"]

        assert_forgotten()
        row.refresh_from_db()
        assert row.line_items == [{"identifier": "MUG-1", "total": 7000}]
        assert (row.status, row.total, row.currency) == ("reported", 7000, "USD")
        assert row.button_order_id == "btnorder-1"
        assert row.erased_at is not None
        assert (row.has_late_token, row.late_token_at) == (False, None)
        assert not Submission.objects.filter(has_bodies=True).exists()
        assert Difference.objects.get().values == {}

    def test_digest_stays(self):
        row = self.create_reported()
        before = (row.reported_digest, row.reported_at, row.reported_total)
        erase_all()
        row.refresh_from_db()
        assert (row.reported_digest, row.reported_at, row.reported_total) == before

    def test_change_and_back(self):
        """What was settled by erasing is not settled after another report."""
        row = self.create_reported()
        erase_all()
        add_answer("POST", order_url())
        for total in (6000, 7000):
            row.refresh_from_db()
            row.total = total
            row.save()
            assert self.send_due()[-1]["total"] == total

    def test_nothing_is_reported_twice(self):
        row = self.create_reported()
        erase_all()
        ButtonOrder.objects.mark_changed()
        assert self.send_due() == []
        row.refresh_from_db()
        assert row.status == "reported"

    def test_return_is_still_reported(self):
        row = self.create_reported()
        erase_all()
        row.refresh_from_db()
        row.total = 6000
        row.save()

        add_answer("POST", order_url())
        [update] = self.send_due()

        assert update["total"] == 6000
        assert {"customer", "btn_ref", "customer_order_id"}.isdisjoint(update)
        assert_forgotten()

    def test_instance_of_before_does_not_bring_it_back(self):
        row = self.create_reported()
        before = ButtonOrder.objects.get()
        erase_all()

        before.save()

        assert_forgotten()
        assert before.customer is None
        assert ButtonOrder.objects.get().status == "reported"
        row.customer = {"id": "jane-77"}
        row.save(update_fields=["customer"])
        assert_forgotten()
        assert self.send_due() == []

    def test_refused_customer(self):
        """Button had kept an earlier customer. Nothing is sent either."""
        row = self.create_reported()
        ButtonOrder.objects.update(
            reported_digest=row.reported_digest[:32] + "X" + row.reported_digest[33:]
        )
        erase_all()
        ButtonOrder.objects.mark_changed()
        assert self.send_due() == []

    def test_other_customers(self):
        other = create_janes(order_id="2001", customer={"id": "joe"})
        before = ButtonOrder.objects.filter(pk=other.pk).values().get()
        with pytest.raises(ValueError, match="customer_id"):
            erase()
        assert erase_all() == []
        assert ButtonOrder.objects.filter(pk=other.pk).values().get() == before

    def test_log_entry(self):
        self.create_reported()
        user = create_user()
        erase_all(user_id=user.pk)
        entry = LogEntry.objects.get()
        assert (entry.object_repr, entry.user) == ("1994", user)
        assert entry.change_message == "Personal data erased."

    def test_again(self):
        self.create_reported()
        assert erase_all() == ["1994"]
        assert erase_all() == []

    def test_log_lines(self):
        self.create_reported()
        with self.assertNoLogs("django_button_orders"):
            erase_all()


class StatusTests(EraseTestCase):
    def test_each(self):
        """No status keeps anything, and only what was unsent is sent."""
        self.create_reported()
        for number, status in enumerate(ButtonOrder.Status.values):
            row = create_janes(order_id=str(number), last_error="a jane")
            create_submission(row, request_body="jane-77", error="srctok-jane")
            ButtonOrder.objects.filter(pk=row.pk).update(status=status)
        changed = self.create_reported(order_id="3000")
        changed.total = 6000
        changed.save()
        unsent = ButtonOrder.objects.get(status="pending", reported_revision=None)

        assert len(erase_all()) == 8

        assert_forgotten()
        add_answer("POST")
        add_answer("POST", order_url("3000"))
        sent = self.send_due()
        assert calls() == ["POST /v1/order", "POST /v1/order/3000"] or calls() == [
            "POST /v1/order/3000",
            "POST /v1/order",
        ]
        assert all("jane" not in str(body) for body in sent)
        unsent.refresh_from_db()
        assert unsent.status == "reported"
        assert_forgotten()

    def test_host_order_that_still_has_the_customer(self):
        """The shop keeps its order. Nothing of it comes back."""
        Order.objects.create(number="1994", email=ADDRESS, btn_ref="srctok-jane")
        row = ButtonOrder.objects.get()
        add_answer("POST")
        self.report(row)
        found = erase(email=ADDRESS.upper())
        assert [order.order_id for order in found.orders] == ["1994"]
        responses.calls.reset()
        Order.objects.get().save()

        assert self.send_due() == []
        assert_forgotten()

    def test_unknown_outcome(self):
        """Button is asked, and its answer is not kept."""
        row = create_janes()
        add_answer("POST", status=500, body="a jane")
        self.report(row)
        erase_all()
        responses.reset()
        responses.calls.reset()
        shown = {**OK["object"], **PERSONAL, "purchase_date": "2026-11-01T12:00:00Z"}
        add_answer("GET", order_url(), json={"meta": {"status": "ok"}, "object": shown})
        add_answer("POST", order_url())

        self.send_due()

        assert calls()[0] == "GET /v1/order/1994"
        assert_forgotten()
        row.refresh_from_db()
        assert row.status == "reported"

    def test_error_of_button(self):
        """Button may quote what it knows. Only its status is kept."""
        create_janes()
        erase_all()
        add_answer("POST", status=400, json={"error": {"message": "a jane"}})
        self.send_due()
        assert_forgotten()
        assert ButtonOrder.objects.get().last_error == "Button answered 400 to create."

    def test_error_of_an_adapter(self):
        Order.objects.create(number="1994", email=ADDRESS, trouble="build")
        erase(order_ids=["1994"])
        with self.assertLogs("django_button_orders", "WARNING"):
            self.send_due()
        row = ButtonOrder.objects.get()
        assert row.reason == "invalid"
        assert "TroubleError" in row.last_error
        assert_forgotten()


class AskTests(EraseTestCase):
    def test_status_is_shown(self):
        """An operator still sees what Button does with the order."""
        row = self.create_reported()
        erase_all()
        row.refresh_from_db()
        shown = {**OK["object"], **PERSONAL, "status": "finalized", "total": 7000}
        add_answer("GET", order_url(), json={"meta": {"status": "ok"}, "object": shown})

        submission = retrieve(row, trigger="admin")

        submission.refresh_from_db()
        assert json.loads(submission.response_body) == {
            "object": {**OK["object"], "status": "finalized", "total": 7000}
        }
        assert_forgotten()


class BatchFileTests(EraseTestCase):
    def test_cancelled_order_of_a_shop_that_has_the_customer(self):
        """The lines come from the shop, and nothing of the customer does."""
        order = Order.objects.create(number="1994", email=ADDRESS, btn_ref="srctok-1")
        order.lines.create(sku="MUG", price=70)
        erase(order_ids=["1994"])
        ButtonOrder.objects.update(
            reported_revision=1, revision=2, cancel_requested_at=BEFORE
        )
        batch_file = BatchFile(
            account="default", kind="changes", since=BEFORE, until=LATER, complain=print
        )
        [[row, *_]] = batch_file.pages("default")
        assert "1994" in row
        assert "srctok-1" not in row
        assert hash_email(ADDRESS) not in row


class TellTests(EraseTestCase):
    def tell(self, **values):
        """Erase a reported order, tell Button, and return what was sent."""
        row = self.create_reported()
        ButtonOrder.objects.update(**values)
        erase_all(tell_button=True)
        add_answer("POST", order_url())
        sent = self.send_due()
        row.refresh_from_db()
        assert row.status == "reported"
        return sent

    def test_one_update(self):
        [sent] = self.tell()
        assert "customer" not in sent
        assert sent["total"] == 7000
        assert_forgotten()
        ButtonOrder.objects.mark_changed()
        assert len(self.send_due()) == 1

    def test_window_that_is_open(self):
        assert len(self.tell(finalizes_at=LATER)) == 1

    def test_window_that_is_over(self):
        assert self.tell(finalizes_at=BEFORE) == []

    def test_nothing_personal(self):
        row = create_row(customer={"id": "jane-77"})
        add_answer("POST")
        self.report(row)
        responses.calls.reset()
        erase(order_ids=["1994"], tell_button=True)
        add_answer("POST", order_url())
        assert len(self.send_due()) == 1
        responses.calls.reset()
        row = create_row(order_id="1995")
        self.report(row)
        responses.calls.reset()
        erase(order_ids=["1995"], tell_button=True)
        assert self.send_due() == []

    def test_too_late(self):
        """Button refuses the update. Nobody has to do anything about that."""
        row = self.create_reported()
        erase_all(tell_button=True)
        add_answer("POST", order_url(), status=403, json=FINALIZED)
        assert len(self.send_due()) == 1
        row.refresh_from_db()
        assert (row.status, row.reason) == ("reported", "")
        assert_forgotten()
        ButtonOrder.objects.mark_changed()
        assert len(self.send_due()) == 1


class FindTests(EraseTestCase):
    def test_email_in_any_case(self):
        create_janes()
        found = erase(email=" Jane@Example.ORG ")
        assert len(found.orders) == 1

    def test_dummy_address(self):
        digest = hash_any_email("jane@shop.invalid")
        create_row(customer={"email_sha256": digest.upper()})
        assert len(erase(email="jane@shop.invalid").orders) == 1

    def test_no_address(self):
        with pytest.raises(ValidationError) as caught:
            erase(email="jane-77")
        assert "jane-77" not in str(caught.value)

    def test_customer_as_number(self):
        create_row(customer={"id": 77})
        create_row(order_id="1995", customer={"id": "77"})
        create_row(order_id="1996", customer={"id": "777"})
        create_row(order_id="1997", customer={"id": "077"})
        assert [order.order_id for order in erase(customer_id="077").orders] == ["1997"]
        assert len(erase(customer_id="77").orders) == 2

    def test_account(self):
        create_janes()
        create_janes(account="eu")
        [order] = erase(customer_id="jane-77", account="eu").orders
        assert order.account == "eu"

    def test_earlier_body(self):
        """The order was reported for the customer, and has another one now."""
        row = self.create_reported()
        ButtonOrder.objects.update(customer={"id": "joe"})
        other = create_row(order_id="1995", customer={"id": "joe"})
        create_submission(other, request_body='{"line_items":[{"sku":"jane-77"}]}')
        assert erase_all() == [row.order_id]

    def test_export(self):
        row = self.create_reported()
        found = export(row.pk, using="default")
        assert found["order"]["customer"] == PERSONAL["customer"]
        assert "srctok-jane" in found["calls"][0]["request_body"]
        assert found["differences"] == []


@override_settings(BUTTON_ORDERS=button_settings())
class UnderWayTests(TransactionTestCase):
    """The customer is erased by another connection while a call is under way."""

    databases = {"default", "archive"}

    def setUp(self):
        super().setUp()
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def answer_after_erasing(self, method, url=ORDERS_URL, status=200, **options):
        """Let another thread do something before Button answers a call."""
        then = options.pop("then", lambda: None)

        def work():
            try:
                then()
                found = erase(customer_id="jane-77", **options)
                self.in_flight = [order.in_flight for order in found.orders]
            finally:
                connections.close_all()

        def answer(request):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            shown = {**OK["object"], **PERSONAL}
            return status, {}, json.dumps({"meta": {"status": "ok"}, "object": shown})

        responses.add_callback(method, url, answer, content_type="application/json")

    def work(self, row):
        report(row.pk, using="default")
        row.refresh_from_db()

    def next_calls(self):
        responses.reset()
        responses.calls.reset()
        add_answer("POST", order_url())
        add_answer("GET", order_url(), status=404, json=NOT_FOUND)
        add_answer("POST")
        make_due()
        report_due(using="default")
        return calls()

    def test_first_report(self):
        row = create_janes()
        self.answer_after_erasing("POST")

        self.work(row)

        assert self.in_flight == [True]
        assert (row.status, row.attempts, row.lease_token) == ("reported", 1, None)
        assert row.button_order_id == "btnorder-1"
        assert_forgotten()
        assert Submission.objects.get().outcome == "succeeded"
        ButtonOrder.objects.mark_changed()
        assert self.next_calls() == []
        assert_forgotten()

    def test_first_report_of_a_host_order(self):
        Order.objects.create(number="1994", email=ADDRESS, btn_ref="srctok-jane")
        row = ButtonOrder.objects.get()

        def by_id():
            erase(order_ids=["1994"])

        self.answer_after_erasing("POST", then=by_id)
        self.work(row)
        assert row.status == "reported"
        assert_forgotten()
        Order.objects.get().save()
        assert self.next_calls() == []

    def test_tell_button(self):
        row = create_janes()
        self.answer_after_erasing("POST", tell_button=True)
        self.work(row)
        assert_forgotten()
        assert row.status == "pending"
        assert self.next_calls() == ["POST /v1/order/1994"]
        row.refresh_from_db()
        assert row.status == "reported"
        assert_forgotten()

    def test_no_answer(self):
        row = create_janes()
        self.answer_after_erasing("POST", status=HTTPStatus.BAD_GATEWAY)
        self.work(row)
        assert row.status == "pending"
        assert_forgotten()
        assert self.next_calls() == ["GET /v1/order/1994", "POST /v1/order"]
        assert_forgotten()

    def test_refused(self):
        row = create_janes()
        self.answer_after_erasing("POST", status=HTTPStatus.BAD_REQUEST)
        self.work(row)
        assert row.status == "failed"
        assert_forgotten()

    def test_update(self):
        add_answer("POST")
        row = create_janes()
        self.work(row)
        row.total = 6000
        row.save()
        self.answer_after_erasing("POST", order_url())
        self.work(row)
        assert row.status == "reported"
        assert_forgotten()
        ButtonOrder.objects.mark_changed()
        assert self.next_calls() == []

    def test_lease_that_was_lost(self):
        """Another worker has the row when the call ends."""
        row = create_janes()

        def lose_lease():
            ButtonOrder.objects.update(lease_expires_at=BEFORE, next_attempt_at=BEFORE)
            ButtonOrder.objects.all().claim(limit=1, lease_seconds=60)

        self.answer_after_erasing("POST", then=lose_lease)
        with self.assertLogs("django_button_orders", "WARNING"):
            self.work(row)
        assert row.reported_revision == 1
        assert row.lease_token is not None
        assert_forgotten()
        self.next_calls()
        assert_forgotten()

    def test_question_of_a_person(self):
        add_answer("POST")
        row = create_janes()
        self.work(row)
        self.answer_after_erasing("GET", order_url())

        retrieve(row, trigger="admin")

        assert_forgotten()
        assert Submission.objects.get(operation="retrieve").status_code == 200

    def test_comparison_with_button(self):
        add_answer("POST")
        row = create_janes()
        self.work(row)
        ButtonOrder.objects.update(reported_at=BEFORE)
        self.answer_after_erasing("GET", order_url())

        call_command("button_orders_reconcile", "button", stdout=StringIO())

        assert self.in_flight == [False]
        assert_forgotten()
        assert not Difference.objects.exists()

    @skipUnlessDBFeature("has_select_for_update")
    def test_late_record_that_is_being_written(self):
        """Erasing waits until it is committed, and finds it."""
        row = create_janes()
        threads = []

        def lose_lease(request):
            ButtonOrder.objects.update(lease_expires_at=BEFORE, next_attempt_at=BEFORE)
            ButtonOrder.objects.all().claim(limit=1, lease_seconds=60)
            # A failure changes nothing of the row, and so locks nothing by itself.
            return 400, {}, json.dumps({"error": {"message": "srctok-jane"}})

        def erase_first(execute, sql, *args):
            if "INSERT" in sql and Submission._meta.db_table in sql:
                threads.append(threading.Thread(target=self.erase_elsewhere))
                threads[0].start()
                # It ends by then if nothing makes it wait.
                threads[0].join(0.5)
            return execute(sql, *args)

        responses.add_callback("POST", ORDERS_URL, lose_lease)
        with (
            connection.execute_wrapper(erase_first),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            self.work(row)
        threads[0].join()

        assert Submission.objects.count() == 1
        assert_forgotten()

    # The tests' SQLite is in memory, where threads do not wait for each other.
    @skipUnlessDBFeature("has_select_for_update")
    def test_batch(self):
        """One order of a batch is erased. All of them are recorded."""
        create_janes()
        for number in range(3):
            create_row(order_id=str(number))
        erased = threading.Lock()

        def answer(request):
            if erased.acquire(blocking=False):
                thread = threading.Thread(target=self.erase_elsewhere)
                thread.start()
                thread.join()
            return 200, {}, json.dumps(OK)

        responses.add_callback("POST", ORDERS_URL, answer)
        report_due(using="default")

        reported = ButtonOrder.objects.filter(status="reported")
        assert reported.count() == 4
        assert_forgotten()

    def erase_elsewhere(self):
        try:
            erase(customer_id="jane-77")
        finally:
            connections.close_all()
