from __future__ import annotations

import json
from datetime import timedelta

import responses
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_button_orders.delivery.call import perform
from django_button_orders.delivery.claims import Claims
from django_button_orders.delivery.prepare import prepare_all
from django_button_orders.delivery.record import record_all
from django_button_orders.delivery.sweep import report, report_due
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.clock import from_now
from django_button_orders.signals import order_cancelled, order_failed, order_reported
from tests.delivery.utils import DeliveryTestCase
from tests.shop.models import Order, OrderLine
from tests.utils import (
    LONG_AGO,
    NOT_FOUND,
    OK,
    ORDERS_URL,
    add_answer,
    button_settings,
    calls,
    create_row,
    make_due,
    order_url,
    seconds_from_now,
)


class RecordTestCase(DeliveryTestCase):
    def report(self, row, meanwhile=lambda: None, status=200, **options):
        """Report a row, while something else happens during the call."""

        def answer(request):
            meanwhile()
            return status, {}, json.dumps(OK if status == 200 else NOT_FOUND)

        responses.add_callback("POST", ORDERS_URL, answer)
        delay = report(row.pk, using="default", **options)
        if ButtonOrder.objects.filter(pk=row.pk).exists():
            row.refresh_from_db()
        return delay


class SubmissionTests(RecordTestCase):
    def test_every_field(self):
        row = create_row()
        user = User.objects.create_user("operator")

        self.report(row, trigger="admin", user_id=str(user.pk))

        submission = row.submissions.get()
        assert submission.operation == "create"
        assert submission.trigger == "admin"
        assert submission.user == user
        assert submission.revision == 1
        assert submission.method == "POST"
        assert submission.url == ORDERS_URL
        assert json.loads(submission.request_body)["order_id"] == "1994"
        assert submission.status_code == 200
        assert json.loads(submission.response_body) == OK
        assert submission.outcome == "succeeded"
        assert submission.duration_ms >= 0
        assert abs(timezone.now() - submission.started_at) < timedelta(seconds=9)

    def test_call_without_bodies(self):
        """Pruning of bodies skips a call that has none."""
        row = create_row()
        self.report(row)
        row.cancel()
        add_answer("DELETE", order_url(), status=204, body="")

        report(row.pk, using="default")

        creation, cancellation = row.submissions.order_by("pk")
        assert creation.has_bodies is True
        assert cancellation.has_bodies is False

    def test_no_answer(self):
        row = create_row()
        responses.add("POST", ORDERS_URL, body=ConnectionResetError())

        report(row.pk, using="default")

        submission = row.submissions.get()
        assert submission.status_code is None
        assert submission.outcome == "will_retry"
        assert "connection" in submission.error

    def test_failure(self):
        row = create_row()

        self.report(row, status=400)

        submission = row.submissions.get()
        assert submission.outcome == "failed"
        assert "No such order." in submission.error

    def test_each_call_of_an_attempt(self):
        row = create_row()
        add_answer("POST", ORDERS_URL, status=409)
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        add_answer("POST", order_url())

        report(row.pk, using="default")

        kept = row.submissions.order_by("pk").values_list("operation", "outcome")
        assert list(kept) == [
            ("create", "will_retry"),
            ("retrieve", "succeeded"),
            ("update", "succeeded"),
        ]

    def test_no_call_no_submission(self):
        row = create_row(currency="usd")

        self.report(row)

        assert not row.submissions.exists()


