from __future__ import annotations

import json
import time
from datetime import timedelta

import requests
import responses
from django.db import transaction
from django.test import override_settings

from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.call import perform
from django_button_orders.delivery.prepare import prepare
from django_button_orders.delivery.record import record_with_retries
from django_button_orders.delivery.verdicts import Result
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.signals import order_reported
from tests import wire
from tests.delivery.utils import DeliveryTestCase
from tests.utils import (
    NOT_FOUND,
    OK,
    ORDERS_URL,
    PURCHASED,
    add_answer,
    button_settings,
    calls,
    create_row,
    make_due,
    order_url,
)

HTML = {"body": "<html>502</html>", "content_type": "text/html"}
RETRY = ("pending", "unavailable")


class AnswerTableTests(DeliveryTestCase):
    """The table of the design: what an answer means for each operation."""

    operations = {
        "create": (create_row, "POST", ORDERS_URL, "reported"),
        "update": ("create_changed", "POST", order_url(), "reported"),
        "cancel": ("create_cancelled", "DELETE", order_url(), "cancelled"),
    }

    def outcomes(self, answer, operations=("create", "update", "cancel")):
        for operation in operations:
            with (
                self.subTest(operation=operation, answer=answer),
                transaction.atomic(),
            ):
                make, method, url, _ = self.operations[operation]
                row = make() if callable(make) else getattr(self, make)()
                add_answer(method, url, **answer)
                self.report(row)
                yield operation, row
                transaction.set_rollback(True)
                responses.reset()
                responses.calls.reset()

    def test_success(self):
        answers = [
            {"json": OK},
            {"json": {"meta": {"status": "ok"}, "object": None}},
            {"status": 202, "json": {"meta": {"status": "ok"}}},
            {"status": 202, "body": "Accepted", "content_type": "text/plain"},
            {"status": 204, "body": ""},
            {"body": "done", "content_type": "text/plain"},
        ]
        for answer in answers:
            for operation, row in self.outcomes(answer):
                assert self.state(row) == (self.operations[operation][3], "")
                assert row.next_attempt_at is None
                assert row.reported_revision == row.revision
                assert row.last_error == ""

    def test_not_from_button(self):
        answers = [
            {"json": {"meta": {"status": "error"}}},
            {"json": {"message": "ok"}},
            HTML,
            {"body": " <!doctype html>", "content_type": "text/plain"},
        ]
        for answer in answers:
            for _, row in self.outcomes(answer):
                assert self.state(row) == RETRY
                assert row.next_attempt_at is not None

    def test_refused(self):
        for status in (400, 402, 405, 413, 422, 451):
            for _, row in self.outcomes({"status": status, "json": NOT_FOUND}):
                assert self.state(row) == ("failed", "refused")
                assert str(status) in row.last_error
                assert "No such order." in row.last_error
                assert row.next_attempt_at is None
                assert row.last_status_code == status

    def test_redirect(self):
        for status in (301, 302, 303, 307, 308):
            headers = {"Location": "https://elsewhere.test/"}
            for _, row in self.outcomes({"status": status, "headers": headers}):
                assert self.state(row) == ("failed", "refused")
                assert len(responses.calls) == 1

    def test_unauthorized(self):
        for _, row in self.outcomes({"status": 401}):
            assert self.state(row) == ("pending", "unauthorized")
            assert row.attempts == 0
            assert PausedAccount.objects.get().account == "default"

    def test_forbidden_create(self):
        for _, row in self.outcomes({"status": 403}, ["create"]):
            assert self.state(row) == ("pending", "unauthorized")
            assert row.attempts == 1
            assert not PausedAccount.objects.exists()

    def test_forbidden_change(self):
        for _, row in self.outcomes({"status": 403}, ["update", "cancel"]):
            assert self.state(row) == ("closed", "finalized")

    def test_create_not_found(self):
        for _, row in self.outcomes({"status": 404}, ["create"]):
            assert self.state(row) == ("failed", "refused")

    def test_update_not_found_creates_again(self):
        row = self.create_changed()
        add_answer("POST", order_url(), status=404, json=NOT_FOUND)
        add_answer("POST", ORDERS_URL)

        self.report(row)

        assert calls() == ["POST /v1/order/1994", "POST /v1/order"]
        assert json.loads(responses.calls[1].request.body)["btn_ref"] == "srctok-1"
        assert self.state(row) == ("reported", "")

    def test_cancel_not_found_is_cancelled(self):
        for _, row in self.outcomes({"status": 404}, ["cancel"]):
            assert self.state(row) == ("cancelled", "")

    def test_contradiction_ends(self):
        row = create_row()
        add_answer("POST", ORDERS_URL, status=409)
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        add_answer("POST", order_url(), status=404)

        self.report(row)

        assert len(calls()) == 3
        assert self.state(row) == RETRY

    def test_contradiction_about_an_acknowledged_order(self):
        row = self.create_changed()
        add_answer("POST", order_url(), status=404)
        add_answer("POST", ORDERS_URL, status=409)

        self.report(row)

        assert calls() == ["POST /v1/order/1994", "POST /v1/order"]
        assert self.state(row) == RETRY

    def test_conflict_on_change(self):
        for _, row in self.outcomes({"status": 409}, ["update", "cancel"]):
            assert self.state(row) == RETRY

    def test_not_now(self):
        for status in (408, 425, 429, 500, 502, 503, 504, 599):
            for _, row in self.outcomes({"status": status}):
                assert self.state(row) == RETRY
                assert row.attempts == 1

    def test_no_answer(self):
        errors = [
            requests.ConnectionError(),
            requests.ConnectTimeout(),
            requests.ReadTimeout(),
            requests.exceptions.SSLError(),
            requests.exceptions.ChunkedEncodingError(),
        ]
        for error in errors:
            for _, row in self.outcomes({"body": error}):
                assert self.state(row) == RETRY
                assert row.last_status_code is None
                assert row.last_error


