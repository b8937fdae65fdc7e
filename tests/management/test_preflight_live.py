from __future__ import annotations

import json
import os
import signal

import responses
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder, CallRate, Submission
from django_button_orders.sandbox import Sandbox
from tests.management.test_reconcile import registered_only
from tests.management.utils import call
from tests.shop.models import Order, OrderLine
from tests.utils import BASE_URL, button_settings, calls

REAL = "https://api.usebutton.com"


def live(*arguments):
    return call("button_orders_preflight", "--live", *arguments)


class LiveTestCase(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        self.sandbox = Sandbox(api_key="sk-tests")
        self.sandbox.start()
        self.addCleanup(self.sandbox.stop)
        self.use()

    def use(self, **values):
        settings = override_settings(
            BUTTON_ORDERS=button_settings(**{"BASE_URL": self.sandbox.url, **values})
        )
        settings.enable()
        self.addCleanup(settings.disable)

    def place(self, *prices, **values):
        """Create an order of the shop that has a line for each price."""
        order = Order.objects.create(**{"number": "WEB-10042", **values})
        for price in prices:
            OrderLine.objects.create(order=order, sku=f"SKU-{price}", price=price)
        return order

    def sheet(self, *arguments):
        out, _, self.error = live("--format", "json", *arguments)
        return json.loads(out)

    def states(self):
        return {order["status"] for order in self.sandbox.orders.values()}


class SheetTests(LiveTestCase):
    def test_two_orders(self):
        self.place("30.00", "40.00", total=70, email="ada@shop.com")
        rows = ButtonOrder.objects.count()

        first, second = self.sheet()["orders"]

        assert self.error == ""
        assert first["btn_ref"].startswith("fakesrctok-")
        assert second["btn_ref"] == ""
        assert [step["result"] for step in first["steps"]] == ["ok"] * 6
        assert [step["result"] for step in second["steps"]] == ["ok"] * 4
        assert self.states() == {"deleted"}
        assert ButtonOrder.objects.count() == rows
        assert not Submission.objects.exists()

    def test_the_shape_of_the_shops_order(self):
        self.place("30.00", "40.00", total=70, email="ada@shop.com", currency="EUR")

        first, _ = self.sheet()["orders"]
        create, _, update, *_ = [step["sent"] for step in first["steps"]]

        assert (create["total"], create["currency"]) == (7000, "EUR")
        assert [line["total"] for line in create["line_items"]] == [3000, 4000]
        assert update["total"] == 3000
        assert "btn_ref" not in update

    def test_nothing_of_the_customer(self):
        email, token = "ada@shop.com", "srctok-of-a-visit"
        order = self.place("30.00", "40.00", total=70, email=email, btn_ref=token)

        texts = "".join([*live()[:2], *live("--format", "json")[:2]])

        for secret in (email, token, order.number, str(order.pk), "sk-tests"):
            assert secret not in texts

    def test_as_text(self):
        self.place("30.00", "40.00", total=70)
        out, err, error = live()

        (first, second) = self.sandbox.orders.values()
        assert (err, error) == ("", "")
        for words in (
            "Account: default",
            f"Host: {self.sandbox.url}",
            "App: django-button-orders ",
            f"Order 1: {first['order_id']}",
            f"  Attribution token: {first['btn_ref']}",
            f"  Button's order ID: {first['button_order_id']}",
            "  3. Return a part: ok. Button accepted it.",
            "     It can be changed until ",
            "  Attribution token: none",
            f"  {first['order_id']}: Deleted. Its last state: total 30.00 USD, 1 line, "
            f"token {first['btn_ref']}.",
            f"  {second['order_id']}: Deleted. Its last state: total 70.00 USD, "
            "2 lines, no token.",
            "10 calls.",
        ):
            assert words in out, words

    def test_named_orders(self):
        self.place("5.00", number="A-1", total=5)
        self.place("30.00", "40.00", number="A-2", total=70)

        orders = self.sheet("--order-id", "A-1")["orders"]

        assert [item["steps"][0]["sent"]["total"] for item in orders] == [1000, 500]

    def test_orders_that_are_left_out(self):
        """They cannot be built, are not reported, or are of another account."""
        self.use(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})
        self.place("1.00", number="A-1", total=1, trouble="build")
        self.place("2.00", number="A-2", total=2, is_paid=False)
        self.place("3.00", number="A-3", total=3, is_cancelled=True)
        self.place("4.00", number="A-4", total=4, account="eu")

        first, _ = self.sheet()["orders"]

        assert first["steps"][0]["sent"]["total"] == 4500

    def test_a_shop_without_orders(self):
        first, _ = self.sheet("--currency", "JPY")["orders"]

        assert first["steps"][0]["sent"]["currency"] == "JPY"
        assert self.states() == {"deleted"}

    def test_a_shop_without_adapters(self):
        with registered_only([]):
            first, _ = self.sheet()["orders"]

        assert first["steps"][0]["sent"]["currency"] == "USD"

    def test_account(self):
        self.use(ACCOUNTS={"eu": {"API_KEY": "sk-tests"}}, API_KEY="sk-other")

        assert self.sheet("--account", "eu")["account"] == "eu"
        assert self.error == ""

    def test_reporting_is_switched_off(self):
        self.use(ENABLED=False)
        _, err, error = live()

        assert error == ""
        assert "BUTTON_ORDERS['ENABLED'] is False" in err
        assert self.states() == {"deleted"}

    def test_rate_limit(self):
        self.use(RATE_LIMIT=1000)

        assert live()[2] == ""
        assert CallRate.objects.exists()


