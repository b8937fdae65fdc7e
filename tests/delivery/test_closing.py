"""The change window of a shop's orders, with the real sandbox from end to end."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from django.conf import settings
from django.db.models import F
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder, as_aware
from django_button_orders.report.moments import parse_moment
from django_button_orders.testing import ButtonSandboxMixin
from tests.shop.models import Order
from tests.utils import LONG_AGO


class ClosingTests(ButtonSandboxMixin, TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        super().setUp()
        self.sandbox = self.button_sandbox

    def place(self, number="42"):
        values = {"email": "jane@shop.test", "total": Decimal("70.00")}
        order = Order.objects.create(number=number, btn_ref="srctok-1", **values)
        assert self.sandbox.report() == {"reported": 1}
        return order

    def change(self, order, **values):
        for name, value in values.items():
            setattr(order, name, value)
        order.save()
        return self.sandbox.report()

    def row(self, number="42"):
        return ButtonOrder.objects.get(order_id=number)

    def methods(self):
        return [request.method for request in self.sandbox.requests]

    def end_at_button(self):
        return parse_moment(self.sandbox.orders["42"]["finalization_date"])

    def let_window_end(self):
        """Finalize all orders, and let the known ends be as long ago."""
        self.sandbox.finalize_all()
        ButtonOrder.objects.update(finalizes_at=LONG_AGO)

    def test_date_by_both_names(self):
        for number, field in enumerate(("finalization_date", "finalized_date")):
            self.sandbox.window.field = field
            self.place(f"{number}")
            shown = self.sandbox.orders[f"{number}"]["finalization_date"]
            assert as_aware(self.row(f"{number}").finalizes_at) == parse_moment(shown)

    def test_return_comes_too_late(self):
        order = self.place()
        self.let_window_end()

        assert self.change(order, total=Decimal("30.00")) == {"closed": 1}

        assert self.methods() == ["POST"]
        row = self.row()
        assert (row.status, row.reason) == ("closed", "finalized")
        assert (row.reported_total, row.total, row.late_amount) == (7000, 3000, 4000)
        assert self.sandbox.orders["42"]["total"] == 7000

    def test_date_is_not_known(self):
        """Button's 403 is the proof."""
        self.sandbox.window.field = ""
        order = self.place()
        assert self.row().finalizes_at is None
        self.sandbox.finalize("42")

        assert self.change(order, total=Decimal("30.00")) == {"closed": 1}

        assert self.methods() == ["POST", "POST"]
        row = self.row()
        assert row.late_amount == 4000
        assert row.last_error == (
            "Button answered 403 to update: The order is finalized."
        )

    def test_window_ends_before_the_call(self):
        """Nobody knows the new end, so Button decides."""
        order = self.place()
        self.sandbox.finalize("42")

        assert self.change(order, total=Decimal("30.00")) == {"closed": 1}

        assert self.methods() == ["POST", "POST"]
        # Button has disproved the date, and says no other.
        assert self.row().finalizes_at is None

    def test_button_was_away_until_the_end(self):
        order = self.place()
        self.sandbox.misbehave(status=503, times=2)
        assert self.change(order, total=Decimal("30.00")) == {"retry": 1}
        self.let_window_end()

        # An attempt without an answer may have arrived in time.
        assert self.sandbox.report() == {"retry": 1}
        assert self.sandbox.report() == {"closed": 1}

        assert self.row().late_amount == 4000

    def test_window_ends_before_an_attempt_can_be_made(self):
        order = self.place()
        self.sandbox.stop()
        assert self.change(order, total=Decimal("30.00")) == {"retry": 1}
        self.let_window_end()
        self.sandbox.start()

        assert self.sandbox.report() == {"closed": 1}

        assert self.methods() == ["POST"]
        assert self.row().late_amount == 4000

    def test_cancellation(self):
        order = self.place()
        self.let_window_end()

        assert self.change(order, is_cancelled=True) == {"closed": 1}

        assert self.methods() == ["POST"]
        assert (self.row().late_amount, self.row().total) == (7000, 7000)
        assert self.sandbox.orders["42"]["status"] == "finalized"

    def test_customer_alone(self):
        """The shop anonymises an old order."""
        order = self.place()
        self.let_window_end()

        assert self.change(order, email="") == {"reported": 1}

        assert self.methods() == ["POST"]
        assert self.row().late_amount is None
        assert self.row().has_refused_customer

    def test_customer_of_a_closed_order(self):
        order = self.place()
        self.let_window_end()
        self.change(order, total=Decimal("30.00"))

        assert self.change(order, email="") == {"closed": 1}

        assert self.methods() == ["POST"]
        assert self.row().late_amount == 4000

    def test_change_back(self):
        order = self.place()
        self.let_window_end()
        self.change(order, total=Decimal("30.00"))

        assert self.change(order, total=Decimal("70.00")) == {"reported": 1}

        assert self.methods() == ["POST"]
        assert self.row().late_amount is None

    def test_retry(self):
        order = self.place()
        self.let_window_end()
        self.change(order, total=Decimal("30.00"))

        self.row().retry()

        assert self.sandbox.report() == {"closed": 1}
        assert self.methods() == ["POST", "POST"]
        assert self.row().late_amount == 4000
        # Until somebody retries it again, no call is made.
        assert self.sandbox.report() == {}

    def test_retry_after_button_has_reopened_it(self):
        order = self.place()
        self.let_window_end()
        self.change(order, total=Decimal("30.00"))
        self.sandbox.reopen("42")

        self.row().retry()

        assert self.sandbox.report() == {"reported": 1}
        assert self.sandbox.orders["42"]["total"] == 3000
        row = self.row()
        assert (row.reported_total, row.late_amount) == (3000, None)
        assert as_aware(row.finalizes_at) == self.end_at_button()

    def test_finalization_days(self):
        self.sandbox.window.field = ""
        with override_settings(
            BUTTON_ORDERS={**settings.BUTTON_ORDERS, "FINALIZATION_DAYS": 30}
        ):
            order = self.place()
            left = as_aware(self.row().finalizes_at) - datetime.now(timezone.utc)
            assert round(left / timedelta(days=1), 2) == 30
            # Thirty days pass.
            ButtonOrder.objects.update(finalizes_at=F("created_at"))

            assert self.change(order, total=Decimal("30.00")) == {"closed": 1}

        assert self.methods() == ["POST"]