class OperationTests(DeliveryTestCase):
    def test_create(self):
        row = create_row(customer={"id": "u-77"})
        add_answer("POST")

        assert self.report(row) is None

        assert json.loads(responses.calls[0].request.body) == {
            "order_id": "1994",
            "total": 7000,
            "currency": "USD",
            "purchase_date": "2026-11-01T12:00:00Z",
            "btn_ref": "srctok-1",
            "customer": {"id": "u-77"},
        }
        assert row.button_order_id == "btnorder-1"
        assert row.reported_at is not None

    def test_update_is_full_state_without_token(self):
        row = self.create_changed()
        add_answer("POST", order_url())

        self.report(row)

        body = json.loads(responses.calls[0].request.body)
        assert body["total"] == 6000
        assert body["currency"] == "USD"
        assert "btn_ref" not in body

    def test_same_digest_makes_no_call(self):
        row = self.create_acknowledged()
        ButtonOrder.objects.mark_changed()

        self.report(row)

        assert calls() == []
        assert row.status == "reported"
        assert row.reported_revision == row.revision == 2

    def test_token_alone_makes_no_call(self):
        row = self.create_acknowledged(btn_ref="")
        row.btn_ref = "srctok-2"
        row.save()

        self.report(row)

        assert calls() == []
        assert row.status == "reported"

    def test_cancel_of_what_was_never_sent(self):
        row = create_row()
        row.cancel()

        self.report(row)

        assert calls() == []
        assert row.status == "cancelled"

    def test_cancel_twice(self):
        row = self.create_cancelled()
        add_answer("DELETE", order_url())
        self.report(row)
        ButtonOrder.objects.mark_changed()

        self.report(row)

        assert calls() == ["DELETE /v1/order/1994"]
        assert row.status == "cancelled"

    def test_cancelled_order_comes_back(self):
        row = self.create_cancelled()
        add_answer("DELETE", order_url())
        self.report(row)
        row.cancel_requested_at = None
        row.save(update_fields=["cancel_requested_at"])

        self.report(row)

        assert len(calls()) == 1
        assert self.state(row) == ("failed", "finalized")
        assert "another order ID" in row.last_error

    def test_finalization_date_only_if_there_is_one(self):
        row = create_row(finalization_date=PURCHASED + timedelta(days=30))
        add_answer("POST")

        self.report(row)

        body = json.loads(responses.calls[0].request.body)
        assert body["finalization_date"] == "2026-12-01T12:00:00Z"

    def test_ids_are_encoded(self):
        row = self.create_acknowledged(order_id="2026/11 #42")
        row.cancel()
        add_answer("DELETE", order_url("2026/11 #42"))

        self.report(row)

        assert calls() == ["DELETE /v1/order/2026%2F11%20%2342"]
        assert row.status == "cancelled"

    @override_settings(BUTTON_ORDERS=button_settings(TOTAL_AS_DECIMAL=True))
    def test_total_as_decimal(self):
        row = create_row(line_items=[{"identifier": "a", "total": 7001}])
        add_answer("POST")

        self.report(row)

        body = json.loads(responses.calls[0].request.body)
        assert body["total_as_decimal"] is True
        assert body["total"] == 70.0
        assert body["line_items"] == [{"identifier": "a", "total": 70.01}]