class FenceTests(RecordTestCase):
    """Only the holder of the lease writes the row."""

    def take_over(self):
        ButtonOrder.objects.update(lease_expires_at=from_now(-1))
        ButtonOrder.objects.claim(limit=1, lease_seconds=120)

    def test_changed_while_sending(self):
        row = create_row()

        delay = self.report(row, lambda: ButtonOrder.objects.mark_changed())

        assert delay == 0
        assert row.status == "pending"
        assert (row.revision, row.reported_revision) == (2, 1)
        assert row.attempts == 0
        assert row.lease_token is None
        assert ButtonOrder.objects.due().exists()

    def test_token_that_comes_while_sending(self):
        """The create has gone out without it, so it is too late."""
        row = create_row(btn_ref="")

        def add_token():
            other = ButtonOrder.objects.get()
            other.btn_ref = "srctok-2"
            other.save()

        self.report(row, add_token)
        assert (row.status, row.reported_btn_ref) == ("pending", "")
        report(row.pk, using="default")

        row.refresh_from_db()
        assert row.status == "reported"
        assert row.has_late_token

    def test_changed_while_being_refused(self):
        row = create_row()

        self.report(row, lambda: ButtonOrder.objects.mark_changed(), status=400)

        assert (row.status, row.reason) == ("pending", "")
        assert ButtonOrder.objects.due().exists()

    def test_adapter_error_meanwhile_stays(self):
        row = create_row()

        delay = self.report(
            row,
            lambda: ButtonOrder.objects.mark_changed(
                status="failed", reason="invalid", next_attempt_at=None, last_error="!"
            ),
        )

        assert delay is None
        assert (row.status, row.reason, row.last_error) == ("failed", "invalid", "!")
        assert row.reported_revision == 1

    def test_late_success_counts(self):
        row = create_row()

        self.report(
            row,
            lambda: ButtonOrder.objects.update(lease_token=None, lease_expires_at=None),
        )

        assert row.reported_revision == 1
        assert row.status == "reported"
        assert row.submissions.count() == 1

    def test_late_success_shows_what_was_reported(self):
        order = Order.objects.create(number="1994", total=70)
        row = ButtonOrder.objects.get()

        self.report(
            row,
            lambda: ButtonOrder.objects.update(lease_token=None, lease_expires_at=None),
        )

        assert (row.order_id, row.status) == (order.number, "reported")
        assert (row.total, row.currency) == (7000, "USD")

    def test_late_success_of_a_closed_order(self):
        """The other worker's call was refused, as Button had finalized this state."""
        row = create_row()

        self.report(
            row,
            lambda: ButtonOrder.objects.update(
                lease_token=None,
                lease_expires_at=None,
                next_attempt_at=None,
                status="closed",
                reason="finalized",
                late_amount=9,
            ),
        )

        assert (row.status, row.reason) == ("reported", "")
        assert (row.reported_total, row.late_amount) == (7000, None)

    def test_late_success_while_another_works(self):
        row = create_row()

        assert self.report(row, self.take_over) is None

        assert row.reported_revision == 1
        assert row.reported_btn_ref == "srctok-1"
        assert row.status == "pending"
        assert row.lease_token is not None
        assert row.attempts == 2

    def test_late_success_of_an_older_revision(self):
        row = create_row()

        self.report(
            row,
            lambda: ButtonOrder.objects.update(
                lease_token=None,
                revision=3,
                reported_revision=3,
                reported_digest="newer",
                status="reported",
            ),
        )

        assert row.reported_revision == 3
        assert row.reported_digest == "newer"
        assert row.submissions.count() == 1

    def test_late_success_of_a_changed_order(self):
        """The revision that was reported counts, and the newer one stays due."""
        row = create_row()

        def lose_lease_and_change():
            ButtonOrder.objects.update(lease_token=None, lease_expires_at=None)
            ButtonOrder.objects.mark_changed()

        self.report(row, lose_lease_and_change)

        assert (row.revision, row.reported_revision) == (2, 1)
        assert row.status == "pending"
        assert ButtonOrder.objects.due().exists()

    def test_late_failure_changes_nothing(self):
        row = create_row()
        before = {}

        def meanwhile():
            self.take_over()
            before.update(ButtonOrder.objects.values().get())

        assert self.report(row, meanwhile, status=400) is None

        assert ButtonOrder.objects.values().get() == before
        assert row.submissions.get().outcome == "failed"

    def test_deleted_while_sending(self):
        row = create_row()

        self.report(row, lambda: ButtonOrder.objects.all().delete())

        assert not ButtonOrder.objects.exists()
        assert not Submission.objects.exists()


