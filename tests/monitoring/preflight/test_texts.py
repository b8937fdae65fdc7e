from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from types import SimpleNamespace

from django.test import SimpleTestCase

from django_button_orders import Customer, LineItem, OrderReport
from django_button_orders.monitoring.preflight.texts import check_texts
from tests.utils import PURCHASED

ADDRESS = "kim@shop.test"


def check(order=None, **values):
    report = OrderReport(
        **{
            "order_id": "1994",
            "total": 7000,
            "currency": "USD",
            "purchase_date": PURCHASED,
            **values,
        }
    )
    order = order or SimpleNamespace(pk=1)
    return list(check_texts(report, order, now=PURCHASED))


def line(**values):
    return [LineItem(**{"identifier": 1, "total": 7000, **values})]


class DateTests(SimpleTestCase):
    def test_future(self):
        for minutes, expected in {0: [], 5: [], 6: [("future_date", "")]}.items():
            with self.subTest(minutes=minutes):
                moment = PURCHASED + timedelta(minutes=minutes)
                assert check(purchase_date=moment) == expected

    def test_old(self):
        first = datetime(2000, 1, 1, tzinfo=timezone.utc)

        assert check(purchase_date=first) == []
        assert check(purchase_date=first - timedelta(seconds=1)) == [("old_date", "")]


class CustomerTests(SimpleTestCase):
    def test_dummy_address(self):
        for email in ("guest", "guest@shop.invalid", "GUEST@shop.EXAMPLE "):
            with self.subTest(email=email):
                assert check(customer=Customer(email=email)) == [("dummy_email", "")]
        assert check(customer=Customer(email=ADDRESS)) == []
        assert check(customer=Customer(email="")) == []
        assert check(customer=None) == []

    def test_hash_of_nothing(self):
        for text in ("", "None", "null"):
            with self.subTest(text=text):
                hashed = sha256(text.encode()).hexdigest().upper()
                assert check(customer={"email_sha256": hashed}) == [
                    ("hash_of_nothing", "")
                ]

    def test_placeholder(self):
        for email in ("test@example.com", "Guest@example.com ", "noreply@test.com"):
            with self.subTest(email=email):
                customer = Customer(email=email)

                assert check(customer=customer) == [("placeholder_email", "")]

    def test_person_at_a_provider(self):
        assert check(customer=Customer(email="kim@mail.com")) == []


class TokenTests(SimpleTestCase):
    def test_tokens(self):
        for token, expected in {
            "srctok-1234": [],
            "": [],
            "organic": [],
            "org-3eec44df0966f6f0": [("publisher_token", "")],
            "fakesrctok-abcdef0123456789": [("fake_token", "")],
        }.items():
            with self.subTest(token=token):
                assert check(btn_ref=token) == expected


class AddressTests(SimpleTestCase):
    def test_fields(self):
        for name, values in {
            "order_id": {"order_id": ADDRESS},
            "customer_order_id": {"customer_order_id": f"7 ({ADDRESS})"},
            "identifier": {"line_items": line(identifier=ADDRESS)},
            "description": {"line_items": line(description=f"For {ADDRESS}.")},
            "sku": {"line_items": line(sku="kim%40shop.test")},
            "upc": {"line_items": line(upc=ADDRESS)},
            "category": {"line_items": line(category=["Gifts", ADDRESS])},
            "attributes": {"line_items": line(attributes={"to": ADDRESS})},
        }.items():
            with self.subTest(name=name):
                assert check(**values) == [("email_in_text", name)]
        values = {"line_items": line(attributes={ADDRESS: "yes"})}
        assert check(**values) == [("email_in_text", "attributes")]

    def test_no_address(self):
        for text in ("Tee@Night", "5 @ 3.99", "@brand", "a@b"):
            with self.subTest(text=text):
                assert check(line_items=line(description=text)) == []


class IdentifierTests(SimpleTestCase):
    def test_repeated(self):
        twice = [{"identifier": 5, "total": 1}, LineItem(identifier="5", total=2)]

        assert check(line_items=twice) == [("repeated_identifier", "")]

    def test_numbered_by_the_shop(self):
        own = [LineItem(identifier=name, total=1) for name in ("MUG", "MUG-2")]

        assert check(line_items=own) == []


class UnseenOrderIdTests(SimpleTestCase):
    def test_uuid(self):
        unseen = [("unseen_order_id", "The ID is a UUID.")]
        value = uuid.UUID("0b7ef8b3-7c1f-4b5e-9a3a-4d8f2b1c0a99")

        assert check(order_id=value) == unseen
        assert check(order_id=value.hex) == unseen
        assert check(order_id=value, customer_order_id="1994") == []

    def test_random(self):
        unseen = [("unseen_order_id", "The ID looks random.")]

        for order_id in (
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "pi_3MtwBwLkdIwHu7ix28a3tqPa",
            "5f2c9a1e8b7d4c3f2a1b",
        ):
            with self.subTest(order_id=order_id):
                assert check(order_id=order_id) == unseen
        for order_id in ("SHOP-2026-000000001994", "20261130000000001994", "R1994"):
            with self.subTest(order_id=order_id):
                assert check(order_id=order_id) == []

    def test_primary_key_beside_a_number(self):
        order = SimpleNamespace(pk=1994, number="A-7")
        unseen = "The ID is the primary key, and the order has the field number."

        assert check(order) == [("unseen_order_id", unseen)]
        assert check(order, order_id="A-7") == []

    def test_primary_key_alone(self):
        for number in ("", None, 1994, "1994"):
            with self.subTest(number=number):
                assert check(SimpleNamespace(pk=1994, number=number)) == []


class CurrencyTests(SimpleTestCase):
    def test_withdrawn(self):
        assert check(currency="HRK") == [("withdrawn_currency", "HRK")]
        assert check(currency="EUR") == []
