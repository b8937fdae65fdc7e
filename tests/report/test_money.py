from __future__ import annotations

import decimal
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from django_button_orders import net_of, to_minor_units
from django_button_orders.report.money import (
    ROUNDINGS,
    exponent,
    exponents,
    in_major_units,
    to_decimal,
)


class ExponentTests(SimpleTestCase):
    def test_by_currency(self):
        known = {"USD": 2, "EUR": 2, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3, "CLF": 4}
        for currency, decimals in known.items():
            with self.subTest(currency=currency):
                assert exponent(currency) == decimals

    def test_refused(self):
        refused = ["", "usd", "Usd", "US", "USDX", " USD", "USD\n", "ZZZ", "DEM", "$"]
        for currency in [*refused, None, 840, b"USD", ["USD"], True, "\ud800"]:
            with (
                self.subTest(currency=currency),
                pytest.raises(ValidationError, match="ISO 4217 code") as caught,
            ):
                exponent(currency)

            assert caught.value.code == "currency"

    def test_without_minor_unit(self):
        for currency in ("XAU", "XAG", "XDR", "XTS", "XXX"):
            with (
                self.subTest(currency=currency),
                pytest.raises(ValidationError, match="ISO 4217 code"),
            ):
                exponent(currency)

    def test_withdrawn(self):
        """Orders from before the end of a currency are still updated."""
        known = {"BGN": 2, "HRK": 2, "EEK": 2, "MRO": 2, "ZWL": 2, "BYR": 0, "TRL": 0}
        for currency, decimals in known.items():
            with self.subTest(currency=currency):
                assert exponent(currency) == decimals

    def test_error_says_what_was_given(self):
        for currency, shown in (
            ("ZZZ", "'ZZZ'"),
            ("usd", "'usd'"),
            ("\x1b", "'\\x1b'"),
            ("", "such as USD."),
            (None, "such as USD."),
            (840, "type int"),
        ):
            with self.subTest(currency=currency), pytest.raises(ValidationError) as it:
                exponent(currency)

            assert shown in it.value.messages[0]

    def test_error_quotes_no_customer(self):
        for currency in ("a@b.c", "Jane Doe", "Hauptstrasse"):
            with self.subTest(currency=currency), pytest.raises(ValidationError) as it:
                exponent(currency)

            assert currency not in it.value.messages[0]

    def test_all_are_plausible(self):
        assert len(exponents()) > 150
        assert set(exponents().values()) == {0, 2, 3, 4}
        assert all(len(code) == 3 and code.isupper() for code in exponents())