class SignalTests(RecordTestCase):
    def listen(self, signal):
        heard = []

        def receiver(sender, button_order, submission, **kwargs):
            heard.append((sender, button_order.status, submission))

        signal.connect(receiver, weak=False)
        self.addCleanup(signal.disconnect, receiver)
        return heard

    def test_reported(self):
        heard = self.listen(order_reported)
        row = create_row()

        self.report(row)

        assert heard == [(ButtonOrder, "reported", row.submissions.get())]

    def test_nothing_new(self):
        row = create_row()
        self.report(row)
        heard = self.listen(order_reported)
        ButtonOrder.objects.mark_changed()

        self.report(row)

        assert row.status == "reported"
        assert heard == []

    def test_cancelled(self):
        heard = self.listen(order_cancelled)
        row = create_row()
        row.cancel()

        self.report(row)

        assert heard == [(ButtonOrder, "cancelled", None)]

    def test_failed(self):
        heard = self.listen(order_failed)
        row = create_row()

        self.report(row, status=400)

        assert heard == [(ButtonOrder, "failed", row.submissions.get())]

    def test_will_retry_is_no_news(self):
        heard = [self.listen(order_failed), self.listen(order_reported)]
        row = create_row()

        self.report(row, status=503)

        assert heard == [[], []]

    def test_receiver_that_raises(self):
        def receiver(**kwargs):
            raise RuntimeError

        order_reported.connect(receiver)
        self.addCleanup(order_reported.disconnect, receiver)
        row = create_row()

        with self.assertLogs("django.dispatch"):
            self.report(row)

        assert row.status == "reported"


