from __future__ import annotations

import requests
import responses
from django.test import override_settings

from django_button_orders.models import ButtonOrder
from tests.delivery.utils import DeliveryTestCase
from tests.shop.models import Order
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

SHOWN = {"total": 7000, "currency": "USD", "purchase_date": "2026-11-01T12:00:00Z"}


class TokenTestCase(DeliveryTestCase):
    def attempt(self, row, *answers):
        """Make an attempt, to which Button gives these answers."""
        make_due()
        responses.reset()
        responses.calls.reset()
        for method, url, answer in answers:
            add_answer(method, url, **answer)
        self.report(row)

    def create(self, row, **answer):
        self.attempt(row, ("POST", ORDERS_URL, answer))

    def ask(self, row, shown, *answers):
        answer = {"json": {**OK, "object": {**SHOWN, **shown}}}
        update = ("POST", order_url(), {})
        self.attempt(row, ("GET", order_url(), answer), *(answers or [update]))

    def change(self, row, token):
        row.btn_ref = token
        row.save()

    def check(self, row, tied, *, late):
        row.refresh_from_db()
        assert (row.reported_btn_ref, row.has_late_token) == (tied, late)
        assert (row.late_token_at is not None) == late


class ReportedTests(TokenTestCase):
    """Button ties a token to an order at the create only."""

    def test_with_a_token(self):
        row = create_row()

        self.create(row)

        self.check(row, "srctok-1", late=False)

    def test_without_a_token(self):
        for token in ("", None):
            with self.subTest(token=token):
                ButtonOrder.objects.all().delete()
                row = create_row(btn_ref=token)

                self.create(row)

                self.check(row, "", late=False)

    def test_refused(self):
        row = create_row()

        self.create(row, status=400, json=NOT_FOUND)

        self.check(row, None, late=False)

    def test_key_is_refused(self):
        row = create_row()

        self.create(row, status=401, json=NOT_FOUND)

        self.check(row, None, late=False)

    def test_host_order(self):
        order = Order.objects.create(number="1994")
        row = ButtonOrder.objects.get()
        self.create(row)
        order.btn_ref = "srctok-2"
        order.save()
        self.attempt(row)
        assert calls() == []
        self.check(row, "", late=True)

        order.btn_ref = ""
        order.save()
        self.attempt(row)

        self.check(row, "", late=False)

    def test_late_token_with_other_changes(self):
        row = create_row(btn_ref="")
        self.create(row)
        row.total = 1
        self.change(row, "srctok-2")

        self.attempt(row, ("POST", order_url(), {}))

        self.check(row, "", late=True)

    def test_change_that_fails(self):
        row = create_row(btn_ref="")
        self.create(row)
        row.total = 1
        self.change(row, "srctok-2")

        self.attempt(row, ("POST", order_url(), {"status": 400, "json": NOT_FOUND}))

        assert row.status == "failed"
        self.check(row, "", late=True)

    def test_another_token(self):
        row = create_row()
        self.create(row)
        self.change(row, "srctok-2")
        self.check(row, "srctok-1", late=True)
        self.change(row, "srctok-1")
        self.check(row, "srctok-1", late=False)

        # An order whose token is gone has lost nothing.
        self.change(row, "")
        self.check(row, "srctok-1", late=False)

    def test_the_first_late_token_counts(self):
        row = create_row()
        self.create(row)
        self.change(row, "srctok-2")
        ButtonOrder.objects.update(late_token_at=LONG_AGO)

        self.change(row, "srctok-3")

        row.refresh_from_db()
        assert row.late_token_at == LONG_AGO

    def test_saved_row_shows_the_moment(self):
        row = create_row(btn_ref="")
        self.create(row)

        self.change(row, "srctok-2")

        assert row.late_token_at is not None
        assert abs(seconds_from_now(row.late_token_at)) < 60

    def test_cancelled(self):
        row = create_row(btn_ref="")
        self.create(row)
        self.change(row, "srctok-2")
        row.cancel()

        self.attempt(row, ("DELETE", order_url(), {}))

        self.check(row, "", late=False)

    def test_button_forgot_the_order(self):
        """The order is created again, and so tied to the token that it has now."""
        row = create_row(btn_ref="")
        self.create(row)
        row.total = 1
        self.change(row, "srctok-2")

        self.attempt(
            row,
            ("POST", order_url(), {"status": 404, "json": NOT_FOUND}),
            ("POST", ORDERS_URL, {}),
        )

        self.check(row, "srctok-2", late=False)

    @override_settings(BUTTON_ORDERS=button_settings(REPORT_WITHOUT_TOKEN=False))
    def test_only_orders_with_a_token_are_reported(self):
        row = create_row(btn_ref="")
        self.attempt(row)
        assert self.state(row) == ("dismissed", "no_token")
        self.check(row, None, late=False)
        self.change(row, "srctok-2")

        self.create(row)

        assert row.status == "reported"
        self.check(row, "srctok-2", late=False)


