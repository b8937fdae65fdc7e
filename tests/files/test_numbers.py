from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase

from django_button_orders.files.numbers import parse_amount, parse_integer


class AmountTests(SimpleTestCase):
    def read(self, table, **options):
        for text, amount in table:
            with self.subTest(text=text, **options):
                options = {"currency": "USD", **options}

                assert parse_amount(text, **options) == Decimal(amount)

    def refuse(self, texts, reason, **options):
        for text in texts:
            with (
                self.subTest(text=text),
                pytest.raises(ValidationError, match=reason),
            ):
                parse_amount(text, **{"currency": "USD", **options})

    def test_decimals(self):
        self.read(
            [
                *(("12", 12), ("12.5", "12.5"), ("12.50", "12.5"), ("12,50", "12.5")),
                *(("12.5000", "12.5"), (".5", "0.5"), ("0.500", "0.5"), ("0,5", "0.5")),
                *(("1234.567", "1234.567"), ("12,3456", "12.3456"), ("0.00", 0)),
            ]
        )

    def test_thousands(self):
        self.read(
            [
                *(("1,234.50", "1234.5"), ("1.234,50", "1234.5")),
                *(("1,234,567", 1234567), ("1.234.567,8", "1234567.8")),
                *(("1 234,50", "1234.5"), ("1\u00a0234.5", "1234.5")),
                *(("1\u202f234", 1234), ("1'234.50", "1234.5"), ("1\u2019234", 1234)),
                *(("12,34,567.50", "1234567.5"), ("1,234.567", "1234.567")),
            ]
        )

    def test_signs(self):
        self.read([("-5.00", -5), ("+5.00", 5), ("\u22125", -5), ("- 5", -5)])

    def test_currency(self):
        self.read(
            [
                *(("$12.50", "12.5"), ("12.50 USD", "12.5"), ("USD 12.50", "12.5")),
                *(("-$5", -5), ("$-5", -5), ("US$5", 5), ("$1,234.50", "1234.5")),
            ]
        )
        self.read([("€12,50", "12.5"), ("12,50\u00a0€", "12.5")], currency="EUR")
        self.read([("₹1,23,456.50", "123456.5")], currency="INR")
        self.read([("R$ 5,00", 5)], currency="BRL")

    def test_other_currency(self):
        texts = ["12.50 EUR", "€12.50", "C$12.50", "12.50 k", "5 %", "$5 USD"]

        self.refuse(texts, "in the currency of the order")

    def test_two_ways_to_read_it(self):
        self.refuse(["1,234", "7.000", "12.505", "$1,234"], "--decimal-separator")
        self.refuse(["1.200", "1,200"], "--decimal-separator", currency="JPY")
        self.refuse(["12,345"], "--decimal-separator", currency="KWD")

    def test_named_separator(self):
        self.read([("1,234", 1234), ("7.000", 7), ("1,234.5", "1234.5")], separator=".")
        self.read([("1,234", "1.234"), ("7.000", 7000), ("5,5", "5.5")], separator=",")
        self.refuse(["12.50", "1,234.50"], "such as 12,34", separator=",")
        self.refuse(["12,50", "1.234,50"], "such as 12.34", separator=".")

    def test_three_decimals(self):
        self.read([("12.345", "12.345"), ("12.3450", "12.345")], currency="KWD")

    def test_no_amounts(self):
        texts = [
            "",
            "-",
            "$",
            ".",
            "1e3",
            "1_000",
            "NaN",
            "Infinity",
            "\uff11\uff12",
            "(5.00)",
        ]
        texts += ["12.50-", "--5", "1.2.3", "1,2,3", "1..2", "12 50", "1.234,567,890"]

        self.refuse(texts, "Enter an amount such as")


class IntegerTests(SimpleTestCase):
    def test_integers(self):
        for text, number in (
            *(("0", 0), ("7", 7), ("-7", -7), ("1.0000", 1), ("2.00", 2), ("3,0", 3)),
            *(("1 000", 1000), ("1,000,000", 1_000_000)),
        ):
            with self.subTest(text=text):
                assert parse_integer(text) == number

    def test_named_separator(self):
        assert parse_integer("1.000", separator=".") == 1
        assert parse_integer("1.000", separator=",") == 1000

    def test_refused(self):
        for text in ("", "two", "2.5", "1e3", "--1", "1.000", "9" * 99, "$5"):
            with self.subTest(text=text[:9]), pytest.raises(ValidationError):
                parse_integer(text)
