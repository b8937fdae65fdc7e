from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import requests
import responses
from django.test import override_settings
from django.utils import translation

from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.clock import from_now
from django_button_orders.monitoring.explain.chain import find_chain
from tests.delivery.utils import DeliveryTestCase
from tests.shop.models import Order
from tests.utils import (
    LONG_AGO,
    OK,
    add_answer,
    button_settings,
    create_row,
    make_due,
    order_url,
)

NOVEMBER = datetime(2026, 11, 3, 18, tzinfo=timezone.utc)
PUBLISHER, SHOP = "publisher", "shop"


class ConclusionTestCase(DeliveryTestCase):
    def conclude(self, row):
        with translation.override("en"):
            return find_chain(ButtonOrder.objects.get(pk=row.pk)).conclusion

    def check(self, row, audience, text):
        found = self.conclude(row)
        assert (found.audience, found.text) == (audience, text)

    def put(self, row, **values):
        ButtonOrder.objects.filter(pk=row.pk).update(**values)

    def create_reported(self, **values):
        """Report an order on 3 November."""
        row = self.create_acknowledged(**values)
        row.submissions.update(started_at=NOVEMBER)
        return row

    def change(self, row, **answer):
        """Update an order two days later."""
        add_answer("POST", order_url(), **answer)
        row.total -= 500
        row.save()
        self.report(row)
        changes = row.submissions.exclude(operation="create")
        changes.update(started_at=NOVEMBER + timedelta(days=2))


class ReportedTests(ConclusionTestCase):
    """Button has the order with its token."""

    def test_unchanged(self):
        self.check(
            self.create_reported(),
            PUBLISHER,
            "It was reported with its token on Nov. 3, 2026 and has been unchanged "
            "since. The commission is Button's to say.",
        )

    def test_changed(self):
        row = self.create_reported()
        self.change(row)

        self.check(
            row,
            PUBLISHER,
            "It was reported with its token on Nov. 3, 2026 and last changed on "
            "Nov. 5, 2026. The commission is Button's to say.",
        )

    def test_answer_that_was_lost(self):
        """Button was asked, and had the order: the lost report counts."""
        row = create_row()
        add_answer("POST", body=requests.ReadTimeout())
        self.report(row)
        shown = {"total": 7000, "currency": "USD"}
        add_answer("GET", order_url(), json={**OK, "object": shown})
        add_answer("POST", order_url())
        make_due()
        self.report(row)
        row.submissions.filter(operation="create").update(started_at=NOVEMBER)

        assert row.status == "reported"
        found = self.conclude(row)
        assert found.audience == PUBLISHER
        assert "reported with its token on Nov. 3, 2026" in found.text

    def test_first_report_was_pruned(self):
        row = self.create_reported()
        row.submissions.all().delete()

        self.check(
            row,
            PUBLISHER,
            "It was reported with its token. The date is no longer on record. "
            "The commission is Button's to say.",
        )

    def test_token_is_gone_from_the_shop(self):
        row = self.create_reported()
        self.put(row, btn_ref="")

        assert self.conclude(row).audience == PUBLISHER

    def test_button_shows_no_token(self):
        row = self.create_reported()
        create_question(row, {"btn_ref": None})

        self.check(
            row,
            SHOP,
            "It was reported with its token on Nov. 3, 2026, but Button shows no token "
            "for it. Send Button the order ID and the token.",
        )

    def test_cancelled(self):
        row = self.create_reported()
        row.cancel()
        add_answer("DELETE", order_url())
        self.report(row)
        row.submissions.filter(operation="cancel").update(started_at=NOVEMBER)

        self.check(
            row,
            PUBLISHER,
            "It was cancelled on Nov. 3, 2026. A cancelled order earns no commission.",
        )

    def test_no_personal_data_for_the_publisher(self):
        row = self.create_reported(
            customer={"id": "c-7", "email_sha256": "0" * 64},
            customer_order_id="A-7",
        )

        text = self.conclude(row).text
        for value in ("c-7", "0" * 64, "A-7", "srctok-1"):
            assert value not in text


class TokenTests(ConclusionTestCase):
    """Button has the order without the token that it has now."""

    def test_no_token(self):
        self.check(
            self.create_reported(btn_ref=""),
            SHOP,
            "It was reported without a token, and has none now, so no publisher earns "
            "a commission. Check whether the customer followed a Button link.",
        )

    def test_late_token(self):
        row = self.create_reported(btn_ref="")
        row.btn_ref = "srctok-2"
        row.save()
        self.put(row, late_token_at=NOVEMBER + timedelta(seconds=40))

        self.check(
            row,
            SHOP,
            "It was reported 40 seconds before the app saw its token. Button ties "
            "tokens at the first report.",
        )

    def test_late_token_of_an_unknown_time(self):
        row = self.create_reported(btn_ref="")
        self.put(row, btn_ref="srctok-2", has_late_token=True)

        self.check(
            row,
            SHOP,
            "It was reported before its token was saved. Button ties tokens at the "
            "first report.",
        )

    def test_other_token(self):
        row = self.create_reported()
        row.btn_ref = "srctok-2"
        row.save()

        self.check(
            row,
            SHOP,
            "It was reported with another token than it has now. Button ties tokens at "
            "the first report, so the earlier one counts.",
        )

    def test_token_of_the_first_report_is_not_known(self):
        row = self.create_reported()
        self.put(row, reported_btn_ref=None)
        self.check(
            row,
            SHOP,
            "Button has the order, but its first report is not on record here. Ask "
            "Button which token it has.",
        )

        create_question(row, {"btn_ref": "srctok-1"})
        assert self.conclude(row).audience == PUBLISHER

        create_question(row, {"btn_ref": None})
        assert "before its token was saved" in self.conclude(row).text

    def test_erased(self):
        row = self.create_reported()
        self.put(row, erased_at=NOVEMBER, btn_ref="", reported_btn_ref="")

        self.check(
            row,
            SHOP,
            "Button has the order. Its token was erased here on Nov. 3, 2026, so only "
            "Button can say which token it has.",
        )