class UnknownTests(TokenTestCase):
    """After a create of unknown outcome, what Button shows counts."""

    def create_unknown(self, token=""):
        row = create_row(btn_ref=token)
        self.create(row, body=requests.ReadTimeout())
        return row

    def test_what_was_sent_first(self):
        row = self.create_unknown()
        self.check(row, "", late=False)
        self.change(row, "srctok-2")

        self.ask(row, {})

        self.check(row, "", late=True)

    def test_what_button_shows(self):
        for shown, tied, late in (
            ("srctok-2", "srctok-2", False),
            ("srctok-3", "srctok-3", True),
            (None, "", True),
            ("", "", True),
            # This is no token, so Button shows none.
            (7, "", True),
            ([], "", True),
            ("x" * 300, "", True),
        ):
            with self.subTest(shown=shown):
                ButtonOrder.objects.all().delete()
                row = self.create_unknown()
                self.change(row, "srctok-2")

                self.ask(row, {"btn_ref": shown})

                assert row.status == "reported"
                self.check(row, tied, late=late)

    def test_button_does_not_have_it(self):
        row = self.create_unknown()
        self.change(row, "srctok-2")

        self.attempt(
            row,
            ("GET", order_url(), {"status": 404, "json": NOT_FOUND}),
            ("POST", ORDERS_URL, {}),
        )

        self.check(row, "srctok-2", late=False)

    def test_second_create_without_an_answer(self):
        """Button did not have the order, so the first create did not count."""
        row = self.create_unknown()
        self.change(row, "srctok-2")

        self.attempt(
            row,
            ("GET", order_url(), {"status": 404, "json": NOT_FOUND}),
            ("POST", ORDERS_URL, {"body": requests.ReadTimeout()}),
        )

        self.check(row, "srctok-2", late=False)

    def test_question_that_is_refused(self):
        row = self.create_unknown()
        self.change(row, "srctok-2")

        self.attempt(
            row,
            ("GET", order_url(), {"status": 400, "json": NOT_FOUND}),
            ("POST", ORDERS_URL, {"body": requests.ReadTimeout()}),
        )

        self.check(row, "", late=True)

    def test_worker_that_died(self):
        """What it sent is not known, so nothing is claimed."""
        row = create_row()
        ButtonOrder.objects.update(unanswered=1, attempts=1)

        self.ask(row, {})

        assert row.status == "reported"
        self.check(row, None, late=False)

    def test_order_that_button_had_before(self):
        row = create_row()
        conflict = ("POST", ORDERS_URL, {"status": 409, "json": NOT_FOUND})
        update = ("POST", order_url(), {})

        self.ask(row, {}, conflict, update)
        assert row.status == "reported"
        self.check(row, None, late=False)

        ButtonOrder.objects.all().delete()
        row = create_row()
        self.ask(row, {"btn_ref": None}, conflict, update)
        self.check(row, "", late=True)

    def test_order_of_somebody_else(self):
        row = create_row()
        conflict = ("POST", ORDERS_URL, {"status": 409, "json": NOT_FOUND})

        self.ask(row, {"currency": "EUR", "btn_ref": "srctok-9"}, conflict)

        assert self.state(row) == ("failed", "taken")
        self.check(row, None, late=False)