class ToMinorUnitsTests(SimpleTestCase):
    def test_exact(self):
        table = [
            (Decimal("12.34"), "USD", 1234),
            (Decimal("12.340000"), "USD", 1234),
            (Decimal("12"), "USD", 1200),
            (12, "USD", 1200),
            (0, "USD", 0),
            (Decimal("-0.00"), "USD", 0),
            (Decimal("-5.50"), "USD", -550),
            (Decimal("1E+3"), "USD", 100000),
            (Decimal(100), "JPY", 100),
            (Decimal("100.00"), "JPY", 100),
            (Decimal("1.234"), "KWD", 1234),
            (Decimal("1.2345"), "CLF", 12345),
            (Decimal("21474836.47"), "USD", 2**31 - 1),
            (Decimal("0E+999999"), "USD", 0),
            (Decimal("0E-999999"), "USD", 0),
        ]
        for amount, currency, units in table:
            with self.subTest(amount=amount, currency=currency):
                result = to_minor_units(amount, currency)

                assert result == units
                assert type(result) is int

    def test_fraction_of_a_minor_unit(self):
        table = [
            ("12.345", "USD"),
            ("0.5", "JPY"),
            ("1.2345", "KWD"),
            ("1.23456", "CLF"),
            ("-0.001", "USD"),
            ("1E-30", "USD"),
        ]
        for amount, currency in table:
            with (
                self.subTest(amount=amount, currency=currency),
                pytest.raises(ValidationError, match="can have at most") as caught,
            ):
                to_minor_units(Decimal(amount), currency)

            assert currency in caught.value.messages[0]

    def test_wrong_type(self):
        for amount in (True, False, 12.0, 0.1, "12.34", None, Fraction(1, 2), 1j, [1]):
            with (
                self.subTest(amount=amount),
                pytest.raises(ValidationError, match="as a Decimal, not as"),
            ):
                to_minor_units(amount, "USD")

    def test_not_finite(self):
        for amount in ("NaN", "sNaN", "Infinity", "-Infinity", "1E+31", "1E+999999"):
            with (
                self.subTest(amount=amount),
                pytest.raises(ValidationError, match="finite amount"),
            ):
                to_minor_units(Decimal(amount), "USD")

    def test_tiny_is_refused_at_once(self):
        with pytest.raises(ValidationError):
            to_minor_units(Decimal("1E-999999"), "USD")

    def test_huge_integer(self):
        with pytest.raises(ValidationError, match="finite amount"):
            to_minor_units(10**4000, "USD")

    def test_wrong_currency(self):
        for currency in ("XAU", "usd", None):
            with (
                self.subTest(currency=currency),
                pytest.raises(ValidationError, match="ISO 4217 code"),
            ):
                to_minor_units(1, currency)

    def test_error_names_the_currency(self):
        with pytest.raises(ValidationError) as caught:
            to_minor_units(Decimal("12.34"), "ZZZ")

        assert list(caught.value.message_dict) == ["currency"]
        assert "'ZZZ'" in caught.value.message_dict["currency"][0]

    def test_rounding(self):
        table = [
            ("1048.90", "JPY", decimal.ROUND_HALF_UP, 1049),
            ("1048.90", "JPY", decimal.ROUND_DOWN, 1048),
            ("1048.50", "JPY", decimal.ROUND_HALF_EVEN, 1048),
            ("-1048.50", "JPY", decimal.ROUND_HALF_UP, -1049),
            ("12.345", "USD", decimal.ROUND_HALF_UP, 1235),
            ("12.34", "USD", decimal.ROUND_UP, 1234),
            ("1.23455", "CLF", decimal.ROUND_CEILING, 12346),
            ("1E-30", "USD", decimal.ROUND_UP, 1),
            ("1E+30", "CLF", decimal.ROUND_UP, 10**34),
            ("0E-999999", "USD", decimal.ROUND_UP, 0),
            # Rounding this to fewer digits first would round it up.
            (f"0.00{'4' * 60}5", "USD", decimal.ROUND_HALF_UP, 0),
            (f"0.00{'5'}{'0' * 60}1", "USD", decimal.ROUND_HALF_DOWN, 1),
        ]
        for amount, currency, rounding, units in table:
            with self.subTest(amount=amount, rounding=rounding):
                found = to_minor_units(Decimal(amount), currency, rounding=rounding)

                assert found == units
                assert type(found) is int

    def test_rounding_of_a_whole_number(self):
        assert to_minor_units(7, "JPY", rounding=decimal.ROUND_HALF_UP) == 7

    def test_rounding_in_a_small_context(self):
        with localcontext() as context:
            context.prec = 2

            assert (
                to_minor_units(Decimal("12345.678"), "USD", rounding=decimal.ROUND_DOWN)
                == 1234567
            )

    def test_unknown_rounding(self):
        for rounding in ("half_up", "", True, 2, ["ROUND_UP"], "ROUND_05"):
            with (
                self.subTest(rounding=rounding),
                pytest.raises(ValidationError, match="constant of decimal"),
            ):
                to_minor_units(Decimal("12.34"), "USD", rounding=rounding)

    def test_context_does_not_matter(self):
        with localcontext() as context:
            context.prec = 2

            assert to_minor_units(Decimal("12345.67"), "USD") == 1234567


