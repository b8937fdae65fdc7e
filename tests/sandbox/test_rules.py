from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import SimpleTestCase

from django_button_orders.sandbox.rules import validate_order
from django_button_orders.sandbox.wire import RefusedError
from tests.sandbox.utils import ORDER

LINE = {"identifier": "a", "total": 1}
FULL_LINE = {
    "identifier": "MUG-1",
    "total": -3000,
    "amount": 0,
    "quantity": 2,
    "description": "Mug",
    "sku": "MUG-1",
    "upc": "400000000009",
    "category": ["Home", "Kitchen"],
    "attributes": {"colour": "red"},
}
FULL = {
    **ORDER,
    "btn_ref": "fakesrctok-0f1e2d3c4b5a6978",
    "customer_order_id": "Nr. 10042 ü",
    "partner_order_channel": "app",
    "finalization_date": "2026-04-05T16:20:11-04:00",
    "customer": {
        "id": "u",
        "email_sha256": "A" * 64,
        "device_id": "d",
        "is_new": False,
    },
    "line_items": [FULL_LINE, LINE],
}
GOOD = {
    "total": [0, 2**31 - 1],
    "currency": ["EUR", "JPY", "KWD"],
    "order_id": ["x", "x" * 255, "2026/11 #42", "btn-ref"],
    "purchase_date": [
        "2026-03-05T16:20Z",
        "2026-03-05T16:20:11.5Z",
        "2026-03-05T16:20:11,123456789+00:00",
        "2026-03-05T16:20:11-0430",
        "2026-03-05T16:20:11+02",
    ],
    "btn_ref": ["x", "A-z.0_9~", "x" * 255, "org-1"],
    "customer": [{}, {"id": "x" * 300}, {"email_sha256": "0aF" + "b" * 61}],
    "customer_order_id": ["ü" * 255],
    "line_items": [[], [{"identifier": "a"}], [{"identifier": "a", "amount": 2**40}]],
    "partner_order_channel": ["webview"],
    "finalization_date": ["2026-04-05", "2026-04-05T16:20:11"],
}
BAD = {
    "total": [None, "1", Decimal("1.5"), Decimal("1.0"), True, -1, 2**31, [], {}],
    "currency": [None, "usd", "XXY", "XAU", "", "US", 840, ["USD"], {}],
    "order_id": [None, "", "ö", "x" * 256, 42, ["a"]],
    "purchase_date": [
        None,
        "",
        0,
        "2026-03-05",
        "2026-03-05T16:20:11",
        "2026-03-05 16:20:11Z",
        "2026-13-05T16:20:11Z",
        "2026-02-30T16:20:11Z",
        "2026-03-05T25:20:11Z",
        "2026-03-05T16:20:11+99:99",
        "٢٠٢٦-03-05T16:20:11Z",
        "2026-03-05T16:20:11Z\n",
    ],
    "btn_ref": [None, "", 1, "a b", "a/b", "a%20b", "é", "x" * 256, "a\n"],
    "customer": [
        None,
        "",
        [],
        "u",
        {"email": "a@b.test"},
        {"id": ""},
        {"id": None},
        {"id": 77},
        {"email_sha256": "a" * 63},
        {"email_sha256": "g" * 64},
        {"email_sha256": None},
        {"device_id": ""},
        {"is_new": "yes"},
        {"is_new": 1},
        {"is_new_user": True},
    ],
    "customer_order_id": [None, "", 1, "x" * 256, "\ud800"],
    "line_items": [None, "", {}, ["a"], [{"total": 1}], [LINE, LINE]],
    "partner_order_channel": [None, "", "web", "App", []],
    "total_as_decimal": [None, "true", 1],
    "finalization_date": [None, "", "soon", 1, "2026-04-31"],
    "colour": ["red"],
    "advertising_id": ["a"],
}
BAD_LINE = {
    "identifier": [None, "", 1],
    "total": [None, "1", Decimal("1.5"), True],
    "amount": [None, "1", Decimal("1.5"), True],
    "quantity": [None, "1", Decimal("1.5"), True],
    "description": [None, "", 1],
    "sku": [None, "", 1],
    "upc": [None, "", 400000000009],
    "category": [None, "Home", [""], [None], [1]],
    "attributes": [None, "red", {"a": 1}, {"a": ""}, {"a": None}, []],
    "price": [1],
}


def refuses(problem):
    return pytest.raises(RefusedError, match=problem)


