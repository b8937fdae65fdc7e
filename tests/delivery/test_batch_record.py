from __future__ import annotations

import json
import threading

import responses
from django.db import connection, transaction
from django.test import (
    TestCase,
    TransactionTestCase,
    override_settings,
)
from django.test.utils import CaptureQueriesContext

from django_button_orders.delivery import batch_record
from django_button_orders.delivery.call import perform
from django_button_orders.delivery.claims import Claims
from django_button_orders.delivery.prepare import prepare_all
from django_button_orders.delivery.record import record_all
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.clock import from_now
from django_button_orders.signals import order_cancelled, order_failed, order_reported
from tests.shop.models import Order, OrderLine
from tests.utils import (
    OK,
    ORDERS_URL,
    add_answer,
    button_settings,
    create_row,
    order_url,
)

rows = ButtonOrder.objects


@override_settings(BUTTON_ORDERS=button_settings())
class BulkTestCase(TestCase):
    def setUp(self):
        super().setUp()
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def attempt(self, count=6):
        """Make attempts at rows, and stop before they are written down."""
        for number in range(count):
            create_row(order_id=f"{number}")
        add_answer("POST")
        add_answer("GET", order_url("2"))
        add_answer("POST", order_url("2"))
        return self.perform()

    def perform(self):
        attempts = Claims(rows.all()).claim(100)
        return [perform(attempt) for attempt in prepare_all(attempts)]


class BatchTests(BulkTestCase):
    def test_rows_and_submissions(self):
        attempts = self.attempt()

        assert list(record_all(attempts)) == attempts

        for row in rows.all():
            assert row.status == "reported"
            assert (row.reason, row.last_error, row.next_attempt_at) == ("", "", None)
            assert (row.lease_token, row.lease_expires_at) == (None, None)
            assert (row.attempts, row.unanswered) == (1, 0)
            assert row.reported_revision == row.revision == 1
            assert row.reported_digest == row.as_report().digest()
            assert row.button_order_id == "btnorder-1"
            assert row.last_status_code == 200
            assert row.reported_at is not None
            submission = row.submissions.get()
            assert submission.outcome == "succeeded"
            assert submission.trigger == "sweep"
            assert submission.status_code == 200
            assert json.loads(submission.request_body)["order_id"] == row.order_id
            assert json.loads(submission.response_body) == OK
            assert submission.started_at is not None

    def test_as_many_statements_for_many_as_for_few(self):
        counts = []
        for count in (5, 40):
            rows.all().delete()
            attempts = self.attempt(count)
            with CaptureQueriesContext(
                connection,
            ) as queries:
                list(record_all(attempts))
            # One that is executed for many rows counts once, as "40 times: ...".
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 9

    def test_what_a_host_order_shows(self):
        for number in range(3):
            order = Order.objects.create(number=f"{number}", email="a@example.com")
            OrderLine.objects.create(order=order, sku="sku-1", price="12.50")
        add_answer("POST")

        list(record_all(self.perform()))

        for row in rows.all():
            assert row.status == "reported"
            assert row.total == 7000
            assert row.line_items[0]["identifier"] == "sku-1"
            assert set(row.customer) == {"email_sha256"}
            order = Order.objects.get(number=row.order_id)
            assert abs(row.purchase_date - order.placed_at).total_seconds() < 1
            assert row.as_report().digest() == row.reported_digest

    def test_outcomes_of_many_kinds(self):
        create_row(order_id="new")
        create_row(order_id="wrong", currency="usd")
        create_row(order_id="gone").cancel()
        create_row(order_id="refused", total=1)
        answer = [400, 200]

        def reply(request):
            is_refused = json.loads(request.body)["order_id"] == "refused"
            return answer[not is_refused], {}, json.dumps(OK if not is_refused else {})

        responses.add_callback("POST", ORDERS_URL, reply)

        with self.assertLogs("django_button_orders", "WARNING"):
            list(record_all(self.perform()))

        found = dict(rows.values_list("order_id", "status"))
        assert found == {
            "new": "reported",
            "wrong": "failed",
            "gone": "cancelled",
            "refused": "failed",
        }
        assert set(rows.failed().values_list("reason", flat=True)) == {
            "invalid",
            "refused",
        }
        assert Submission.objects.count() == 2

    def test_receivers_get_the_row_and_the_submission_as_they_are(self):
        told = []

        def receiver(button_order, submission, **kwargs):
            told.append((button_order.status, submission.pk))

        for signal in (order_reported, order_failed, order_cancelled):
            signal.connect(receiver)
            self.addCleanup(signal.disconnect, receiver)

        list(record_all(self.attempt()))

        assert {status for status, _ in told} == {"reported"}
        if connection.features.can_return_rows_from_bulk_insert:
            keys = Submission.objects.values_list("pk", flat=True)
            assert sorted(pk for _, pk in told) == sorted(keys)