class LateCustomerTests(DeliveryTestCase):
    """A change of the customer alone that comes too late is no failure."""

    def setUp(self):
        super().setUp()
        self.row = self.create_acknowledged(customer={"id": "u-77", "is_new": True})

    def change(self, **values):
        """Save a change that is too late, and make the attempt."""
        add_answer("POST", order_url(), status=403, json=NOT_FOUND)
        for name, value in values.items():
            setattr(self.row, name, value)
        self.row.save()
        self.report(self.row)

    def test_ends_quietly(self):
        reported_at = self.row.reported_at

        self.change(customer={"id": "anonymous"})

        assert self.state(self.row) == ("reported", "")
        assert self.row.last_error == ""
        assert self.row.next_attempt_at is None
        assert self.row.has_refused_customer
        assert self.row.reported_at == reported_at
        submission = self.row.submissions.last()
        assert (submission.operation, submission.outcome) == ("update", "failed")
        assert submission.error == "Button answered 403 to update: No such order."

    def test_no_customer_any_more(self):
        self.change(customer=None)

        assert self.state(self.row) == ("reported", "")
        assert self.row.has_refused_customer

    def test_same_content_makes_no_call(self):
        self.change(customer={"id": "anonymous"})

        for _ in range(2):
            ButtonOrder.objects.mark_changed()
            self.report(self.row)

        assert calls() == ["POST /v1/order/1994"]
        assert self.state(self.row) == ("reported", "")
        assert self.row.has_refused_customer
        self.row.save()
        assert self.row.status == "reported"

    def test_another_customer_is_tried(self):
        self.change(customer={"id": "anonymous"})
        self.change(customer={"id": "u-78"})

        assert len(calls()) == 2
        assert self.state(self.row) == ("reported", "")

    def test_taken_after_all(self):
        self.change(customer={"id": "anonymous"})
        responses.reset()
        add_answer("POST", order_url())
        self.row.customer = {"id": "u-78"}
        self.row.save()
        self.report(self.row)

        assert self.state(self.row) == ("reported", "")
        assert not self.row.has_refused_customer

    def test_other_changes_fail(self):
        self.change(customer={"id": "anonymous"}, total=1)

        assert self.state(self.row) == ("closed", "finalized")
        assert not self.row.has_refused_customer

    def test_unanswered_update_before_it(self):
        """Button may have the other total, so more than the customer differs."""
        add_answer("POST", order_url(), status=503)
        self.row.total = 1
        self.row.save()
        self.report(self.row)
        responses.reset()

        self.change(total=7000, customer={"id": "anonymous"})

        assert self.state(self.row) == ("closed", "finalized")

    def test_unanswered_update_of_the_same_change(self):
        """Button fails while many customers are anonymised."""
        add_answer("POST", order_url(), status=503)
        self.change(customer={"id": "anonymous"})
        assert self.row.status == "pending"
        make_due()

        self.report(self.row)

        assert self.state(self.row) == ("reported", "")
        assert self.row.has_refused_customer

    def test_signal_is_not_sent(self):
        sent = []

        def receive(sender, **values):
            sent.append(values)

        order_reported.connect(receive)
        self.addCleanup(order_reported.disconnect, receive)

        self.change(customer={"id": "anonymous"})

        assert sent == []