class ShopDateTests(ConclusionTestCase):
    """The shop keeps when it got the token."""

    def reported_order(self, **values):
        order = Order.objects.create(number="1994", **values)
        add_answer("POST")
        row = ButtonOrder.objects.get()
        self.report(row)
        row.submissions.update(started_at=NOVEMBER)
        return order, row

    def add_token(self, order, came):
        order.btn_ref, order.token_came_at = "srctok-2", came
        order.save()
        make_due()
        self.report(ButtonOrder.objects.get())

    def test_late(self):
        for seconds, words in (
            (0.2, "1 second"),
            (40, "40 seconds"),
            (100, "1 minute"),
            (7300, "2 hours"),
            (200_000, "2 days"),
        ):
            with self.subTest(words=words):
                Order.objects.all().delete()
                ButtonOrder.objects.all().delete()
                order, row = self.reported_order()
                self.add_token(order, NOVEMBER + timedelta(seconds=seconds))

                self.check(
                    row,
                    SHOP,
                    f"It was reported {words} before the token was saved. Button ties "
                    "tokens at the first report.",
                )

    def test_report_left_the_token_out(self):
        order, row = self.reported_order()
        self.add_token(order, NOVEMBER - timedelta(minutes=5))

        self.check(
            row,
            SHOP,
            "The shop saved the token 5 minutes before the first report, which did not "
            "have it. Check that the adapter's build() returns it.",
        )

    def test_report_never_has_the_token(self):
        _, row = self.reported_order(token_came_at=NOVEMBER)

        self.check(
            row,
            SHOP,
            "The shop got a token on Nov. 3, 2026, and the report has none. Check that "
            "the adapter's build() returns it.",
        )

    def test_adapter_that_raises(self):
        order, row = self.reported_order(email="ada@example.com")
        Order.objects.filter(pk=order.pk).update(trouble="get_btn_ref_date")

        texts = [event.text for event in find_chain(row).events]

        [error] = [text for text in texts if "get_btn_ref_date() failed" in text]
        assert "TroubleError at shop/button_orders.py" in error
        assert "ada@example.com" not in error
        assert "without a token" in self.conclude(row).text


class ArrivedTests(ConclusionTestCase):
    def test_change_whose_answer_was_lost(self):
        """Button refuses it the second time, and shows that it has it."""
        row = self.create_reported(btn_ref="srctok-1")
        self.change(row, status=503)
        responses.reset()
        add_answer("POST", order_url(), status=403, json={"meta": {"status": "error"}})
        shown = {"meta": {"status": "ok"}, "object": {"total": row.total}}
        add_answer("GET", order_url(), json=shown)
        make_due()
        self.report(row)

        assert row.status == "reported"
        assert "and last changed on Nov. 5, 2026." in self.conclude(row).text


class ChangeTests(ConclusionTestCase):
    """Button has an earlier state of the order."""

    def test_each_status(self):
        row = self.create_reported()
        cases = [
            (
                {"status": "closed", "reason": "finalized"},
                "The last change came after Button's window had closed, so Button "
                "keeps the earlier state.",
            ),
            (
                {
                    "status": "closed",
                    "reason": "finalized",
                    "reported_total": 7000,
                    "late_amount": 2000,
                },
                "The last change came after Button's window had closed. Button holds "
                "70.00 USD, and the shop wants 50.00 USD.",
            ),
            (
                {
                    "status": "closed",
                    "reason": "finalized",
                    "reported_total": 7000,
                    "late_amount": 0,
                },
                "The last change came after Button's window had closed, so Button "
                "keeps the earlier state.",
            ),
            (
                {"status": "failed", "reason": "refused"},
                "Button has an earlier state, because the last change failed. Button "
                "refused it. Correct the order, then retry it.",
            ),
            (
                {"status": "failed", "reason": "exhausted"},
                "Button has an earlier state, because the last change failed. Gave up "
                "after all attempts. Fix the cause, then retry it.",
            ),
            (
                {"status": "dismissed", "reported_at": NOVEMBER},
                "Button has the state of Nov. 3, 2026. Nothing more is sent.",
            ),
            (
                {"status": "pending", "next_attempt_at": NOVEMBER},
                "Button has an earlier state: a change is not sent yet. It has been "
                "due since 2026-11-03 12:00:00 CST. Check that a Celery worker and "
                "Celery beat are running.",
            ),
        ]
        for values, text in cases:
            with self.subTest(values=values):
                self.put(row, **{"reason": "", **values})
                self.check(row, SHOP, text)


