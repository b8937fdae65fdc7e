from __future__ import annotations

from django.test import SimpleTestCase

from django_button_orders import Customer, OrderReport
from django_button_orders.monitoring.preflight.findings import Findings
from django_button_orders.monitoring.preflight.repeats import AllRepeats
from tests.utils import PURCHASED


def find(tokens=(), customers=()):
    """Return the findings about orders with these tokens and customers."""
    repeats, findings = AllRepeats(), Findings()
    size = max(len(tokens), len(customers))
    tokens = [*tokens, *[""] * (size - len(tokens))]
    customers = [*customers, *[None] * (size - len(customers))]
    for at, (token, customer) in enumerate(zip(tokens, customers, strict=True)):
        report = OrderReport(
            order_id=at,
            total=1,
            currency="USD",
            purchase_date=PURCHASED,
            btn_ref=token,
            customer=customer,
        )
        repeats.add_report(report)
    repeats.report(findings)
    return [(found.code, found.count, found.order_ids) for found in findings.sorted()]


class TokenTests(SimpleTestCase):
    def test_many_orders(self):
        others = [f"srctok-{number}" for number in range(100)]

        assert find(["srctok-a"] * 4 + others) == []
        assert find(["srctok-a"] * 5 + others) == [
            ("repeated_token", 5, ("0", "1", "2"))
        ]

    def test_large_part_of_few_orders(self):
        others = [f"srctok-{number}" for number in range(7)]

        assert find(["srctok-a"] * 2) == []
        assert find(["srctok-a"] * 3 + others) == [
            ("repeated_token", 3, ("0", "1", "2"))
        ]

    def test_several_tokens(self):
        assert find([*["srctok-a"] * 6, *["srctok-b"] * 5, "srctok-c"]) == [
            ("repeated_token", 11, ("0", "1", "2"))
        ]

    def test_orders_without_token(self):
        assert find([""] * 50) == []


class CustomerTests(SimpleTestCase):
    def customers(self, number):
        return [Customer(email=f"kim{at}@shop.test") for at in range(number)]

    def test_most_orders(self):
        shop = Customer(email="info@shop.test")

        assert find(customers=[shop] * 4) == []
        assert find(customers=[shop] * 6 + self.customers(7)) == []
        assert find(customers=[shop] * 6 + self.customers(6)) == [
            ("shared_customer", 6, ("0", "1", "2"))
        ]

    def test_id(self):
        guest = Customer(id="guest")

        assert find(customers=[guest] * 5) == [("shared_customer", 5, ("0", "1", "2"))]


class OrderIdTests(SimpleTestCase):
    def test_account_and_id(self):
        repeats, findings = AllRepeats(), Findings()
        for account, order_id in [("us", "1"), ("eu", "1"), ("us", "2"), ("us", "2")]:
            repeats.add_order(account, order_id)

        repeats.report(findings)

        (found,) = findings.sorted()
        assert (found.code, found.count, found.order_ids) == (
            "repeated_order_id",
            2,
            ("2",),
        )
