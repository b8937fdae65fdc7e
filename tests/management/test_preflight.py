from __future__ import annotations

import json
from contextlib import ExitStack

from django.test import TestCase, override_settings

from tests.management.utils import call
from tests.monitoring.preflight.utils import PlantedAdapter, place, planted_shop
from tests.shop.models import Order
from tests.utils import button_settings

SHARES = (
    "Of 2 reports: 1 with an attribution token (50 %), 2 with lines (100 %), "
    "2 with a customer (100 %), 2 with is_new (100 %), "
    "0 with customer_order_id (0 %), 2 with gross_total (100 %).\n"
)


@override_settings(BUTTON_ORDERS=button_settings())
class PreflightTestCase(TestCase):
    adapter = PlantedAdapter

    def setUp(self):
        stack = ExitStack()
        stack.enter_context(planted_shop(self.adapter))
        self.addCleanup(stack.close)

    def preflight(self, *arguments):
        return call("button_orders_preflight", *arguments)


class OutputTests(PreflightTestCase):
    def test_nothing_is_wrong(self):
        place(1)
        place(1, start=2, btn_ref="")

        assert self.preflight() == (f"{SHARES}2 orders, 2 reports.\n", "", "")

    def test_something_is_wrong(self):
        place(1)
        place(4, start=10, trouble="gross")
        place(1, start=20, trouble="hash")
        place(1, start=30, is_paid=False)

        out, err, error = self.preflight()

        lines = out.splitlines()
        assert lines[:2] == [
            "Wrong: The total equals the gross amount. (4 orders: 0010, 0011, 0012)",
            "  Subtract tax and delivery: you would pay commission on both.",
        ]
        assert lines[2].endswith("hash of an empty value. (1 order: 0020)")
        assert lines[-1] == "7 orders, 6 reports, 1 not reportable."
        assert (err, error) == ("", "2 findings are wrong.")

    def test_worth_a_look(self):
        place(1, btn_ref="")

        out, _, error = self.preflight()

        assert out.startswith(
            "Worth a look: No order has an attribution token. (1 order)\n"
        )
        assert error == ""

    def test_address_as_order_id(self):
        place(1, number="kim@shop.test")

        out, _, _ = self.preflight()

        assert "Wrong: A text contains an e-mail address. order_id" in out
        assert "kim" not in out
        assert "(1 order: [e-mail])" in out

    def test_json(self):
        place(1)
        place(1, start=2, trouble="future")

        out, _, error = self.preflight("--format", "json")

        found = json.loads(out)
        assert error == "1 finding is wrong."
        assert found["orders"] == found["reports"] == found["shares"]["lines"] == 2
        assert found["findings"] == [
            {
                "code": "future_date",
                "severity": "error",
                "title": "The purchase date is in the future",
                "todo": "Check the time zone of the date.",
                "detail": "",
                "count": 1,
                "order_ids": ["0002"],
            }
        ]


class SelectionTests(PreflightTestCase):
    databases = {"default", "archive"}

    def test_database(self):
        place(1)
        Order.objects.using("archive").create(number="old", trouble="build")

        out, _, _ = self.preflight("--database", "archive")

        assert "(1 order: old)" in out
        assert out.endswith("1 order, 1 not built.\n")

    def test_newest_orders(self):
        place(101)

        assert self.preflight()[0].endswith("100 orders, 100 reports.\n")
        assert self.preflight("--last", "3")[0].endswith("3 orders, 3 reports.\n")

    def test_dates(self):
        place(150)

        out, _, error = self.preflight("--since", "2000-01-01")

        assert out.endswith("150 orders, 150 reports.\n")
        assert error == ""
        assert self.preflight("--until", "2000-01-01")[2] == (
            "No order matches the selection."
        )

    def test_named_orders(self):
        place(150)

        out, _, error = self.preflight("--order-id", "0149", "--order-id", "0200")

        assert out.endswith("1 order, 1 report.\n")
        assert error == "No order has the ID: 0200."

    def test_no_orders(self):
        out, _, error = self.preflight("--model", "shop.order")

        assert out == ""
        assert error == "No order matches the selection."

    def test_what_can_only_be_a_mistake(self):
        for arguments, message in {
            ("--order-id", ""): "--order-id must not be empty.",
            ("--model", "shop.page"): "'shop.page' is not a registered model.",
            ("--database", "nowhere"): "DATABASES has no 'nowhere'.",
            (
                "--since",
                "2026-02-01",
                "--until",
                "2026-01-01",
            ): "--since must be before --until.",
        }.items():
            with self.subTest(arguments=arguments):
                assert self.preflight(*arguments)[2].startswith(message)


class WithoutDatesAdapter(PlantedAdapter):
    date_field = ""


class WithoutDateFieldTests(PreflightTestCase):
    adapter = WithoutDatesAdapter

    def test_newest_keys(self):
        place(3)
        # Databases sort UUIDs in different ways.
        newest = Order.objects.latest("pk")
        newest.trouble = "build"
        newest.save()

        out, _, _ = self.preflight("--last", "1")

        assert f"(1 order: {newest.number})" in out

    def test_dates_are_refused(self):
        assert self.preflight("--since", "2026-01-01")[2] == (
            "WithoutDatesAdapter has no date_field, so orders cannot be selected by "
            "date."
        )
