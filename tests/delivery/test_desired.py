from __future__ import annotations

import json
from unittest.mock import patch

import pytest
import responses
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection

from django_button_orders import LineItem
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import register, unregister
from tests.delivery.utils import DeliveryTestCase, good_report
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import Order, OrderLine, WebOrder
from tests.utils import (
    NOT_FOUND,
    add_answer,
    calls,
    create_row,
    make_due,
    order_url,
)

RETRY = ("pending", "unavailable")


class InvalidTests(DeliveryTestCase):
    """Nothing invalid is ever sent."""

    def test_direct_row(self):
        bad = {
            "total": [-1, 2**31, None],
            "currency": ["usd", "XXY", "", None],
            "order_id": ["ö", "", "a\nb"],
            "btn_ref": ["a b", "é"],
            "customer": [{"email": "jane@shop.test"}, {"id": "jane@shop.test"}, [1]],
            "line_items": [[{"total": 1}], [{"identifier": "a", "total": 1.5}], "x"],
            "partner_order_channel": ["web"],
            "purchase_date": [None],
        }
        for name, values in bad.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    ButtonOrder.objects.all().delete()
                    row = create_row(**{name: value})

                    self.report(row)

                    assert self.state(row) == ("failed", "invalid")
                    assert name in row.last_error
                    assert "jane" not in row.last_error
                    assert calls() == []

    def test_put_right(self):
        row = create_row(currency="usd")
        self.report(row)
        row.currency = "USD"
        row.save()
        add_answer("POST")

        self.report(row)

        assert self.state(row) == ("reported", "")
        assert row.last_error == ""