class FailureTests(LiveTestCase):
    def test_a_step_failed(self):
        self.sandbox.misbehave(status=400, method="POST")
        sheet = self.sheet()

        assert self.error == "1 step did not go as Button's guide says."
        assert (sheet["calls"], sheet["failed"], sheet["differ"]) == (5, 1, 0)
        assert sheet["orders"][0]["expected"].startswith("Not there, or deleted")
        assert sheet["left_at_button"] == []

    def test_key_is_refused(self):
        self.use(API_KEY="sk-wrong-and-long")
        out, err, error = live()

        assert "2 steps did not go" in error
        assert "Invalid api_key" in out
        assert "sk-wrong" not in f"{out}{err}{error}"

    def test_nothing_listens(self):
        self.sandbox.stop()
        out, _, error = live()

        assert "2 steps did not go" in error
        assert "Button could not be reached." in out
        assert "no answer" in out

    def test_an_order_stays_at_button(self):
        self.sandbox.misbehave(status=403, method="DELETE")
        out, _, error = live()

        (order_id, _) = self.sandbox.orders
        assert "1 step did not go" in error
        assert "Button may have these orders" in out
        assert f"  {order_id} (DELETE /v1/order/{order_id})" in out
        assert f"{order_id}: Open." in out

    def test_interrupted(self):
        """The order is cancelled, and the second one is not created."""
        interrupt = self.interrupt_at_first_request
        self.sandbox.stop()
        self.sandbox = Sandbox(api_key="sk-tests", listener=interrupt)
        self.sandbox.start()
        self.addCleanup(self.sandbox.stop)
        self.use()

        out, _, error = live()

        assert error.startswith("Interrupted.")
        assert [order["status"] for order in self.sandbox.orders.values()] == [
            "deleted"
        ]
        assert "Return a part" not in out

    def interrupt_at_first_request(self, request):
        if request.method == "POST":
            os.kill(os.getpid(), signal.SIGINT)


class RefusalTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def refused(self, *arguments, **values):
        with override_settings(BUTTON_ORDERS=button_settings(**values)):
            out, _, error = live(*arguments)
        assert out == ""
        assert calls() == []
        return error

    def test_the_real_button(self):
        error = self.refused(BASE_URL=REAL)

        assert f"to the real Button at {REAL}" in error
        assert "add --yes" in error

    def test_the_real_button_with_yes(self):
        responses.add("POST", f"{REAL}/v1/order", status=401, json={})
        with override_settings(BUTTON_ORDERS=button_settings(BASE_URL=REAL)):
            live("--yes")

        assert calls() == ["POST /v1/order"] * 2

    def test_no_key(self):
        error = self.refused(API_KEY="")

        assert error == "BUTTON_ORDERS['API_KEY'] is not set."

    def test_a_host_that_must_not_get_the_key(self):
        error = self.refused(BASE_URL=BASE_URL.replace("https", "http"))

        assert error == "BUTTON_ORDERS['BASE_URL'] must start with 'https://'."

    def test_unknown_account(self):
        assert "has no account 'us'" in self.refused("--account", "us")

    def test_unknown_currency(self):
        assert "--currency" in self.refused("--currency", "XXX")

    def test_unknown_order(self):
        assert "nowhere" in self.refused("--order-id", "nowhere")

    def test_options_without_live(self):
        for option in ("--yes", "--account=default", "--currency=USD"):
            name = option.partition("=")[0]
            error = call("button_orders_preflight", option)[2]

            assert error == f"{name} needs --live."