class UnknownOutcomeTests(DeliveryTestCase):
    """What may have been applied is asked for before it is sent again."""

    def create_unknown(self, **answer):
        row = create_row()
        add_answer("POST", **answer)
        self.report(row)
        assert self.state(row) == RETRY
        make_due()
        responses.reset()
        responses.calls.reset()
        return row

    def test_not_there(self):
        row = self.create_unknown(body=requests.ReadTimeout())
        add_answer("GET", order_url(), status=404, json=NOT_FOUND)
        add_answer("POST")

        self.report(row)

        assert calls() == ["GET /v1/order/1994", "POST /v1/order"]
        assert row.status == "reported"

    def test_there_and_the_same(self):
        row = self.create_unknown(status=503)
        shown = {"button_order_id": "btnorder-7", "total": 7000, "currency": "USD"}
        add_answer("GET", order_url(), json={**OK, "object": shown})

        self.report(row)

        assert calls() == ["GET /v1/order/1994"]
        assert row.status == "reported"
        assert row.button_order_id == "btnorder-7"

    def test_there_and_different(self):
        row = self.create_unknown(body=requests.ConnectionError())
        row.total = 6000
        row.save()
        add_answer("GET", order_url(), json={**OK, "object": {"total": 7000}})
        add_answer("POST", order_url())

        self.report(row)

        assert calls() == ["GET /v1/order/1994", "POST /v1/order/1994"]
        assert row.status == "reported"

    def test_there_with_a_change_that_does_not_show(self):
        row = self.create_unknown(status=503)
        row.customer = {"id": "u-78"}
        row.save()
        add_answer("GET", order_url(), json={**OK, "object": {"total": 7000}})
        add_answer("POST", order_url())

        self.report(row)

        assert calls() == ["GET /v1/order/1994", "POST /v1/order/1994"]

    def test_there_without_a_body(self):
        row = self.create_unknown(status=500)
        add_answer("GET", order_url(), status=200, body="")
        add_answer("POST", order_url())

        self.report(row)

        assert calls() == ["GET /v1/order/1994", "POST /v1/order/1994"]
        assert row.status == "reported"

    def test_cancelled_meanwhile(self):
        row = self.create_unknown(status=504)
        row.cancel()
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        add_answer("DELETE", order_url())

        self.report(row)

        assert calls() == ["GET /v1/order/1994", "DELETE /v1/order/1994"]
        assert row.status == "cancelled"

    def test_cancellation_that_is_put_off_tells_nothing(self):
        row = self.create_unknown(body=requests.ReadTimeout())
        row.cancel()
        add_answer("GET", order_url(), status=404, json=NOT_FOUND)
        add_answer("DELETE", order_url(), status=429)
        self.report(row)
        make_due()
        responses.reset()
        responses.calls.reset()
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        add_answer("DELETE", order_url())

        self.report(row)

        assert calls() == ["GET /v1/order/1994", "DELETE /v1/order/1994"]
        assert row.status == "cancelled"

    def test_cancelled_after_a_conflict_and_a_refusal(self):
        row = create_row()
        add_answer("POST", ORDERS_URL, status=409)
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        add_answer("POST", order_url(), status=400)
        self.report(row)
        assert row.status == "failed"
        row.cancel()
        add_answer("DELETE", order_url())

        self.report(row)

        assert calls()[-1] == "DELETE /v1/order/1994"

    def test_found_but_the_update_is_put_off(self):
        row = self.create_unknown(status=503)
        row.total = 6000
        row.save()
        add_answer("GET", order_url(), json={**OK, "object": {"total": 7000}})
        add_answer("POST", order_url(), status=429)
        self.report(row)
        make_due()

        self.report(row)

        assert "POST /v1/order" not in calls()
        assert len(calls()) == 4

    def test_update_that_may_have_been_applied_is_taken_back(self):
        row = self.create_changed()
        add_answer("POST", order_url(), body=requests.ReadTimeout())
        self.report(row)
        row.total = 7000
        row.save()
        responses.reset()
        responses.calls.reset()
        add_answer("POST", order_url())

        self.report(row)

        assert calls() == ["POST /v1/order/1994"]
        assert row.status == "reported"

    def test_deleted_at_button(self):
        row = self.create_unknown(status=504)
        shown = {"total": 7000, "status": "deleted"}
        add_answer("GET", order_url(), json={**OK, "object": shown})

        self.report(row)

        assert self.state(row) == ("failed", "finalized")

    def test_button_does_not_take_the_question(self):
        """The attempt goes on, but the question has not succeeded."""
        for answer, error in (
            ({"status": 405, "json": NOT_FOUND}, "No such order."),
            ({"status": 400, "body": "Bad id"}, "400 to retrieve: Bad id"),
            ({"status": 409, "json": NOT_FOUND}, "No such order."),
            ({"status": 404, **HTML}, "a proxy answered, not Button"),
            ({"status": 404, "body": "Not here"}, "404 to retrieve: Not here"),
        ):
            with self.subTest(answer=answer):
                ButtonOrder.objects.all().delete()
                row = self.create_unknown(status=504)
                add_answer("GET", order_url(), **answer)
                add_answer("POST")

                self.report(row)

                assert row.status == "reported"
                asked = row.submissions.get(operation="retrieve")
                assert asked.outcome == "failed"
                assert error in asked.error

    def test_button_says_that_it_has_no_such_order(self):
        row = self.create_unknown(status=504)
        add_answer("GET", order_url(), status=404, json=NOT_FOUND)
        add_answer("POST")

        self.report(row)

        assert row.submissions.get(operation="retrieve").outcome == "succeeded"

    def test_question_is_not_answered(self):
        for answer in ({"status": 503}, {"body": requests.ReadTimeout()}):
            with self.subTest(answer=answer):
                ButtonOrder.objects.all().delete()
                row = self.create_unknown(status=504)
                add_answer("GET", order_url(), **answer)

                self.report(row)

                assert calls() == ["GET /v1/order/1994"]
                assert self.state(row) == RETRY

    def test_question_is_asked_until_it_is_answered(self):
        for status in (429, 401):
            with self.subTest(status=status):
                ButtonOrder.objects.all().delete()
                PausedAccount.objects.all().delete()
                row = self.create_unknown(status=504)
                add_answer("GET", order_url(), status=status)
                self.report(row)
                PausedAccount.objects.all().delete()
                make_due()

                self.report(row)

                assert calls() == ["GET /v1/order/1994"] * 2

    def test_definite_answers_are_not_asked_about(self):
        for status in (429, 408, 403):
            with self.subTest(status=status):
                ButtonOrder.objects.all().delete()
                row = create_row()
                add_answer("POST", status=status)
                self.report(row)
                make_due()
                responses.reset()
                responses.calls.reset()
                add_answer("POST")

                self.report(row)

                assert calls() == ["POST /v1/order"]

    def test_worker_died(self):
        row = create_row()
        ButtonOrder.objects.claim(limit=1, lease_seconds=120)
        ButtonOrder.objects.mark_changed()
        make_due()
        add_answer("GET", order_url(), json={**OK, "object": {"total": 7000}})
        add_answer("POST", order_url())

        self.report(row)

        assert calls()[0] == "GET /v1/order/1994"
        assert row.status == "reported"

    def test_operator_retries_an_exhausted_row(self):
        row = self.create_unknown(status=503)
        ButtonOrder.objects.update(status="failed", reason="exhausted")
        row.retry()
        add_answer("GET", order_url(), json={**OK, "object": {"total": 7000}})

        self.report(row)

        assert calls() == ["GET /v1/order/1994"]


