from __future__ import annotations

import json
from datetime import datetime

import pytest
import responses
from django.db import OperationalError, connection
from django.test import override_settings

from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.prepare import prepare
from django_button_orders.models import ButtonOrder
from tests.delivery.utils import DeliveryTestCase, good_report
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import Order
from tests.utils import (
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
)


class TokenTests(DeliveryTestCase):
    @override_settings(BUTTON_ORDERS=button_settings(REPORT_WITHOUT_TOKEN=False))
    def test_dismissed_until_it_arrives(self):
        row = create_row(btn_ref="")
        self.report(row)
        assert self.state(row) == ("dismissed", "no_token")
        assert row.next_attempt_at is None
        row.btn_ref = "srctok-1"
        row.save()
        add_answer("POST")

        self.report(row)

        assert self.state(row) == ("reported", "")

    def test_reported_without(self):
        for btn_ref in ("", None):
            with self.subTest(btn_ref=btn_ref):
                ButtonOrder.objects.all().delete()
                row = create_row(btn_ref=btn_ref)
                add_answer("POST")

                self.report(row)

                assert "btn_ref" not in json.loads(responses.calls[0].request.body)

    @override_settings(BUTTON_ORDERS=button_settings(REPORT_WITHOUT_TOKEN=False))
    def test_token_that_is_taken_back(self):
        """Button knows the order, so its changes are reported all the same."""
        row = self.create_acknowledged()
        row.btn_ref, row.total = "", 6000
        row.save()
        add_answer("POST", order_url())

        self.report(row)

        assert self.state(row) == ("reported", "")
        assert len(responses.calls) == 1


class PresentIdTests(DeliveryTestCase):
    """A save has marked a row that does not have the order's present id."""

    def save_under(self, other_id, order, **values):
        """Save the order as if its id had been another one in the save."""
        order.number = other_id
        order.save()
        Order.objects.filter(pk=order.pk).update(number="1994", **values)

    def test_change_reaches_the_row_that_reports_the_order(self):
        table = {
            "POST": {"total": 65},
            "DELETE": {"is_cancelled": True},
            # It is not to be reported, which does not concern a row that Button knows.
            "POST ": {"is_paid": False, "total": 65},
        }
        for method, values in table.items():
            with self.subTest(values=values):
                Order.objects.all().delete()
                ButtonOrder.objects.all().delete()
                responses.reset()
                add_answer("POST")
                order = Order.objects.create(number="1994")
                row = ButtonOrder.objects.get()
                self.report(row)
                self.save_under("Concat(...)", order, **values)
                wrong = ButtonOrder.objects.get(order_id="Concat(...)")

                self.report(wrong)

                assert wrong.status == "dismissed"
                row.refresh_from_db()
                assert (row.status, row.revision) == ("pending", 2)
                add_answer(method.strip(), order_url())
                self.report(row)
                assert calls()[-1] == f"{method.strip()} /v1/order/1994"

    def test_order_that_has_the_id_is_another_one(self):
        first = Order.objects.create(number="1994")
        order = Order.objects.create(number="2001")
        Order.objects.filter(pk=order.pk).update(number="1994")
        row = ButtonOrder.objects.get(order_id="2001")

        self.report(row)

        assert self.state(row) == ("failed", "invalid")
        assert ButtonOrder.objects.get(order_id="1994").get_source() == first


class DatabaseTests(DeliveryTestCase):
    def test_goes_away(self):
        """That says nothing about the order: the worker gives it back."""
        order = Order.objects.create(number="1")
        Order.objects.update(number="2")
        [claimed] = ButtonOrder.objects.claim(limit=1, lease_seconds=120)
        assert claimed.source_id == str(order.pk)
        attempt = Attempt(row=claimed, lease_ends=100)

        def refuse_updates(execute, sql, params, many, context):
            if sql.startswith("UPDATE"):
                raise OperationalError("cut")
            return execute(sql, params, many, context)

        with (
            connection.execute_wrapper(refuse_updates),
            pytest.raises(OperationalError),
        ):
            prepare(attempt, clock=lambda: 0)

        assert attempt.verdict is None


class SettingsTests(DeliveryTestCase):
    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_not_enabled(self):
        row = create_row()

        assert self.report(row) is None

        assert row.status == "pending"
        assert row.attempts == 0

    @override_settings(USE_TZ=False)
    def test_project_without_time_zones(self):
        row = create_row(purchase_date=datetime(2026, 11, 1, 6))
        order = Order.objects.create(number="42", placed_at=datetime(2026, 11, 1, 6))
        ShopOrderAdapter.built.append(good_report(order_id="42"))
        add_answer("POST")

        for reported in (row, ButtonOrder.objects.get(order_id=order.number)):
            self.report(reported)

            body = json.loads(responses.calls[-1].request.body)
            assert reported.status == "reported"
            assert body["purchase_date"] == "2026-11-01T12:00:00Z"
            assert reported.purchase_date == datetime(2026, 11, 1, 6)

    @override_settings(BUTTON_ORDERS=button_settings(API_KEY=""))
    def test_no_key(self):
        row = create_row()

        self.report(row)

        assert self.state(row) == ("pending", "unauthorized")
        assert row.attempts == 0
        assert "API_KEY" in row.last_error

    @override_settings(
        BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})
    )
    def test_key_of_the_account(self):
        row = create_row(account="eu")
        add_answer("POST")

        self.report(row)

        request = responses.calls[0].request
        assert request.headers["Authorization"] == "Basic c2stZXU6"

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {}}))
    def test_account_without_a_key_does_not_use_the_key_of_another(self):
        row = create_row(account="eu")

        self.report(row)

        assert calls() == []
        assert self.state(row) == ("pending", "unauthorized")
        assert (
            row.last_error == "BUTTON_ORDERS['ACCOUNTS']['eu']['API_KEY'] is not set."
        )

    def test_unknown_account(self):
        row = create_row(account="moon")

        self.report(row)

        assert self.state(row) == ("failed", "invalid")
        assert "moon" in row.last_error

    @override_settings(BUTTON_ORDERS=button_settings(LEASE_SECONDS=34))
    def test_too_little_of_the_lease_left(self):
        row = create_row()

        assert self.report(row) is None

        assert calls() == []
        assert row.attempts == 0
        assert row.lease_token is None
