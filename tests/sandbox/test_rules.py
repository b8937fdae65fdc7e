from __future__ import annotations

import pytest
from django.test import SimpleTestCase

from django_button_orders.sandbox.rules import RefusedError, check_order
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
BAD = {
    "total": [None, "1", 1.5, True, -1, 2**31],
    "currency": [None, "usd", "XXY", "XAU", "", 840],
    "order_id": [None, "", "ö", "x" * 256, 42],
    "purchase_date": [
        None,
        "",
        "2026-03-05",
        "2026-03-05T16:20:11",
        "2026-13-05T16:20:11Z",
    ],
    "btn_ref": [None, "", "a b", "é", "x" * 256],
    "customer": [None, {}, [], {"email": "a@b.test"}, {"id": ""}, {"is_new": "yes"}],
    "customer_order_id": [None, "", "x" * 256],
    "line_items": [None, [], {}, ["a"], [{"total": 1}], [LINE, LINE]],
    "partner_order_channel": [None, "", "web"],
    "total_as_decimal": [None, "true"],
    "finalization_date": [None, "soon"],
    "colour": ["red"],
}
BAD_LINE = {
    "identifier": [None, "", 1],
    "total": [None, "1", 1.5, True],
    "quantity": ["1", 1.5],
    "category": [None, "Home", [], [""]],
    "attributes": [None, {}, {"a": 1}, []],
    "price": [1],
}


class CheckOrderTests(SimpleTestCase):
    def test_good_orders(self):
        assert check_order(ORDER) == ORDER
        assert check_order(FULL) == FULL

    def test_required(self):
        for key in ORDER:
            body = {name: value for name, value in ORDER.items() if name != key}
            problem = f"^{key} is required$"
            with self.subTest(key=key), pytest.raises(RefusedError, match=problem):
                check_order(body)

    def test_bad_values(self):
        for key, values in BAD.items():
            for value in values:
                body = {**FULL, key: value}
                with (
                    self.subTest(key=key, value=value),
                    pytest.raises(RefusedError, match=f"^{key}"),
                ):
                    check_order(body)

    def test_bad_lines(self):
        for key, values in BAD_LINE.items():
            for value in values:
                with self.subTest(key=key, value=value):
                    body = {**ORDER, "line_items": [LINE, {**FULL_LINE, key: value}]}
                    with pytest.raises(RefusedError, match=rf"line_items\[1\]\.{key}"):
                        check_order(body)

    def test_decimals(self):
        body = {**ORDER, "total": 54.1, "total_as_decimal": True}
        body["line_items"] = [{"identifier": "a", "total": 54.1, "amount": 27}]

        held = check_order(body)

        assert held["total"] == 5410
        assert held["line_items"] == [
            {"identifier": "a", "total": 5410, "amount": 2700}
        ]
        assert "total_as_decimal" not in held

    def test_too_many_decimals(self):
        for code, total in (("USD", 1.001), ("JPY", 1.5), ("KWD", 1.0001)):
            with self.subTest(code=code):
                body = {"currency": code, "total": total, "total_as_decimal": True}
                with pytest.raises(RefusedError, match="decimals"):
                    check_order({**ORDER, **body})

    def test_partial_update(self):
        assert check_order({"total": 60}, known_currency="USD") == {"total": 60}