class LeaseTests(DeliveryTestCase):
    def test_time_runs_out_between_two_calls(self):
        row = create_row()
        [claimed] = ButtonOrder.objects.claim(limit=1, lease_seconds=120)
        attempt = Attempt(row=claimed, lease_ends=100)
        prepare(attempt, clock=lambda: 0)
        add_answer("POST", ORDERS_URL, status=409)
        clock = iter([10, 90])

        record_with_retries(perform(attempt, clock=lambda: next(clock)))

        row.refresh_from_db()
        assert calls() == ["POST /v1/order"]
        assert self.state(row) == RETRY
        assert (row.attempts, row.unanswered) == (1, 0)

    def test_frozen_between_its_decision_and_the_call(self):
        """Somebody else may have the row by now, and have sent what is newer."""
        server = wire.Server(wire.replies(wire.answer()), tls=False, reads=True)
        self.addCleanup(server.stop)
        responses.add_passthru(server.url)
        values = {"BASE_URL": server.url, "DEADLINE": 0.05}
        with override_settings(BUTTON_ORDERS=button_settings(**values)):
            create_row()
            [claimed] = ButtonOrder.objects.claim(limit=1, lease_seconds=120)
            attempt = prepare(
                Attempt(row=claimed, lease_ends=float("inf")), clock=lambda: 0
            )

            perform(attempt, is_stopped=lambda attempt: time.sleep(0.1))

        assert server.received == []
        assert attempt.verdict.result is Result.RETRY
        assert attempt.verdict.is_definite

    def test_bug_while_sending(self):
        row = create_row()
        [claimed] = ButtonOrder.objects.claim(limit=1, lease_seconds=120)
        attempt = Attempt(row=claimed, lease_ends=100)
        prepare(attempt, clock=lambda: 0)

        def broken_clock():
            raise RuntimeError("jane@shop.test")

        with self.assertLogs("django_button_orders", "ERROR") as logs:
            record_with_retries(perform(attempt, clock=broken_clock))

        row.refresh_from_db()
        assert self.state(row) == ("failed", "invalid")
        assert "jane" not in f"{row.last_error}{logs.output}"

    def test_bug_after_a_call(self):
        """Button may have acted on the call, so it is asked before the next one."""
        row = create_row()
        [claimed] = ButtonOrder.objects.claim(limit=1, lease_seconds=120)
        attempt = prepare(Attempt(row=claimed, lease_ends=100), clock=lambda: 0)
        add_answer("POST", ORDERS_URL, status=409)
        add_answer("GET", order_url(), json={**OK, "object": {"currency": "USD"}})
        moments = [20, 10]

        with self.assertLogs("django_button_orders", "ERROR"):
            # The third look at the clock, before the update, raises IndexError.
            record_with_retries(perform(attempt, clock=moments.pop))

        row.refresh_from_db()
        assert self.state(row) == RETRY
        assert row.unanswered == 1


class PrivacyTests(DeliveryTestCase):
    def test_key_and_customer_in_no_row_or_log(self):
        row = create_row(customer={"id": "u-77"})
        body = "Basic c2stdGVzdHM6 for sk-tests"
        add_answer("POST", status=400, body=body, content_type="text/plain")

        with self.assertLogs(level="DEBUG") as logs:
            self.report(row)

        stored = [row.last_error, *row.submissions.values_list("response_body", "url")]
        assert "sk-tests" not in f"{stored}{logs.output}"
        assert "c2stdGVzdHM6" not in f"{stored}{logs.output}"
        assert "u-77" not in f"{logs.output}"
