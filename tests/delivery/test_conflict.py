"""Button has an order under a row's id: is it the order of the row?"""

from __future__ import annotations

from datetime import timedelta

import requests
import responses
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.call import perform
from django_button_orders.delivery.conflict import describe_both, is_ours
from django_button_orders.delivery.desired import Desired
from django_button_orders.delivery.prepare import prepare
from django_button_orders.delivery.record import record_with_retries
from django_button_orders.delivery.sweep import report, report_due
from django_button_orders.delivery.verdicts import message_of
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.sandbox import Sandbox
from tests.delivery.utils import DeliveryTestCase, good_report
from tests.shop.models import Order
from tests.utils import (
    LONG_AGO,
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

TAKEN = ("failed", "taken")
OURS = {"purchase_date": "2026-11-01T12:00:00Z", "currency": "USD"}
THEIRS = {
    "order_id": "1994",
    "purchase_date": "2026-10-05T08:00:00Z",
    "currency": "USD",
    "total": 45000,
    "customer": {"id": "u-live", "email_sha256": "ab" * 32},
}
ASKED = ["POST /v1/order", "GET /v1/order/1994"]


class IsOursTests(SimpleTestCase):
    def is_ours(self, shown, *, unanswered=1, **row):
        report = good_report(order_id="1994")
        attempt = Attempt(
            row=ButtonOrder(order_id="1994", unanswered=unanswered, **row),
            lease_ends=0,
            desired=Desired(order_id="1994", report=report),
        )
        return is_ours(attempt, shown)

    def test_same_moments(self):
        for text in (
            "2026-11-01T12:00:00Z",
            "2026-11-01T12:00:00+00:00",
            "2026-11-01T13:00:00+01:00",
            "2026-11-01T07:00:00.000-0500",
            "2026-11-01T12:00:00.999999Z",
            "2026-11-01 12:00:00",
        ):
            with self.subTest(text=text):
                assert self.is_ours({"purchase_date": text})
                assert self.is_ours({"purchase_date": text, "currency": "usd"})

    def test_other_moments(self):
        for text in (
            "2026-11-01T12:00:01Z",
            "2026-11-01T12:00:00+01:00",
            "2025-11-01T12:00:00Z",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
        ):
            with self.subTest(text=text):
                shown = {"purchase_date": text, "currency": "USD"}

                assert not self.is_ours(shown)
                assert not self.is_ours(shown, unanswered=2)

    def test_currency(self):
        for currency, is_same in (("USD", True), ("usd ", True), ("EUR", False)):
            with self.subTest(currency=currency):
                shown = {"currency": currency}

                assert self.is_ours(shown) is is_same
                assert self.is_ours({**OURS, **shown}) is is_same
                assert self.is_ours(shown, unanswered=2) is is_same

    def test_not_shown(self):
        for shown in ({}, {"total": 1}, dict.fromkeys(OURS), {"order_id": "1994"}):
            with self.subTest(shown=shown):
                assert not self.is_ours(shown)
                assert self.is_ours(shown, unanswered=2)

    def test_odd_values(self):
        """They prove neither the one nor the other."""
        for value in ("", "yesterday", 5, 1.5, True, [], ["USD"], {"a": 1}, "٣", "\0"):
            for name in OURS:
                with self.subTest(name=name, value=value):
                    shown = {**OURS, name: value}

                    assert not self.is_ours(shown)
        assert self.is_ours({**OURS, "purchase_date": 5}, unanswered=2)

    def test_changed_since_the_unanswered_attempt(self):
        """The row has what its last attempt has sent."""
        before = PURCHASED - timedelta(days=2)
        shown = {**OURS, "purchase_date": "2026-10-30T12:00:00Z"}

        row = {"purchase_date": before, "currency": "USD"}
        assert self.is_ours(shown, unanswered=2, **row)
        assert not self.is_ours(shown, unanswered=1, **row)
        assert not self.is_ours(shown, unanswered=2)


class ErrorTests(SimpleTestCase):
    def test_both_sides_and_no_customer(self):
        ours = {"order_id": "1994", "total": 100, "customer": {"id": "u-7"}, **OURS}

        text = describe_both(ours, THEIRS)

        assert text == (
            "Button has another order under this ID, and it was not changed. Ours: "
            "order_id 1994, purchase_date 2026-11-01T12:00:00Z, total 100, currency "
            "USD. Button's: order_id 1994, purchase_date 2026-10-05T08:00:00Z, total "
            "45000, currency USD."
        )

    def test_odd_values(self):
        shown = {"order_id": ["x"], "total": True, "currency": "\x1b[31m" + "x" * 500}

        text = describe_both({}, shown)

        assert "order_id unreadable, purchase_date not shown, total unread" in text
        assert "\x1b" not in text
        assert len(text) < 500


class ConflictTests(DeliveryTestCase):
    """A create is refused with 409, and Button is asked whose order it has."""

    def conflict(self, shown=THEIRS, **values):
        row = create_row(**values)
        add_answer("POST", ORDERS_URL, status=409, json=NOT_FOUND)
        add_answer("GET", order_url(), json={**OK, "object": shown})
        self.report(row)
        return row

    def again(self, row):
        make_due()
        responses.calls.reset()
        self.report(row)

    def answer_question(self, **answer):
        """Let Button answer the next questions in another way."""
        responses.remove("GET", order_url())
        add_answer("GET", order_url(), **answer)

    def test_ours(self):
        row = create_row()
        add_answer("POST", ORDERS_URL, status=409)
        add_answer("GET", order_url(), json={**OK, "object": {**OURS, "total": 5}})
        add_answer("POST", order_url())

        self.report(row)

        assert calls() == [*ASKED, "POST /v1/order/1994"]
        assert b"btn_ref" not in responses.calls[2].request.body
        assert self.state(row) == ("reported", "")
        assert (row.attempts, row.unanswered) == (1, 0)

    def test_ours_and_the_same(self):
        row = self.conflict({**OURS, "total": 7000})

        assert calls() == ASKED
        assert self.state(row) == ("reported", "")

    def test_ours_and_cancelled(self):
        row = self.conflict({**OURS, "status": "deleted"})

        assert calls() == ASKED
        assert self.state(row) == ("failed", "finalized")
        assert row.unanswered == 0

    def test_of_another_shop(self):
        row = self.conflict(customer={"id": "u-77"})

        assert calls() == ASKED
        assert self.state(row) == TAKEN
        assert (row.unanswered, row.next_attempt_at) == (0, None)
        assert not row.is_acknowledged
        assert row.last_status_code == 200
        for text in ("total 7000", "total 45000", "2026-10-05", "Report over it"):
            assert text in row.last_error
        for text in ("u-77", "u-live", "abab"):
            assert text not in row.last_error
        assert "Report over it" not in message_of(row.last_error)
        outcomes = row.submissions.order_by("pk").values_list("operation", "outcome")
        assert list(outcomes) == [("create", "will_retry"), ("retrieve", "failed")]

    def test_button_shows_nothing(self):
        for shown in ({}, None, {"total": 7000}):
            with self.subTest(shown=shown):
                ButtonOrder.objects.all().delete()

                assert self.state(self.conflict(shown)) == TAKEN

    def test_never_an_update_by_itself(self):
        row = self.conflict()
        row.retry()
        self.again(row)
        assert calls() == ASKED
        assert self.state(row) == TAKEN
        row.total = 6000
        row.save()
        self.again(row)
        assert calls() == ASKED
        assert self.state(row) == TAKEN
        assert row.unanswered == 0

    def test_cancelled_in_the_shop(self):
        row = self.conflict()
        row.cancel()

        self.again(row)

        assert calls() == []
        assert self.state(row) == ("cancelled", "")
        assert not row.is_acknowledged

    def test_cancelled_while_it_is_asked(self):
        row = create_row()
        add_answer("POST", ORDERS_URL, status=409)

        def cancel(request):
            row.cancel()
            return 200, {}, b'{"meta": {"status": "ok"}, "object": {"total": 45000}}'

        responses.add_callback("GET", order_url(), cancel)
        self.report(row)

        self.again(row)

        assert calls() == []
        assert self.state(row) == ("cancelled", "")

    def test_question_without_an_answer(self):
        """The attempt had no effect, so the next one cannot take the order for ours."""
        for answer in (
            {"status": 503},
            {"status": 429},
            {"status": 401},
            {"status": 403},
            {"status": 302},
            {"status": 400},
            {"status": 405},
            {"status": 404, "json": NOT_FOUND},
            {"body": requests.ReadTimeout()},
            {"body": "<html>", "content_type": "text/html"},
        ):
            with self.subTest(answer=answer):
                ButtonOrder.objects.all().delete()
                responses.reset()
                responses.calls.reset()
                row = create_row()
                add_answer("POST", ORDERS_URL, status=409)
                add_answer("GET", order_url(), **answer)
                self.report(row)
                assert calls() == ASKED
                assert row.unanswered == 0
                assert row.reason != "taken"
                PausedAccount.objects.all().delete()
                row.retry()
                self.answer_question(json={**OK, "object": THEIRS})

                self.again(row)

                assert calls() == ASKED
                assert self.state(row) == TAKEN

    def test_question_is_refused_until_the_schedule_ends(self):
        row = self.conflict()
        row.retry()
        self.answer_question(status=400)
        self.again(row)

        assert self.state(row) == ("pending", "unavailable")
        assert row.last_error.startswith("Button answered 409 to create and then 400")

    def test_ours_by_an_unanswered_attempt(self):
        """Button need not show a field, and the order may have changed since."""
        row = create_row()
        add_answer("POST", ORDERS_URL, body=requests.ReadTimeout())
        self.report(row)
        row.total = 6000
        row.save()
        add_answer("GET", order_url(), json={**OK, "object": {"total": 7000}})
        add_answer("POST", order_url())

        self.again(row)

        assert calls() == ["GET /v1/order/1994", "POST /v1/order/1994"]
        assert self.state(row) == ("reported", "")

    def test_not_ours_in_spite_of_an_unanswered_attempt(self):
        """Button failed for a while, and then shows the order of another shop."""
        row = create_row()
        add_answer("POST", ORDERS_URL, status=503)
        self.report(row)
        add_answer("GET", order_url(), json={**OK, "object": THEIRS})

        self.again(row)

        assert calls() == ["GET /v1/order/1994"]
        assert self.state(row) == TAKEN
        assert row.unanswered == 0

    def test_question_is_not_taken(self):
        """Button did not say whose it is, and an earlier attempt is unanswered."""
        row = create_row()
        add_answer("POST", ORDERS_URL, status=503)
        self.report(row)
        responses.reset()
        add_answer("GET", order_url(), status=405)
        add_answer("POST", ORDERS_URL, status=409)
        add_answer("POST", order_url())

        self.again(row)

        assert calls()[1:] == ["POST /v1/order", "POST /v1/order/1994"]
        assert self.state(row) == ("reported", "")

    def test_cancellation_after_an_outage(self):
        """Button failed at the create, and has the order of another shop."""
        for is_direct in (True, False):
            with self.subTest(is_direct=is_direct):
                responses.reset()
                add_answer("POST", ORDERS_URL, status=503)
                row = self.create(is_direct=is_direct)
                self.report(row)
                self.cancel(row)
                add_answer("GET", order_url(), json={**OK, "object": THEIRS})

                self.again(row)

                assert calls() == ["GET /v1/order/1994"]
                assert self.state(row) == TAKEN
                assert "purchase_date 2026-11-01T12:00:00Z" in row.last_error
                assert "total 45000" in row.last_error
                row.retry()
                self.again(row)
                assert calls() == []
                assert self.state(row) == ("cancelled", "")

    def test_cancellation_of_ours(self):
        """An answer to the create was lost, and Button need not show a field."""
        for shown in (OURS, {}, {"currency": "USD"}, {**THEIRS, **OURS}):
            for is_direct in (True, False):
                with self.subTest(shown=shown, is_direct=is_direct):
                    responses.reset()
                    add_answer("POST", ORDERS_URL, body=requests.ReadTimeout())
                    row = self.create(is_direct=is_direct)
                    self.report(row)
                    self.cancel(row)
                    add_answer("GET", order_url(), json={**OK, "object": shown})
                    add_answer("DELETE", order_url())

                    self.again(row)

                    assert calls() == ["GET /v1/order/1994", "DELETE /v1/order/1994"]
                    assert self.state(row) == ("cancelled", "")
                    assert row.unanswered == 0

    def test_cancellation_after_a_worker_died(self):
        """Nothing is on record of what it has sent, but the order still says it."""
        for shown, state in ((THEIRS, TAKEN), (OURS, ("cancelled", ""))):
            for is_direct in (True, False):
                with self.subTest(shown=shown, is_direct=is_direct):
                    responses.reset()
                    row = self.create(is_direct=is_direct)
                    ButtonOrder.objects.claim(limit=1, lease_seconds=0)
                    self.cancel(row)
                    add_answer("GET", order_url(), json={**OK, "object": shown})
                    add_answer("DELETE", order_url())

                    self.again(row)

                    assert self.state(row) == state
                    sent = ["DELETE /v1/order/1994"] if shown == OURS else []
                    assert calls() == ["GET /v1/order/1994", *sent]
                    if state == TAKEN:
                        assert "purchase_date 2026-11-01T12:00:00Z" in row.last_error

    def test_cancellation_by_a_person_after_a_worker_died(self):
        """It cannot be told what was sent, so a person has to decide."""
        row = self.create(is_direct=False)
        ButtonOrder.objects.claim(limit=1, lease_seconds=0)
        row.cancel()
        add_answer("GET", order_url(), json={**OK, "object": THEIRS})

        self.again(row)

        assert calls() == ["GET /v1/order/1994"]
        assert self.state(row) == TAKEN

    def test_cancellation_of_what_is_cancelled(self):
        row = create_row()
        add_answer("POST", ORDERS_URL, status=503)
        self.report(row)
        row.cancel()
        shown = {**THEIRS, "status": "deleted"}
        add_answer("GET", order_url(), json={**OK, "object": shown})

        self.again(row)

        assert calls() == ["GET /v1/order/1994"]
        assert self.state(row) == ("cancelled", "")

    def test_cancellation_of_what_button_does_not_show(self):
        for answer in ({"status": 404, "json": NOT_FOUND}, {"status": 405}):
            with self.subTest(answer=answer):
                responses.reset()
                row = create_row()
                add_answer("POST", ORDERS_URL, status=503)
                self.report(row)
                row.cancel()
                add_answer("GET", order_url(), **answer)
                add_answer("DELETE", order_url(), status=404)

                self.again(row)

                assert calls() == ["GET /v1/order/1994", "DELETE /v1/order/1994"]
                assert self.state(row) == ("cancelled", "")
                row.delete()

    def test_cancellation_waits_where_a_proxy_answers(self):
        row = create_row()
        add_answer("POST", ORDERS_URL, status=503)
        self.report(row)
        row.cancel()
        add_answer("GET", order_url(), status=404, body="<html>")
        self.again(row)
        assert calls() == ["GET /v1/order/1994"]
        assert self.state(row) == ("pending", "unavailable")
        self.answer_question(json={**OK, "object": THEIRS})

        self.again(row)

        assert calls() == ["GET /v1/order/1994"]
        assert self.state(row) == TAKEN

    def test_changed_while_button_does_not_answer(self):
        """The row keeps what was sent until Button has said whose order it has."""
        add_answer("POST", ORDERS_URL, body=requests.ReadTimeout())
        row = self.create(is_direct=False)
        self.report(row)
        Order.objects.update(placed_at=LONG_AGO)
        row.row().mark_changed()
        add_answer("GET", order_url(), status=503)
        self.again(row)
        assert row.purchase_date == PURCHASED
        self.answer_question(json={**OK, "object": OURS})
        add_answer("POST", order_url())

        self.again(row)

        assert calls() == ["GET /v1/order/1994", "POST /v1/order/1994"]
        assert self.state(row) == ("reported", "")
        assert row.purchase_date == LONG_AGO

    def create(self, *, is_direct):
        """Create a row of the shop itself, or that of an order."""
        Order.objects.all().delete()
        ButtonOrder.objects.all().delete()
        if is_direct:
            return create_row()
        Order.objects.create(number="1994", placed_at=PURCHASED)
        return ButtonOrder.objects.get()

    def cancel(self, row):
        if row.is_direct:
            row.cancel()
        else:
            order = Order.objects.get()
            order.is_cancelled = True
            order.save()

    def test_question_is_answered_by_a_proxy(self):
        """Its 404 says nothing, and Button has the order of another shop."""
        for answer in ({"body": "<html>"}, {"json": NOT_FOUND}):
            with self.subTest(answer=answer):
                responses.reset()
                row = self.create(is_direct=True)
                add_answer("POST", ORDERS_URL, status=503)
                self.report(row)
                responses.reset()
                add_answer("GET", order_url(), status=404, **answer)
                add_answer("POST", ORDERS_URL, status=409)
                self.again(row)
                assert calls() == ["GET /v1/order/1994", "POST /v1/order"]
                assert self.state(row) == ("pending", "unavailable")
                self.answer_question(json={**OK, "object": THEIRS})

                self.again(row)

                assert calls()[0] == "GET /v1/order/1994"
                assert not any(call.startswith("POST /v1/order/") for call in calls())
                assert self.state(row) == TAKEN

    def test_lost_lease(self):
        """Somebody else has the row: he sees what Button shows."""
        row = create_row()
        [claimed] = ButtonOrder.objects.claim(limit=1, lease_seconds=120)
        attempt = prepare(Attempt(row=claimed, lease_ends=100), clock=lambda: 0)
        add_answer("POST", ORDERS_URL, status=409)
        add_answer("GET", order_url(), json={**OK, "object": THEIRS})
        perform(attempt, clock=lambda: 0)
        make_due()

        self.report(row)
        record_with_retries(attempt)

        row.refresh_from_db()
        assert not any(call.startswith("POST /v1/order/") for call in calls())
        assert self.state(row) == TAKEN

    def test_overwrite(self):
        row = self.conflict()
        add_answer("POST", order_url())

        assert row.overwrite()
        self.again(row)

        assert calls() == ["POST /v1/order/1994"]
        assert self.state(row) == ("reported", "")
        assert row.reported_revision == row.revision
        assert not row.overwrite()

    def test_overwritten_and_cancelled(self):
        row = self.conflict()
        row.overwrite()
        row.cancel()
        add_answer("DELETE", order_url())

        self.again(row)

        assert calls() == ["DELETE /v1/order/1994"]
        assert self.state(row) == ("cancelled", "")

    def test_overwrite_of_other_rows(self):
        for status, reason in (
            ("failed", "refused"),
            ("pending", "taken"),
            ("dismissed", "taken"),
        ):
            with self.subTest(status=status):
                row = create_row(order_id=f"{status}-{reason}")
                ButtonOrder.objects.filter(pk=row.pk).update(
                    status=status, reason=reason
                )

                assert not row.overwrite()

                row.refresh_from_db()
                assert (row.status, row.is_acknowledged) == (status, False)


class TwoShopsTests(TestCase):
    """Two shops report to one strict sandbox with one key."""

    def setUp(self):
        self.sandbox = Sandbox()
        self.sandbox.start()
        self.addCleanup(self.sandbox.stop)
        values = button_settings(BASE_URL=self.sandbox.url, API_KEY="sk-sandbox")
        settings = override_settings(BUTTON_ORDERS=values)
        settings.enable()
        self.addCleanup(settings.disable)

    def report_from_live(self):
        create_row(order_id="1001", total=45000)
        report_due(using="default")
        assert self.sandbox.orders["1001"]["total"] == 45000
        ButtonOrder.objects.all().delete()

    def held(self):
        return self.sandbox.orders["1001"]["total"]

    def test_shown_by_the_sandbox(self):
        self.report_from_live()

        order = self.sandbox.orders["1001"]
        assert (order["purchase_date"], order["currency"]) == (
            "2026-11-01T12:00:00Z",
            "USD",
        )

    def test_order_of_another_shop(self):
        self.report_from_live()
        row = create_row(
            order_id="1001", total=100, purchase_date=PURCHASED + timedelta(days=1)
        )

        report_due(using="default")

        row.refresh_from_db()
        assert (row.status, row.reason) == TAKEN
        assert self.held() == 45000
        row.cancel()
        report_due(using="default")
        row.refresh_from_db()
        assert row.status == "cancelled"
        assert self.sandbox.orders["1001"]["status"] == "open"

    def test_order_of_a_model(self):
        self.report_from_live()
        Order.objects.create(number="1001", placed_at=LONG_AGO, total=1)

        report_due(using="default")

        row = ButtonOrder.objects.get()
        assert (row.status, row.reason) == TAKEN
        assert self.held() == 45000

    def test_same_order_again(self):
        """The table was restored from before the report."""
        self.report_from_live()
        row = create_row(order_id="1001", total=100)

        report_due(using="default")

        row.refresh_from_db()
        assert row.status == "reported"
        assert self.held() == 100

    def test_lost_answer(self):
        row = create_row(order_id="1001", total=45000)
        self.sandbox.misbehave(drop="after")
        report_due(using="default")
        row.total = 100
        row.save()
        make_due()

        report_due(using="default")

        row.refresh_from_db()
        assert row.status == "reported"
        assert self.held() == 100

    def test_overwritten_by_a_person(self):
        self.report_from_live()
        row = create_row(order_id="1001", total=100, purchase_date=LONG_AGO)
        report(row.pk, using="default")
        row.overwrite()

        report(row.pk, using="default")

        row.refresh_from_db()
        assert row.status == "reported"
        assert self.held() == 100
