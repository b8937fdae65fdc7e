from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import SimpleTestCase

from django_button_orders import LineItem, OrderAdapter, OrderReport
from django_button_orders.monitoring.preflight.amounts import (
    Amounts,
    HookError,
    ask_amounts,
    check_amounts,
)
from tests.shop.models import Order
from tests.utils import PURCHASED

# Goods, tax and delivery.
NET, TAX, FEE = 7000, 1330, 500
GROSS = NET + TAX + FEE

#: The amounts, and what follows for each total.
CASES = [
    (
        Amounts(GROSS, TAX, FEE),
        {
            NET: [],
            GROSS: ["total_is_gross"],
            GROSS + 1: ["total_above_gross"],
            NET + TAX: ["total_has_tax"],
            NET + FEE: ["total_has_delivery"],
            NET - 100: [],
            # The delivery is taxed, too, so the tax on the goods is a part of the tax.
            NET + TAX - 80: ["total_above_net"],
            NET + FEE + 80: ["total_above_net"],
            NET + 1: [],
            NET + 2: ["total_above_net"],
        },
    ),
    # The shop does not know its taxes.
    (
        Amounts(GROSS, None, FEE),
        {GROSS: ["total_is_gross"], GROSS - FEE: [], GROSS + 1: ["total_above_gross"]},
    ),
    (
        Amounts(GROSS, TAX, None),
        {
            GROSS: ["total_is_gross"],
            GROSS - TAX: [],
            GROSS - 100: ["total_above_net"],
        },
    ),
    # An order without tax and delivery costs what it is reported with.
    (Amounts(NET, 0, 0), {NET: []}),
    # Nobody says that it has none.
    (Amounts(GROSS, None, None), {NET: [], GROSS: ["total_is_gross"]}),
    (Amounts(None, TAX, FEE), {GROSS: [], NET + TAX: [], NET + FEE: []}),
    (Amounts(), {GROSS: []}),
    (Amounts(0, 0, 0), {0: []}),
]


class Adapter(OrderAdapter):
    tax_amount: object = None

    def tax(self, order):
        if isinstance(self.tax_amount, Exception):
            raise self.tax_amount
        return self.tax_amount


def codes(total, amounts, lines=()):
    report = OrderReport(
        order_id="1994",
        total=total,
        currency="USD",
        purchase_date=PURCHASED,
        line_items=[
            LineItem(identifier=at, total=amount) for at, amount in enumerate(lines)
        ],
    )
    return [code for code, _ in check_amounts(report, amounts)]


class TotalTests(SimpleTestCase):
    def test_all(self):
        for amounts, totals in CASES:
            for total, expected in totals.items():
                with self.subTest(amounts=amounts, total=total):
                    assert codes(total, amounts) == expected

    def test_by_the_lines(self):
        """Without a gross amount, the lines tell what the total contains."""
        amounts = Amounts(None, TAX, FEE)
        for total, expected in {
            NET: [],
            NET + TAX: ["lines_differ", "total_has_tax"],
            NET + FEE: ["lines_differ", "total_has_delivery"],
            GROSS: ["lines_differ", "total_is_gross"],
            NET + 1: ["lines_differ"],
        }.items():
            with self.subTest(total=total):
                assert codes(total, amounts, [NET - 1, 1]) == expected

    def test_each_line_was_rounded(self):
        amounts = Amounts(GROSS, TAX, FEE)

        assert codes(NET + 2, amounts, [NET + 1, 1]) == []
        assert codes(NET + 3, amounts, [NET + 2, 1]) == ["total_above_net"]

    def test_discount_as_a_line(self):
        assert codes(NET, Amounts(), [NET + 500, -500]) == []


class HookTests(SimpleTestCase):
    def ask(self, value):
        adapter = Adapter(Order)
        adapter.tax_amount = value
        return ask_amounts(adapter, Order())

    def test_defaults(self):
        assert self.ask(None) == Amounts(None, None, None)
        assert self.ask(0) == Amounts(None, 0, None)

    def test_no_amount(self):
        for value in (Decimal(5), 5.0, "5", True):
            with self.subTest(value=value), pytest.raises(HookError) as info:
                self.ask(value)
            assert str(info.value) == (f"Adapter.tax returned {type(value).__name__}.")

    def test_exception(self):
        with pytest.raises(HookError) as info:
            self.ask(KeyError("kim@shop.test"))

        assert str(info.value).startswith("Adapter.tax: KeyError at preflight/test_am")