class CheckOrderTests(SimpleTestCase):
    def test_good_orders(self):
        assert validate_order(ORDER) == ORDER
        assert validate_order(FULL) == FULL

    def test_good_values(self):
        for key, values in GOOD.items():
            for value in values:
                body = {**FULL, key: value}
                with self.subTest(key=key, value=value):
                    assert validate_order(body) == body

    def test_required(self):
        for key in ORDER:
            body = {name: value for name, value in ORDER.items() if name != key}
            with self.subTest(key=key), refuses(f"^{key} is required$"):
                validate_order(body)

    def test_bad_values(self):
        for key, values in BAD.items():
            for value in values:
                body = {**FULL, key: value}
                with self.subTest(key=key, value=value), refuses(f"^{key}"):
                    validate_order(body)

    def test_bad_lines(self):
        for key, values in BAD_LINE.items():
            for value in values:
                body = {**ORDER, "line_items": [LINE, {**FULL_LINE, key: value}]}
                problem = rf"^line_items\[1\]\.{key} (must|is not)"
                with self.subTest(key=key, value=value), refuses(problem):
                    validate_order(body)

    def test_words(self):
        problems = {
            "total must be from 0 to 2147483647": {"total": -1},
            "colour is not known": {"colour": "red"},
            "customer.is_new must be true or false": {"customer": {"is_new": 1}},
            r"line_items\[0\] must be an object": {"line_items": ["a"]},
            r"line_items\[0\].identifier is required": {"line_items": [{}]},
            r"line_items\[1\].identifier must be unique": {"line_items": [LINE, LINE]},
        }
        for problem, values in problems.items():
            with self.subTest(problem=problem), refuses(f"^{problem}"):
                validate_order({**ORDER, **values})

    def test_partial_update(self):
        assert validate_order({"total": 60}, known_currency="USD") == {"total": 60}
        assert validate_order({}, known_currency="USD") == {}
        with refuses("^total must be an integer$"):
            validate_order({"total": None}, known_currency="USD")


class DecimalTests(SimpleTestCase):
    def check(self, **values):
        return validate_order({**ORDER, "total_as_decimal": True, **values})

    def test_order_and_lines(self):
        line = {"identifier": "a", "total": Decimal("-54.1"), "amount": 27}

        held = self.check(total=Decimal("54.10"), line_items=[line])

        assert held["total"] == 5410
        assert held["line_items"] == [
            {"identifier": "a", "total": -5410, "amount": 2700}
        ]
        assert "total_as_decimal" not in held

    def test_exponents(self):
        for code, total, held in (
            ("USD", 3, 300),
            ("USD", Decimal("3.000"), 300),
            ("JPY", Decimal("100.0"), 100),
            ("KWD", Decimal("1.234"), 1234),
            ("USD", Decimal("1E+2"), 10000),
            ("BGN", Decimal("12.50"), 1250),
            ("HRK", Decimal("12.50"), 1250),
            ("BYR", Decimal("12.0"), 12),
        ):
            with self.subTest(code=code, total=total):
                assert self.check(currency=code, total=total)["total"] == held

    def test_too_many_decimals(self):
        for code, total in (("USD", "1.001"), ("JPY", "1.5"), ("KWD", "1.0001")):
            with self.subTest(code=code), refuses(f"more decimals than {code}"):
                self.check(currency=code, total=Decimal(total))

    def test_beyond_all_measure(self):
        for total in ("1E+999999", "1E-999999", "12345678901234567890123456789"):
            with self.subTest(total=total), refuses("^total "):
                self.check(total=Decimal(total))

    def test_limits_are_those_of_minor_units(self):
        assert self.check(total=Decimal("21474836.47"))["total"] == 2**31 - 1
        for total in (Decimal("21474836.48"), Decimal("-0.01")):
            with self.subTest(total=total), refuses("^total must be from 0"):
                self.check(total=total)

    def test_no_numbers(self):
        for total in ("3.00", None, True, []):
            with self.subTest(total=total), refuses("^total must be a number$"):
                self.check(total=total)
        with refuses(r"^line_items\[0\].amount must be a number$"):
            self.check(line_items=[{"identifier": "a", "amount": "3"}])

    def test_bad_lines_or_currency(self):
        with refuses("^line_items must be an array"):
            self.check(line_items="a")
        with refuses(r"^line_items\[0\] must be an object"):
            self.check(line_items=["a"])
        with refuses("^currency must be"):
            self.check(currency=["USD"])

    def test_currency_is_the_order_s(self):
        body = {"total": Decimal("1.234"), "total_as_decimal": True}

        assert validate_order(body, known_currency="KWD") == {"total": 1234}

    def test_not_asked_for(self):
        assert self.check(total=300, total_as_decimal=False)["total"] == 300
        with refuses("^total must be an integer$"):
            self.check(total=Decimal("3.00"), total_as_decimal=False)