class DeletionTests(RecordTestCase):
    def test_deleted_just_after_it_is_written(self):
        """A deleted row sends no signal, and the others are recorded."""
        rows = [create_row(order_id=f"{number}") for number in range(3)]
        add_answer("POST", status=503)

        def delete(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith("INSERT") and "submission" in sql and rows:
                ButtonOrder.objects.filter(pk=rows.pop().pk).delete()
            return result

        with connection.execute_wrapper(delete):
            outcomes = report_due(using="default")

        assert outcomes == {"retry": 3}


class PauseTests(RecordTestCase):
    def create_paused(self):
        row = create_row()
        self.report(row, status=401)
        assert row.status == "pending"
        responses.reset()
        responses.calls.reset()
        return row

    def probe_now(self):
        PausedAccount.objects.update(probe_at=from_now(-1))
        make_due()

    def test_no_more_calls(self):
        self.create_paused()
        other = create_row(order_id="2")
        make_due()

        assert report(other.pk, using="default") is None
        assert not report_due(using="default")

        other.refresh_from_db()
        assert calls() == []
        assert other.attempts == 0

    def test_other_accounts_go_on(self):
        self.create_paused()
        with override_settings(
            BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})
        ):
            row = create_row(account="eu")
            self.report(row)

        assert row.status == "reported"
        assert PausedAccount.objects.exists()

    def test_order_that_button_has_is_cancelled(self):
        """Button showed our order before it refused the key."""
        row = create_row()
        responses.add("POST", ORDERS_URL, status=409)
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        responses.add("POST", order_url(), status=401)
        report(row.pk, using="default")
        assert calls()[1:] == ["GET /v1/order/1994", "POST /v1/order/1994"]
        PausedAccount.objects.all().delete()
        row.refresh_from_db()
        row.cancel()
        add_answer("DELETE", order_url())
        make_due()

        report(row.pk, using="default")

        row.refresh_from_db()
        assert row.status == "cancelled"
        assert calls()[3:] == ["GET /v1/order/1994", "DELETE /v1/order/1994"]

    def test_waits_five_minutes(self):
        row = self.create_paused()

        seconds = (row.next_attempt_at - timezone.now()) / timedelta(seconds=1)
        assert 290 < seconds <= 301
        pause = PausedAccount.objects.get()
        assert 290 < (pause.probe_at - timezone.now()) / timedelta(seconds=1) <= 301

    def test_one_row_probes(self):
        self.create_paused()
        create_row(order_id="2")
        self.probe_now()
        add_answer("POST", status=401)

        report_due(using="default")

        assert len(calls()) == 1
        assert list(ButtonOrder.objects.values_list("attempts")) == [(0,), (0,)]
        assert PausedAccount.objects.exists()

    def test_probe_that_needs_no_call(self):
        """A row that needs no call leaves the probe to the next row."""
        self.create_paused()
        ButtonOrder.objects.all().delete()
        create_row(order_id="1").cancel()
        other = create_row(order_id="2")
        self.probe_now()
        ButtonOrder.objects.filter(pk=other.pk).update(next_attempt_at=from_now(-1))
        add_answer("POST")

        report_due(using="default")

        other.refresh_from_db()
        assert (other.status, calls()) == ("reported", ["POST /v1/order"])
        assert not PausedAccount.objects.exists()

    def test_probe_lifts_the_pause(self):
        row = self.create_paused()
        other = create_row(order_id="2")
        self.probe_now()
        ButtonOrder.objects.filter(pk=row.pk).update(next_attempt_at=from_now(200))
        add_answer("POST")

        report_due(using="default")

        other.refresh_from_db()
        row.refresh_from_db()
        assert not PausedAccount.objects.exists()
        assert (row.status, other.status) == ("reported", "reported")

    def test_other_answer_lifts_the_pause(self):
        row = self.create_paused()
        self.probe_now()

        self.report(row, status=400)

        assert not PausedAccount.objects.exists()

    def test_no_answer_does_not_lift_it(self):
        row = self.create_paused()
        self.probe_now()
        responses.add("POST", ORDERS_URL, body=ConnectionResetError())

        report(row.pk, using="default")

        assert PausedAccount.objects.exists()

    def test_batch_stops(self):
        for number in range(50):
            create_row(order_id=f"{number}")
        add_answer("POST", status=401)

        with override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=2)):
            report_due(using="default")

        assert len(calls()) <= 4
        assert ButtonOrder.objects.filter(attempts=0).count() == 50
        assert not ButtonOrder.objects.filter(lease_token__isnull=False).exists()
        assert not ButtonOrder.objects.exclude(unanswered=F("attempts")).exists()


class BatchTestCase(DeliveryTestCase):
    def attempt(self, count=6):
        """Make the calls of attempts at new rows, without recording them."""
        for number in range(count):
            create_row(order_id=f"{number}")
        add_answer("POST")
        add_answer("GET", order_url("2"))
        add_answer("POST", order_url("2"))
        return self.perform()

    def perform(self):
        attempts = Claims(ButtonOrder.objects.all()).claim(100)
        return [perform(attempt) for attempt in prepare_all(attempts)]