class OddRowTests(BulkTestCase):
    """One row that is not as it was does not spoil it for the others."""

    def check(self, odd, status):
        found = dict(rows.values_list("order_id", "status"))
        assert found.pop(odd) == status
        assert set(found.values()) == {"reported"}
        assert Submission.objects.count() == 6

    def test_changed_meanwhile(self):
        attempts = self.attempt()
        rows.filter(order_id="2").mark_changed()

        list(record_all(attempts))

        self.check("2", "pending")
        assert rows.get(order_id="2").reported_revision == 1

    def test_lost_lease(self):
        attempts = self.attempt()
        rows.filter(order_id="2").update(lease_expires_at=from_now(-1))
        rows.filter(order_id="2").claim(limit=1, lease_seconds=60)

        with self.assertLogs("django_button_orders", "WARNING"):
            list(record_all(attempts))

        self.check("2", "pending")
        # A late success counts for its revision.
        assert rows.get(order_id="2").reported_revision == 1

    def test_two_attempts_at_one_row(self):
        """A process that was frozen past its lease may have claimed it again."""
        attempts = self.attempt()
        rows.filter(order_id="2").update(lease_expires_at=from_now(-1))
        attempts += self.perform()

        with self.assertLogs("django_button_orders", "WARNING"):
            assert list(record_all(attempts)) == attempts

        assert set(rows.values_list("status", flat=True)) == {"reported"}
        row = rows.get(order_id="2")
        operations = row.submissions.values_list("operation", flat=True)
        assert sorted(operations) == ["create", "retrieve", "update"]

    def test_deleted(self):
        attempts = self.attempt()
        rows.filter(order_id="2").delete()

        with self.assertLogs("django_button_orders", "WARNING"):
            list(record_all(attempts))

        assert rows.filter(status="reported").count() == 5
        assert Submission.objects.count() == 5

    def test_account_was_paused(self):
        """Its first answer lifts the pause, and makes due what waited for it."""
        attempts = self.attempt()
        PausedAccount.objects.create(account="default", probe_at=from_now(60))

        list(record_all(attempts))

        assert not PausedAccount.objects.exists()
        assert rows.filter(status="reported").count() == 6


class LockTests(TransactionTestCase):
    @override_settings(BUTTON_ORDERS=button_settings())
    @responses.activate
    def test_row_that_the_shop_has_locked_is_not_waited_for(self):
        """It may want another of them, which a waiting batch would hold."""
        add_answer("POST")
        for number in range(4):
            create_row(order_id=f"{number}")
        attempts = Claims(rows.all()).claim(100)
        attempts = [perform(attempt) for attempt in prepare_all(attempts)]
        if not connection.features.has_select_for_update_skip_locked:
            # There are no row locks: one writer at a time has the whole database.
            assert batch_record.lock(attempts, using="default") == attempts
            return

        with transaction.atomic():
            shop = rows.select_for_update().get(order_id="2")
            written = self.write_elsewhere(attempts)
            assert shop.pk not in written

        assert len(written) == 3

    def write_elsewhere(self, attempts):
        found = []

        def work():
            found.append(batch_record.write_down(attempts, using="default"))
            connection.close()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(20)
        assert found, "It waited."
        return found[0]