class NetOfTests(SimpleTestCase):
    def test_tax_rate(self):
        table = [
            (1190, "0.19", 1000),
            (1190, Decimal("0.19"), 1000),
            (595, "0.19", 500),
            (999, "0.19", 839),
            (999, "0.081", 924),
            (100, "0.07", 93),
            (107, "0.07", 100),
            (1000, 0, 1000),
            (1000, "0", 1000),
            (1000, Decimal("0.00"), 1000),
            (0, "0.19", 0),
            (-595, "0.19", -500),
            (1050, "0.0825", 970),
        ]
        for gross, tax_rate, net in table:
            with self.subTest(gross=gross, tax_rate=tax_rate):
                found = net_of(gross, tax_rate=tax_rate)

                assert found == net
                assert type(found) is int
                assert net_of(gross, tax_rate) == net

    def test_tax(self):
        for gross, tax, net in (
            (1190, 190, 1000),
            (1190, 0, 1190),
            (1190, 1190, 0),
            (0, 0, 0),
            (-595, -95, -500),
        ):
            with self.subTest(gross=gross, tax=tax):
                assert net_of(gross, tax=tax) == net

    def test_rounding(self):
        # 3 / 1.2 is 2.5, and 1 / 1.2 is 0.83.
        for gross, rounding, net in (
            (3, decimal.ROUND_HALF_UP, 3),
            (3, decimal.ROUND_HALF_EVEN, 2),
            (3, decimal.ROUND_DOWN, 2),
            (1, decimal.ROUND_DOWN, 0),
            (1, decimal.ROUND_CEILING, 1),
            (-3, decimal.ROUND_HALF_UP, -3),
            (-3, decimal.ROUND_CEILING, -2),
        ):
            with self.subTest(gross=gross, rounding=rounding):
                assert net_of(gross, "0.2", rounding=rounding) == net
        assert net_of(3, "0.2") == 3

    @settings(deadline=None)
    @given(st.integers(-(10**29), 10**29), st.integers(1, 10**20))
    def test_gross_of_a_net(self, net, parts):
        """Adding the tax and rounding can be undone."""
        rate = Decimal(parts).scaleb(-21)
        gross = round(Fraction(net) * (1 + Fraction(rate)))

        assert net_of(gross, rate) == net

    @settings(deadline=None)
    @given(
        st.integers(-(10**30) + 1, 10**30 - 1),
        st.decimals(0, "0.999999999999", places=12),
        st.sampled_from(ROUNDINGS),
    )
    def test_rounded_once(self, gross, rate, rounding):
        exact = gross / (1 + Fraction(rate))
        found = net_of(gross, rate, rounding=rounding)

        assert abs(found - exact) < 1
        if exact.denominator == 1:
            assert found == exact
        if rounding == decimal.ROUND_FLOOR:
            assert found == math.floor(exact)
        if rounding == decimal.ROUND_HALF_EVEN:
            assert found == round(exact)

    def test_quotient_just_below_a_half(self):
        """Rounding it to fewer digits first would round it up."""
        tiny = "0" * 149 + "1"

        assert net_of(5, f"0.{tiny}", rounding=decimal.ROUND_DOWN) == 4
        assert net_of(5, f"0.{tiny}", rounding=decimal.ROUND_UP) == 5
        # 3 / 1.2 is 2.5.
        assert net_of(3, f"0.2{tiny}") == 2
        assert net_of(3, f"0.1{'9' * 150}") == 3

    def test_context_does_not_matter(self):
        with localcontext() as context:
            context.prec = 2

            assert net_of(119000119, "0.19") == 100000100

    def test_percentage(self):
        for tax_rate in (19, "19", Decimal("19.0"), 1, "1.0", "-0.19", "19 %", "", "x"):
            with (
                self.subTest(tax_rate=tax_rate),
                pytest.raises(ValidationError, match=r"0\.19 for 19 %\."),
            ):
                net_of(1190, tax_rate=tax_rate)
        for tax_rate in ("NaN", "sNaN", "Infinity", "-Infinity", "1E+999999"):
            with self.subTest(tax_rate=tax_rate), pytest.raises(ValidationError):
                net_of(1190, tax_rate=Decimal(tax_rate))

    def test_wrong_type(self):
        for tax_rate in (0.19, True, False, Fraction(1, 5), [1]):
            with (
                self.subTest(tax_rate=tax_rate),
                pytest.raises(ValidationError, match="tax rate as a Decimal"),
            ):
                net_of(1190, tax_rate=tax_rate)
        for wrong in (11.9, Decimal("11.90"), "1190", None, True):
            with (
                self.subTest(gross=wrong),
                pytest.raises(ValidationError, match="integer in minor units"),
            ):
                net_of(wrong, "0.19")
        for wrong in (1.9, Decimal("1.90"), "190", True):
            with (
                self.subTest(tax=wrong),
                pytest.raises(ValidationError, match="integer in minor units"),
            ):
                net_of(1190, tax=wrong)

    def test_tax_that_is_no_part(self):
        for gross, tax in ((1190, 1191), (1190, -1), (-595, 95), (-595, -596), (0, 1)):
            with (
                self.subTest(gross=gross, tax=tax),
                pytest.raises(ValidationError, match=f"from 0 to {gross}"),
            ):
                net_of(gross, tax=tax)

    def test_both_or_none(self):
        for values in ({}, {"tax_rate": "0.19", "tax": 190}):
            with (
                self.subTest(values=values),
                pytest.raises(ValidationError, match="either tax_rate or tax"),
            ):
                net_of(1190, **values)

    def test_unknown_rounding(self):
        for rounding in ("half_up", "", None, True, 2, ["ROUND_UP"]):
            with (
                self.subTest(rounding=rounding),
                pytest.raises(ValidationError, match="constant of decimal"),
            ):
                net_of(1190, "0.19", rounding=rounding)


class ToDecimalTests(SimpleTestCase):
    def test_by_currency(self):
        table = [
            (1234, "USD", "12.34"),
            (100, "JPY", "100"),
            (-1234, "KWD", "-1.234"),
            (12345, "CLF", "1.2345"),
            (0, "USD", "0.00"),
        ]
        for units, currency, amount in table:
            with self.subTest(units=units, currency=currency):
                assert str(to_decimal(units, currency)) == amount

    def test_there_and_back(self):
        for currency in exponents():
            with self.subTest(currency=currency):
                amount = to_decimal(2**31 - 1, currency)

                assert to_minor_units(amount, currency) == 2**31 - 1


class RowTests(SimpleTestCase):
    def test_known(self):
        assert in_major_units(1234, "USD") == Decimal("12.34")
        assert in_major_units(0, "JPY") == 0

    def test_unknown(self):
        for row in ((None, "USD"), (None, None), (1, None), (1, ""), (1, "XXX")):
            with self.subTest(row=row):
                assert in_major_units(*row) is None