class UnreportedTests(ConclusionTestCase):
    """Button has not acknowledged the order."""

    def test_cancelled_before(self):
        row = create_row()
        row.cancel()
        self.report(row)

        self.check(
            row,
            PUBLISHER,
            "It was cancelled before it was reported, so Button never had it.",
        )

    def test_failed(self):
        row = create_row()
        for reason, text in (
            (
                "invalid",
                "No valid report could be built. Correct the order or its adapter, "
                "then retry it.",
            ),
            ("refused", "Button refused it. Correct the order, then retry it."),
            (
                "taken",
                "Button has another order under this ID. Give it another ID, or report "
                "over Button's order.",
            ),
            ("exhausted", "Gave up after all attempts. Fix the cause, then retry it."),
            (
                "unauthorized",
                "Button does not accept the key. Correct API_KEY, then retry it.",
            ),
            ("unavailable", "Button is not available. Retry it."),
            ("", "Failed. Retry it."),
        ):
            with self.subTest(reason=reason):
                self.put(row, status="failed", reason=reason, unanswered=0)
                words = f"Button has not acknowledged a report of it. {text}"
                self.check(row, SHOP, words)

                self.put(row, unanswered=2)
                more = "The next attempt asks Button first."
                self.check(row, SHOP, f"{words} {more}")

    def test_dismissed(self):
        row = create_row()
        self.put(row, status="dismissed")
        self.check(
            row,
            SHOP,
            "It was never reported, because it was dismissed. To report it, retry it.",
        )

        self.put(row, reason="no_token")
        self.check(
            row,
            SHOP,
            "It was never reported: it has no token, and REPORT_WITHOUT_TOKEN is "
            "false. Check whether the customer followed a Button link.",
        )

    def test_pending(self):
        row = create_row()
        self.put(row, next_attempt_at=LONG_AGO)
        assert self.conclude(row).text.startswith(
            "It is not reported yet. It has been due since 2019-12-31 18:00:00 CST."
        )

        self.put(row, next_attempt_at=from_now(3600))
        assert "not reported yet. The next attempt is on" in self.conclude(row).text

        PausedAccount.objects.pause("default", seconds=300, error="No.")
        assert "because Button refused its API key." in self.conclude(row).text

        with self.settings(BUTTON_ORDERS=button_settings(ENABLED=False)):
            self.check(
                row,
                SHOP,
                "It is not reported yet. ENABLED is false for the account default.",
            )

        self.put(row, lease_expires_at=from_now(60), unanswered=1)
        self.check(
            row,
            SHOP,
            "It is not reported yet. A worker is sending it right now.",
        )

    def test_invalid_settings(self):
        row = create_row()
        with self.settings(BUTTON_ORDERS={"API_KEY": 7}):
            assert "It is not reported yet. " in self.conclude(row).text

    def test_lost_answer(self):
        row = create_row()
        add_answer("POST", body=requests.ReadTimeout())
        self.report(row)

        text = self.conclude(row).text

        assert text.startswith("A report may have reached Button, but no definite")
        assert text.endswith("The next attempt asks Button first.")

    def test_closed_after_a_lost_answer(self):
        """Button has shown the order, and refused its change."""
        row = create_row(btn_ref="srctok-1")
        self.put(row, unanswered=1)
        order = {"purchase_date": "2026-11-01T12:00:00Z", "total": 9000}
        shown = {"meta": {"status": "ok"}, "object": {**order, "btn_ref": "srctok-1"}}
        add_answer("GET", order_url(), json=shown)
        add_answer("POST", order_url(), status=403, json={"meta": {"status": "error"}})
        self.report(row)

        self.check(
            row,
            SHOP,
            "The last change came after Button's window had closed. Button holds "
            "90.00 USD, and the shop wants 70.00 USD.",
        )

    @override_settings(BUTTON_ORDERS=button_settings(SITE="staging"))
    def test_other_site(self):
        for status in ("pending", "reported"):
            row = create_row(order_id=status)
            self.put(row, site="live", status=status)

            self.check(
                row,
                SHOP,
                "The site live reports this order, and SITE is staging here. Explain "
                "it in that installation.",
            )


def create_question(row, shown):
    """Record that Button was asked about an order, and what it showed."""
    body = {**OK, "object": {"total": 7000, **shown}}
    return Submission.objects.create(
        button_order=row,
        operation="retrieve",
        trigger="admin",
        revision=1,
        started_at=NOVEMBER + timedelta(days=10, seconds=row.submissions.count()),
        duration_ms=1,
        method="GET",
        url=order_url(),
        status_code=200,
        response_body=json.dumps(body),
        outcome="succeeded",
    )