class HostOrderTests(DeliveryTestCase):
    def create_order(self, **values):
        order = Order.objects.create(**{"number": "2026/11 #42", **values})
        return order, ButtonOrder.objects.get()

    def test_lines_added_later(self):
        order, row = self.create_order(email="Jane@Shop.test ")
        OrderLine.objects.create(order=order, sku="MUG", price=35, quantity=2)
        add_answer("POST")

        self.report(row)

        body = json.loads(responses.calls[0].request.body)
        assert body["line_items"][0]["total"] == 7000
        assert len(body["customer"]["email_sha256"]) == 64
        assert row.total == 7000
        assert row.currency == "USD"
        assert row.line_items == body["line_items"]

    def test_one_article_on_two_lines(self):
        order, row = self.create_order()
        for _ in range(2):
            OrderLine.objects.create(order=order, sku="MUG", price=35, quantity=1)
        add_answer("POST")

        self.report(row)

        assert row.status == "reported"
        assert [item["identifier"] for item in row.line_items] == ["MUG", "MUG-2"]

    def test_keys_that_are_integers(self):
        _, row = self.create_order(number="42")
        line = LineItem(identifier=7, total=1)
        ShopOrderAdapter.built.append(good_report(order_id=42, line_items=[line]))
        add_answer("POST")

        self.report(row)

        body = json.loads(responses.calls[0].request.body)
        assert body["order_id"] == "42"
        assert body["line_items"][0]["identifier"] == "7"

    def test_other_exponents(self):
        for currency, total, units in (
            ("JPY", 700, 700),
            ("KWD", "1.234", 1234),
            ("BGN", "12.30", 1230),
        ):
            with self.subTest(currency=currency):
                ButtonOrder.objects.all().delete()
                _, row = self.create_order(currency=currency, total=total)
                add_answer("POST")

                self.report(row)

                assert row.total == units

    def test_cancelled(self):
        order, row = self.create_order()
        add_answer("POST")
        self.report(row)
        order.is_cancelled, order.is_paid = True, False
        order.save()
        add_answer("DELETE", order_url(order.number))

        self.report(row)

        assert calls()[-1] == "DELETE /v1/order/2026%2F11%20%2342"
        assert row.status == "cancelled"

    def test_cancelled_before_it_was_sent(self):
        _, row = self.create_order(is_cancelled=True)

        self.report(row)

        assert calls() == []
        assert row.status == "cancelled"

    def test_cancelled_before_it_was_sent_comes_back(self):
        order, row = self.create_order(is_cancelled=True)
        self.report(row)
        order.is_cancelled = False
        order.save()
        add_answer("POST")

        self.report(row)

        assert calls() == ["POST /v1/order"]
        assert row.status == "reported"

    def test_not_reportable_any_more_but_maybe_known(self):
        order, row = self.create_order()
        add_answer("POST", status=503)
        self.report(row)
        order.is_paid = False
        order.save()
        add_answer("GET", order_url(order.number), status=404, json=NOT_FOUND)

        self.report(row)

        assert calls()[1].startswith("GET")

    def test_placeholder_is_dismissed(self):
        order, placeholder = self.create_order(trouble="get_order_id")
        assert placeholder.order_id == f"shop.order:{order.pk}"
        order.trouble = ""
        order.save()
        add_answer("POST")

        self.report(ButtonOrder.objects.get(order_id=order.number))

        placeholder.refresh_from_db()
        assert placeholder.status == "dismissed"

    def test_placeholder_of_a_proxy_is_dismissed(self):
        order = WebOrder.objects.create(number="42", trouble="get_order_id")
        order.trouble = ""
        order.save()
        add_answer("POST")

        self.report(ButtonOrder.objects.get(order_id="42"))

        assert not ButtonOrder.objects.failed().exists()

    def test_not_reportable_any_more(self):
        order, row = self.create_order()
        order.is_paid = False
        order.save()

        self.report(row)

        assert calls() == []
        assert row.status == "dismissed"

    def test_gone_before_it_was_sent(self):
        order, row = self.create_order()
        order.delete()

        self.report(row)

        assert self.state(row) == ("failed", "invalid")
        assert "gone" in row.last_error

    def test_gone_after_a_call_that_was_not_answered(self):
        order, row = self.create_order()
        add_answer("POST", status=504)
        self.report(row)
        order.delete()
        make_due()

        self.report(row)

        assert self.state(row) == ("failed", "invalid")
        assert "Button may have it" in row.last_error

    def test_gone_after_it_was_reported(self):
        order, row = self.create_order()
        add_answer("POST")
        self.report(row)
        ButtonOrder.objects.mark_changed()
        order.delete()

        self.report(row)

        assert row.status == "dismissed"
        assert len(calls()) == 1

    def test_other_id_before_it_was_sent(self):
        order, row = self.create_order()
        Order.objects.filter(pk=order.pk).update(number="43")
        add_answer("POST")

        self.report(row)

        assert json.loads(responses.calls[0].request.body)["order_id"] == "43"
        assert row.order_id == "43"

    def test_other_id_with_a_row_of_its_own(self):
        order, row = self.create_order()
        order.number = "43"
        order.save()

        self.report(row)

        assert row.status == "dismissed"
        assert calls() == []

    def test_other_id_after_it_was_sent(self):
        order, row = self.create_order()
        add_answer("POST")
        self.report(row)
        Order.objects.filter(pk=order.pk).update(number="43")
        ButtonOrder.objects.mark_changed()

        self.report(row)

        assert self.state(row) == ("failed", "invalid")
        assert "Restore its ID" in row.last_error

    def test_hooks_that_raise(self):
        for hook in ("is_cancelled", "build", "is_reportable", "get_order_id"):
            with self.subTest(hook=hook):
                ButtonOrder.objects.all().delete()
                order, row = self.create_order()
                Order.objects.filter(pk=order.pk).update(
                    trouble=hook, email="jane@shop.test"
                )

                self.report(row)

                assert self.state(row) == ("failed", "invalid")
                assert f"ShopOrderAdapter.{hook} raised TroubleError" in row.last_error
                assert "jane" not in row.last_error

    def test_time_limit_in_a_hook(self):
        """The worker's time is up, which says nothing about the order."""
        Order.objects.create(number="1")
        row = ButtonOrder.objects.get()

        with (
            patch.object(
                ShopOrderAdapter, "is_cancelled", side_effect=SoftTimeLimitExceeded
            ),
            pytest.raises(SoftTimeLimitExceeded),
        ):
            self.report(row)

        row.refresh_from_db()
        assert (self.state(row), row.lease_token) == (RETRY, None)

    def test_model_without_an_adapter(self):
        _, row = self.create_order()
        unregister(Order)
        self.addCleanup(register(Order), ShopOrderAdapter)

        self.report(row)

        assert self.state(row) == ("failed", "invalid")
        assert "No adapter is registered for shop.Order" in row.last_error

    def test_model_that_is_gone(self):
        order, row = self.create_order()
        order.delete()
        ButtonOrder.objects.update(source_type=None)

        self.report(row)

        assert self.state(row) == ("failed", "invalid")
        assert "no longer exists" in row.last_error

    def test_shop_s_database_is_away(self):
        _, row = self.create_order()

        def refuse(execute, sql, params, many, context):
            if sql.startswith("SELECT") and "shop_order" in sql:
                raise OperationalError("The server went away.")
            return execute(sql, params, many, context)

        with connection.execute_wrapper(refuse):
            self.report(row)

        assert self.state(row) == RETRY
        assert calls() == []

    def test_build_that_returns_something_else(self):
        wrong = {"a NoneType": None, "another order_id": good_report(order_id="43")}
        for words, built in wrong.items():
            with self.subTest(words=words):
                ButtonOrder.objects.all().delete()
                _, row = self.create_order()
                Order.objects.update(number=row.order_id)
                ShopOrderAdapter.built.append(built)

                with self.assertLogs("django_button_orders", "WARNING") as logs:
                    self.report(row)

                assert self.state(row) == ("failed", "invalid")
                assert words.split()[-1] in row.last_error
                assert logs.records[0].getMessage() == (
                    f"Order {row.order_id}: {row.last_error}"
                )

    def test_invalid_data(self):
        for values in ({"total": "1.005"}, {"currency": "usd"}, {"number": "ö"}):
            with self.subTest(values=values):
                ButtonOrder.objects.all().delete()
                _, row = self.create_order(**values)

                self.report(row)

                assert self.state(row) == ("failed", "invalid")
                assert "build" in row.last_error
                assert calls() == []