class BatchTests(BatchTestCase):
    def test_rows_and_submissions(self):
        attempts = self.attempt()

        assert list(record_all(attempts)) == attempts

        for row in ButtonOrder.objects.all():
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
            ButtonOrder.objects.all().delete()
            attempts = self.attempt(count)
            with CaptureQueriesContext(connection) as queries:
                list(record_all(attempts))
            # A statement that runs for many rows is captured once, as "40 times: ...".
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 9

    def test_what_a_host_order_shows(self):
        for number in range(3):
            order = Order.objects.create(number=f"{number}", email="a@example.com")
            OrderLine.objects.create(order=order, sku="sku-1", price="12.50")
        add_answer("POST")

        list(record_all(self.perform()))

        for row in ButtonOrder.objects.all():
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

        with self.assertLogs("django_button_orders", "INFO") as logs:
            list(record_all(self.perform()))

        # A sweep warns of what has failed in one line, and not of each order.
        assert {record.levelname for record in logs.records} == {"INFO"}
        found = dict(ButtonOrder.objects.values_list("order_id", "status"))
        assert found == {
            "new": "reported",
            "wrong": "failed",
            "gone": "cancelled",
            "refused": "failed",
        }
        assert set(ButtonOrder.objects.failed().values_list("reason", flat=True)) == {
            "invalid",
            "refused",
        }
        assert Submission.objects.count() == 2

    def test_tokens_that_are_late_and_no_longer_late(self):
        """The database's clock and a null are values of the same column."""
        rows = [self.create_acknowledged(order_id=name) for name in ("late", "mended")]
        ButtonOrder.objects.filter(pk=rows[0].pk).update(btn_ref="srctok-2")
        ButtonOrder.objects.filter(pk=rows[1].pk).update(
            has_late_token=True, late_token_at=LONG_AGO
        )
        ButtonOrder.objects.mark_changed()

        list(record_all(self.perform()))

        late, mended = ButtonOrder.objects.order_by("pk")
        assert (late.status, mended.status) == ("reported", "reported")
        assert late.has_late_token
        assert abs(seconds_from_now(late.late_token_at)) < 60
        assert (mended.has_late_token, mended.late_token_at) == (False, None)

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


class ChangedRowTests(BatchTestCase):
    """A row that changed since it was claimed does not harm the others of its batch."""

    def check(self, odd, status):
        found = dict(ButtonOrder.objects.values_list("order_id", "status"))
        assert found.pop(odd) == status
        assert set(found.values()) == {"reported"}
        assert Submission.objects.count() == 6

    def test_changed_meanwhile(self):
        heard = []

        def receiver(button_order, **kwargs):
            heard.append(button_order.order_id)

        order_reported.connect(receiver)
        self.addCleanup(order_reported.disconnect, receiver)
        attempts = self.attempt()
        ButtonOrder.objects.filter(order_id="2").mark_changed()

        list(record_all(attempts))

        self.check("2", "pending")
        assert sorted(heard) == ["0", "1", "3", "4", "5"]
        assert ButtonOrder.objects.get(order_id="2").reported_revision == 1

    def test_lost_lease(self):
        attempts = self.attempt()
        ButtonOrder.objects.filter(order_id="2").update(lease_expires_at=from_now(-1))
        ButtonOrder.objects.filter(order_id="2").claim(limit=1, lease_seconds=60)

        with self.assertLogs("django_button_orders", "WARNING"):
            list(record_all(attempts))

        self.check("2", "pending")
        # A late success counts for its revision.
        assert ButtonOrder.objects.get(order_id="2").reported_revision == 1

    def test_two_attempts_at_one_row(self):
        """A process that was frozen past its lease may claim the row again."""
        attempts = self.attempt()
        ButtonOrder.objects.filter(order_id="2").update(lease_expires_at=from_now(-1))
        attempts += self.perform()

        with self.assertLogs("django_button_orders", "WARNING"):
            assert list(record_all(attempts)) == attempts

        assert set(ButtonOrder.objects.values_list("status", flat=True)) == {"reported"}
        row = ButtonOrder.objects.get(order_id="2")
        operations = row.submissions.values_list("operation", flat=True)
        assert sorted(operations) == ["create", "retrieve", "update"]

    def test_deleted(self):
        attempts = self.attempt()
        ButtonOrder.objects.filter(order_id="2").delete()

        with self.assertLogs("django_button_orders", "WARNING"):
            list(record_all(attempts))

        assert ButtonOrder.objects.filter(status="reported").count() == 5
        assert Submission.objects.count() == 5

    def test_account_was_paused(self):
        """The first answer resumes the account."""
        attempts = self.attempt()
        PausedAccount.objects.create(account="default", probe_at=from_now(60))

        list(record_all(attempts))

        assert not PausedAccount.objects.exists()
        assert ButtonOrder.objects.filter(status="reported").count() == 6
