from __future__ import annotations

import json
import time
from collections import UserDict
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from hashlib import sha256
from urllib.parse import quote
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase, override_settings

from django_button_orders import Customer, LineItem, OrderReport, hash_email
from django_button_orders.report.objects import (
    is_customer_refused,
    is_same_order,
    with_decimals,
    with_refused_customer,
    without_btn_ref,
)
from django_button_orders.report.validation import redact_email

EMAIL = "user@example.com"
HASH = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
PURCHASED = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
INT32_MAX = 2**31 - 1
NAN, INFINITY = float("nan"), float("inf")


class Number(IntEnum):
    FIVE = 5


WRONG_KEYS = [True, 1.5, NAN, b"a", ["a"], {"a": "b"}, object(), Decimal(1), 2**65]
WRONG_TEXTS = [1, *WRONG_KEYS]
KEYS = [
    (5, "5"),
    (0, "0"),
    (-(2**63), "-9223372036854775808"),
    (Number.FIVE, "5"),
    (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ("5", "5"),
]
BROKEN_TEXTS = ["\ud800", "a\udfffb", "nul\0"]
WRONG_MONEY = [True, False, 1.0, NAN, INFINITY, Decimal(1), "1", [1], {}, object()]


def make_report(**values):
    return OrderReport(
        **{
            "order_id": "1994",
            "total": 7000,
            "currency": "USD",
            "purchase_date": PURCHASED,
            **values,
        }
    )


def hours(number):
    return timezone(timedelta(hours=number))


class BadDataTestCase(SimpleTestCase):
    def refuse(self, make, field, *bad):
        """Assert that each value is refused, with an error for this field alone."""
        for value in bad:
            with self.subTest(field=field, value=value):
                with pytest.raises(ValidationError) as caught:
                    make(**{field: value})

                assert list(caught.value.message_dict) == [field]

    def error(self, make, **values):
        with pytest.raises(ValidationError) as caught:
            make(**values)
        return str(caught.value)


class HashEmailTests(SimpleTestCase):
    def test_vector(self):
        assert hash_email(EMAIL) == HASH

    def test_stripped_and_lower_case(self):
        for email in (" user@example.com\n", "USER@Example.COM", "\tUser@example.com "):
            with self.subTest(email=email):
                assert hash_email(email) == HASH

    def test_nothing_else_changes(self):
        emails = ["u.ser@example.com", "user+tag@example.com", "us er@example.com"]

        assert len({hash_email(email) for email in [*emails, EMAIL]}) == 4

    def test_utf8(self):
        expected = sha256("jürgen@example.com".encode()).hexdigest()

        assert hash_email("Jürgen@example.com") == expected

    def test_refused(self):
        for email in ("", "  ", None, b"user@example.com", 1, "\ud800", "a\0@b.c"):
            with self.subTest(email=email), pytest.raises(ValidationError):
                hash_email(email)


class DummyEmailTests(SimpleTestCase):
    def test_never_hashed(self):
        dummies = [
            "deleted",
            "anonymous-7",
            "u7@deleted.invalid",
            " U7@Shop.EXAMPLE ",
            "u7@example",
            "u7@a.b.invalid.",
            "a@b@c.invalid",
            "@",
            "u7@",
            "@shop.example.com",
            "u7@.",
        ]
        for email in dummies:
            with self.subTest(email=email):
                customer = Customer(id="u-77", email=email)

                assert hash_email(email) == ""
                assert customer.as_dict() == {"id": "u-77"}

    def test_hash_of_it_is_not_kept(self):
        assert Customer(email="u7@x.invalid", email_sha256=HASH).as_dict() == {}

    def test_real_addresses(self):
        for domain in ("example.com", "invalid.com", "shop.test", "notinvalid.de"):
            with self.subTest(domain=domain):
                assert len(hash_email(f"u7@{domain}")) == 64

    @override_settings(
        BUTTON_ORDERS={"DUMMY_EMAILS": ["*@deleted.Shop.com", "gone-[0-9]*@*"]}
    )
    def test_setting(self):
        assert hash_email("Jane@Deleted.shop.com") == ""
        assert hash_email("gone-7@shop.com") == ""
        assert hash_email(EMAIL) == HASH
        assert hash_email("gone-jane@shop.com") != ""

    @override_settings(BUTTON_ORDERS={"DUMMY_EMAILS": "*@deleted.shop.com"})
    def test_wrong_settings_break_no_checkout(self):
        assert hash_email(EMAIL) == HASH
        assert hash_email("u7@x.invalid") == ""


class CustomerTests(BadDataTestCase):
    def test_email_is_hashed_and_forgotten(self):
        customer = Customer(id="u-77", email=EMAIL)

        assert customer.email_sha256 == HASH
        assert EMAIL not in repr(customer)
        assert customer.email is None
        assert "email" not in customer.as_dict()

    def test_all_fields(self):
        customer = Customer(id="u-77", email=EMAIL, device_id="AE-1", is_new=False)

        assert customer.as_dict() == {
            "id": "u-77",
            "email_sha256": HASH,
            "device_id": "AE-1",
            "is_new": False,
        }

    def test_nothing_known(self):
        empty = Customer(id="", email="", email_sha256="", device_id="", is_new=None)

        assert empty == Customer() == Customer(id=None, email=None, email_sha256=None)
        assert empty.as_dict() == {}

    def test_ready_hash(self):
        assert Customer(email_sha256=HASH.upper()).email_sha256 == HASH

    def test_email_and_its_hash(self):
        assert Customer(email=EMAIL, email_sha256=HASH).email_sha256 == HASH

    def test_email_and_its_hash_in_upper_case(self):
        assert Customer(email=EMAIL, email_sha256=HASH.upper()).email_sha256 == HASH

    def test_email_and_another_hash(self):
        def make(email_sha256):
            return Customer(email=EMAIL, email_sha256=email_sha256)

        self.refuse(make, "email_sha256", HASH.replace("b", "c"), "0" * 64)

    def test_longest(self):
        customer = Customer(id="é" * 255, device_id="x" * 255)

        assert len(customer.id) == len(customer.device_id) == 255

    def test_wrong_texts(self):
        for field in ("email_sha256", "device_id"):
            self.refuse(Customer, field, *WRONG_TEXTS, *BROKEN_TEXTS, "a" * 256)
        self.refuse(Customer, "id", *WRONG_KEYS, *BROKEN_TEXTS, "a" * 256)

    def test_key(self):
        for key, text in KEYS:
            with self.subTest(key=key):
                assert Customer(id=key).as_dict() == {"id": text}

    def test_wrong_email(self):
        self.refuse(Customer, "email", " ", 1, b"a@b.c", [EMAIL], "\ud800@b.c")

    def test_wrong_email_that_is_false(self):
        self.refuse(Customer, "email", 0, False, [], {}, b"")

    def test_wrong_hash(self):
        wrong = [HASH[1:], HASH + "0", "g" + HASH[1:], f" {HASH}", f"{HASH}\n", EMAIL]

        self.refuse(Customer, "email_sha256", *wrong)

    def test_wrong_is_new(self):
        self.refuse(Customer, "is_new", 0, 1, "true", "False", [], NAN, "no")

    def test_raw_email(self):
        emails = [
            EMAIL,
            "USER@EXAMPLE.COM",
            quote(EMAIL),
            f"Jane <{EMAIL}>",
            f"mailto:{EMAIL}",
            f"x\n{EMAIL}",
            "jürgen@exämple.com",
            "user@localhost",
        ]
        for field in ("id", "device_id", "email_sha256"):
            self.refuse(Customer, field, *emails)

    def test_at_sign_is_not_an_email(self):
        for value in ("@jane", "jane@", "5 @ 3", "100%4"):
            with self.subTest(value=value):
                assert Customer(id=value).id == value

    def test_unknown_field(self):
        with pytest.raises(TypeError, match="name"):
            Customer(name="Jane")

    def test_frozen(self):
        with pytest.raises(AttributeError):
            Customer().id = "u-78"

    def test_errors_do_not_tell(self):
        table = [
            {"id": EMAIL},
            {"device_id": quote(EMAIL)},
            {"email_sha256": EMAIL},
            {"email": f"{EMAIL}\0"},
            {"email": f"{EMAIL}\ud800"},
            {"id": "user" * 70},
            {"id": ["user"]},
            {"email": EMAIL, "email_sha256": "user"},
        ]
        for values in table:
            with self.subTest(values=values):
                assert "user" not in self.error(Customer, **values)


class LineItemTests(BadDataTestCase):
    def make(self, **values):
        return LineItem(**{"identifier": "MUG-1", "total": 3000, **values})

    def test_all_fields(self):
        values = {
            "identifier": "MUG-1",
            "total": 3000,
            "amount": 1500,
            "quantity": 2,
            "description": "Mug ☕",
            "sku": "MUG-1",
            "upc": "400000000009",
            "category": ["Home", "Kitchen"],
            "attributes": {"colour": "red"},
        }

        assert LineItem(**values).as_dict() == values

    def test_least(self):
        line = LineItem(identifier="a", total=0)

        assert line.as_dict() == {"identifier": "a", "total": 0}

    def test_empty_values_are_left_out(self):
        line = self.make(
            amount=None,
            quantity=None,
            description="",
            sku=None,
            upc="",
            category=[],
            attributes={},
        )

        assert line.as_dict() == {"identifier": "MUG-1", "total": 3000}

    def test_zero_is_not_empty(self):
        line = self.make(total=0, amount=0, quantity=0)

        assert line.as_dict() == {
            "identifier": "MUG-1",
            "total": 0,
            "amount": 0,
            "quantity": 0,
        }

    def test_negative(self):
        for total in (-1, -INT32_MAX - 1):
            with self.subTest(total=total):
                assert self.make(total=total, amount=total).total == total

    def test_total_of_amount_and_quantity(self):
        table = [(1500, 2, 3000), (1500, None, 1500), (1500, 0, 0), (-250, 2, -500)]
        for amount, quantity, total in table:
            with self.subTest(amount=amount, quantity=quantity):
                line = LineItem(identifier="a", amount=amount, quantity=quantity)

                assert line.total == total

    def test_own_total_wins(self):
        assert self.make(total=2500, amount=1500, quantity=2).total == 2500

    def test_total_required(self):
        assert "total" in self.error(LineItem, identifier="a")
        assert "total" in self.error(LineItem, identifier="a", quantity=2)

    def test_total_of_amount_and_quantity_too_large(self):
        error = self.error(LineItem, identifier="a", amount=INT32_MAX, quantity=2)

        assert "total" in error

    def test_wrong_identifier(self):
        self.refuse(self.make, "identifier", None, "", *WRONG_KEYS, *BROKEN_TEXTS)

    def test_error_of_a_key_names_its_type(self):
        assert "Enter text or an integer, not a value of type float." in self.error(
            self.make, identifier=5.0
        )

    def test_keys(self):
        for field in ("identifier", "sku", "upc"):
            for key, text in KEYS:
                with self.subTest(field=field, key=key):
                    assert self.make(**{field: key}).as_dict()[field] == text

    def test_wrong_money(self):
        for field in ("total", "amount"):
            too_large = [INT32_MAX + 1, -INT32_MAX - 2, 2**80]
            self.refuse(self.make, field, *WRONG_MONEY, *too_large)

    def test_wrong_quantity(self):
        self.refuse(self.make, "quantity", *WRONG_MONEY, -1, INT32_MAX + 1)

    def test_wrong_quantity_without_total(self):
        for quantity in (*WRONG_MONEY, -1, "x" * 1000):
            with self.subTest(quantity=quantity):
                error = self.error(
                    LineItem, identifier="a", amount=1, quantity=quantity
                )

                assert "quantity" in error

    def test_quantity_cannot_eat_memory(self):
        error = self.error(LineItem, identifier="a", amount=2**62, quantity="a" * 1000)

        assert "quantity" in error

    def test_wrong_amount_without_total(self):
        for amount in (True, False, 1.5, "1"):
            with self.subTest(amount=amount):
                assert "amount" in self.error(LineItem, identifier="a", amount=amount)

    def test_wrong_texts(self):
        self.refuse(self.make, "description", *WRONG_TEXTS, *BROKEN_TEXTS)
        for field in ("sku", "upc"):
            self.refuse(self.make, field, *WRONG_KEYS, *BROKEN_TEXTS)

    def test_wrong_category(self):
        wrong = ["Home", b"Home", {"Home"}, {"Home": 1}, 1, True, iter(["Home"])]
        broken = [[text] for text in (*WRONG_TEXTS, *BROKEN_TEXTS)]

        self.refuse(self.make, "category", *wrong, *broken)

    def test_empty_names_of_categories_are_left_out(self):
        assert self.make(category=["Home", "", None]).category == ("Home",)

    def test_wrong_attributes(self):
        wrong = ["red", ["red"], [("colour", "red")], 1, True]
        broken = [{"colour": text} for text in (*WRONG_TEXTS, *BROKEN_TEXTS)]
        names = [{1: "red"}, {None: "red"}, {"": "red"}, {"\0": "red"}, {"\ud800": "r"}]

        self.refuse(self.make, "attributes", *wrong, *broken, *names)

    def test_empty_attributes_are_left_out(self):
        line = self.make(attributes={"colour": "red", "size": "", "brand": None})

        assert line.attributes == {"colour": "red"}
        assert "attributes" not in self.make(attributes={"size": None}).as_dict()

    def test_attributes_are_a_copy(self):
        attributes = {"colour": "red"}
        line = self.make(attributes=attributes)

        attributes["colour"] = NAN

        assert line.attributes == {"colour": "red"}

    def test_all_errors_at_once(self):
        with pytest.raises(ValidationError) as caught:
            LineItem(identifier="", total=1.5, sku=1.5)

        assert set(caught.value.message_dict) == {"identifier", "total", "sku"}


class OrderReportTests(BadDataTestCase):
    def test_all_fields(self):
        report = make_report(
            btn_ref="srctok-1",
            customer_order_id="№ 42",
            customer=Customer(id="u-77"),
            line_items=[LineItem(identifier="a", total=7000)],
            partner_order_channel="app",
            finalization_date=PURCHASED + timedelta(days=30),
        )

        assert report.as_payload() == {
            "order_id": "1994",
            "total": 7000,
            "currency": "USD",
            "purchase_date": "2026-11-01T12:00:00Z",
            "btn_ref": "srctok-1",
            "customer_order_id": "№ 42",
            "customer": {"id": "u-77"},
            "line_items": [{"identifier": "a", "total": 7000}],
            "partner_order_channel": "app",
            "finalization_date": "2026-12-01T12:00:00Z",
        }

    def test_keys_without_a_value_are_left_out(self):
        least = {
            "order_id": "1994",
            "total": 0,
            "currency": "USD",
            "purchase_date": "2026-11-01T12:00:00Z",
        }
        names = (
            "btn_ref",
            "customer_order_id",
            "customer",
            "line_items",
            "partner_order_channel",
            "finalization_date",
        )
        empties = [
            {},
            dict.fromkeys(names),
            dict.fromkeys(names, ""),
            {"customer": {}, "line_items": []},
            {"customer": Customer()},
        ]
        for values in empties:
            with self.subTest(values=values):
                assert make_report(total=0, **values).as_payload() == least

    def test_required(self):
        for field in ("order_id", "total", "currency", "purchase_date"):
            self.refuse(make_report, field, None, "")

    def test_missing(self):
        with pytest.raises(TypeError, match="purchase_date"):
            OrderReport(order_id="1994", total=1, currency="USD")

    def test_unknown(self):
        with pytest.raises(TypeError, match="totl"):
            make_report(totl=1)

    def test_frozen(self):
        with pytest.raises(AttributeError):
            make_report().total = 1

    def test_all_errors_at_once(self):
        with pytest.raises(ValidationError) as caught:
            make_report(order_id="é", total=-1, currency="usd", customer=1)

        names = {"order_id", "total", "currency", "customer"}
        assert set(caught.value.message_dict) == names

    def test_order_id(self):
        good = ["0", "2026/11 #42", "a?b%2F", "..a", "...", " ", "~" * 255, "btn-refs"]
        for order_id in good:
            with self.subTest(order_id=order_id):
                assert make_report(order_id=order_id).order_id == order_id

    def test_wrong_order_id(self):
        odd = ["a" * 256, "é", "42\n", "\x1f", "\x7f", "4\t2", "№42", "\U0001f600"]
        elsewhere = [".", "..", "btn-ref"]

        self.refuse(
            make_report, "order_id", *WRONG_KEYS, *BROKEN_TEXTS, *odd, *elsewhere
        )

    def test_keys(self):
        for field in ("order_id", "customer_order_id"):
            for key, text in KEYS:
                with self.subTest(field=field, key=key):
                    assert make_report(**{field: key}).as_payload()[field] == text

    def test_total(self):
        for total in (0, 1, INT32_MAX):
            with self.subTest(total=total):
                assert make_report(total=total).as_payload()["total"] == total

    def test_wrong_total(self):
        too_large = [-1, INT32_MAX + 1, 2**80, -(2**80)]

        self.refuse(make_report, "total", *WRONG_MONEY, *too_large)

    def test_error_of_a_total_that_is_too_large(self):
        said = "Button takes no larger amount"

        assert said in self.error(make_report, total=INT32_MAX + 1)
        assert said not in self.error(make_report, total=-1)
        assert said in self.error(LineItem, identifier="a", total=INT32_MAX + 1)

    def test_wrong_currency(self):
        unknown = ["usd", "US", "ZZZ", "XAU", "XXX", "USD ", "$", "DEM"]

        self.refuse(make_report, "currency", *unknown, *WRONG_TEXTS, *BROKEN_TEXTS)

    def test_btn_ref(self):
        for btn_ref in ("srctok-1", "other", "A-z0.9_~", "x" * 255):
            with self.subTest(btn_ref=btn_ref):
                assert make_report(btn_ref=btn_ref).btn_ref == btn_ref

    def test_wrong_btn_ref(self):
        odd = ["x" * 256, "a b", "a/b", "a+b", "a%20", "é", "a\n", "\r\n", "a=b", "<a>"]

        self.refuse(make_report, "btn_ref", *odd, *WRONG_TEXTS, *BROKEN_TEXTS)

    def test_customer_order_id(self):
        for number in ("№ 42", "\U0001f600" * 255):
            with self.subTest(number=number):
                report = make_report(customer_order_id=number)

                assert report.as_payload()["customer_order_id"] == number

    def test_wrong_customer_order_id(self):
        self.refuse(
            make_report, "customer_order_id", "x" * 256, *WRONG_KEYS, *BROKEN_TEXTS
        )

    def test_channel(self):
        for channel in ("app", "webview"):
            with self.subTest(channel=channel):
                payload = make_report(partner_order_channel=channel).as_payload()

                assert payload["partner_order_channel"] == channel

    def test_wrong_channel(self):
        self.refuse(
            make_report, "partner_order_channel", "web", "App", "app ", *WRONG_TEXTS
        )


class MomentTests(BadDataTestCase):
    def written(self, moment):
        return make_report(purchase_date=moment).as_payload()["purchase_date"]

    def test_written_in_utc(self):
        table = [
            (datetime(2026, 11, 1, 12, tzinfo=hours(-4)), "2026-11-01T16:00:00Z"),
            (datetime(2026, 11, 1, 2, tzinfo=hours(5.5)), "2026-10-31T20:30:00Z"),
            (PURCHASED.replace(microsecond=999999), "2026-11-01T12:00:00Z"),
            (datetime(1, 1, 1, tzinfo=timezone.utc), "0001-01-01T00:00:00Z"),
            (datetime(9999, 12, 31, 23, tzinfo=hours(1)), "9999-12-31T22:00:00Z"),
        ]
        for moment, text in table:
            with self.subTest(moment=moment):
                assert self.written(moment) == text

    def test_both_hours_of_a_fold(self):
        class Clock(tzinfo):
            def utcoffset(self, moment):
                return timedelta(hours=-6 if moment.fold else -5)

        moment = datetime(2026, 11, 1, 1, 30, tzinfo=Clock())

        assert self.written(moment) == "2026-11-01T06:30:00Z"
        assert self.written(moment.replace(fold=1)) == "2026-11-01T07:30:00Z"

    def test_wrong(self):
        class Nowhere(tzinfo):
            def utcoffset(self, moment):
                return None

        wrong = [
            datetime(2026, 11, 1, 12),
            PURCHASED.replace(tzinfo=Nowhere()),
            date(2026, 11, 1),
            "2026-11-01T12:00:00Z",
            1793534400,
            NAN,
            True,
            timedelta(1),
            PURCHASED.timetz(),
            datetime(9999, 12, 31, 23, tzinfo=hours(-5)),
            datetime(1, 1, 1, tzinfo=hours(1)),
        ]
        for field in ("purchase_date", "finalization_date"):
            self.refuse(make_report, field, *wrong)


class CustomerOfReportTests(BadDataTestCase):
    def test_from_dict(self):
        values = {"id": "u-77", "email_sha256": HASH, "is_new": True}

        assert make_report(customer=values).customer == Customer(**values)

    def test_from_another_mapping(self):
        assert make_report(customer=UserDict(id="1")).customer == Customer(id="1")

    def test_wrong_type(self):
        line = LineItem(identifier="a", total=1)

        self.refuse(make_report, "customer", EMAIL, 1, True, ["u-77"], NAN, line)

    def test_wrong_values(self):
        wrong = [
            {"id": 1.5},
            {"id": "x" * 256},
            {"id": NAN},
            {"id": "\ud800"},
            {"is_new": "yes"},
            {"email_sha256": "abc"},
        ]

        self.refuse(make_report, "customer", *wrong)
        for values in wrong:
            assert f"{next(iter(values))}: " in self.error(make_report, customer=values)

    def test_unknown_keys(self):
        unknown = [
            {"name": "Jane"},
            {"is_new_user": True},
            {"advertising_id": "x"},
            {"ID": "u-77"},
            {1: 2},
            {None: 1},
            {EMAIL: 1},
        ]

        self.refuse(make_report, "customer", *unknown)
        assert "Unknown keys: name" in self.error(make_report, customer=unknown[0])

    def test_raw_email(self):
        raw = [{"email": EMAIL}, {"email": ""}, {"email": None}]
        keys = ("id", "device_id", "email_sha256")
        raw += [{key: text} for key in keys for text in (EMAIL, quote(EMAIL))]

        self.refuse(make_report, "customer", *raw)
        assert "email_sha256 instead of email" in self.error(
            make_report, customer=raw[0]
        )

    def test_errors_do_not_tell(self):
        table = [
            EMAIL,
            [EMAIL],
            {"email": EMAIL},
            {"id": EMAIL},
            {"device_id": quote(EMAIL)},
            {"email_sha256": EMAIL},
            {EMAIL: 1},
            {quote(EMAIL): 1},
            {"id": {"user": 1}},
            {"name": "user"},
        ]
        for customer in table:
            with self.subTest(customer=customer):
                assert "user" not in self.error(make_report, customer=customer)


class LineItemsOfReportTests(BadDataTestCase):
    def test_from_dicts_and_objects(self):
        line = {"identifier": "a", "total": 1}

        report = make_report(line_items=[line, LineItem(identifier="b", total=2)])

        assert report.line_items == (
            LineItem(identifier="a", total=1),
            LineItem(identifier="b", total=2),
        )

    def test_order_is_kept(self):
        lines = [{"identifier": name, "total": 1} for name in ("b", "a", "c")]

        payload = make_report(line_items=lines).as_payload()

        assert payload["line_items"] == lines

    def test_later_changes_do_not_reach_the_report(self):
        lines = [{"identifier": "a", "total": 1}]
        report = make_report(line_items=lines)

        lines.append(1)
        lines[0]["total"] = NAN

        assert report.as_fields()["line_items"] == [{"identifier": "a", "total": 1}]

    def test_wrong_type(self):
        line = {"identifier": "a", "total": 1}

        self.refuse(
            make_report, "line_items", "abc", b"abc", line, {1}, iter([line]), 1, True
        )

    def test_wrong_line(self):
        wrong = [1, None, "a", ["a"], {}, {"total": 1}, {"identifier": "a"}, NAN]
        money = [{"identifier": "a", "total": total} for total in WRONG_MONEY]
        keys = [{"identifier": "a", "total": 1, "price": 1}, {"id": "a", "total": 1}]
        keys += [{"identifier": "a", "total": 1, 5: 1}]
        nested = [{"identifier": "a", "total": 1, "attributes": {"a": {"b": NAN}}}]

        for line in (*wrong, *money, *keys, *nested):
            self.refuse(make_report, "line_items", [line])

    def test_error_names_line_and_key(self):
        lines = [{"identifier": "a", "total": 1}, {"identifier": "b", "total": 1.5}]

        assert "Line 2: total: " in self.error(make_report, line_items=lines)

    def test_error_with_percent_signs(self):
        lines = [{"identifier": "a", "total": 1, "100%s %(x)s": 1}]

        assert "100%s %(x)s" in self.error(make_report, line_items=lines)

    def identifiers(self, *names):
        lines = [LineItem(identifier=name, total=1) for name in names]
        report = make_report(line_items=lines)
        # A row that stores them says the same.
        again = make_report(line_items=report.as_fields()["line_items"])
        assert again.digest() == report.digest()
        return [item.identifier for item in report.line_items]

    def test_one_article_on_several_lines(self):
        assert self.identifiers("MUG", "TEA", "MUG", "MUG") == [
            *("MUG", "TEA", "MUG-2", "MUG-3")
        ]
        assert self.identifiers(7, "7") == ["7", "7-2"]

    def test_number_that_is_taken(self):
        table = [
            (("MUG", "MUG", "MUG-2"), ["MUG", "MUG-3", "MUG-2"]),
            (("MUG-2", "MUG", "MUG", "MUG"), ["MUG-2", "MUG", "MUG-3", "MUG-4"]),
            (("MUG-2", "MUG-2", "MUG", "MUG"), ["MUG-2", "MUG-2-2", "MUG", "MUG-3"]),
            (
                ("a", "a", "a-2-2", "a-2", "a-2"),
                ["a", "a-3", "a-2-2", "a-2", "a-2-3"],
            ),
        ]
        for names, found in table:
            with self.subTest(names=names):
                assert self.identifiers(*names) == found

    def test_numbered_lines_keep_their_values(self):
        line = {"identifier": "a", "total": 5, "quantity": 2, "category": ["x"]}

        report = make_report(line_items=[line, line])

        assert report.as_payload()["line_items"] == [line, line | {"identifier": "a-2"}]

    def test_thousands_of_equal_lines(self):
        names = self.identifiers(*["MUG"] * 10_000)

        assert len(set(names)) == 10_000
        assert names[-1] == "MUG-10000"


class LinesTotalTests(SimpleTestCase):
    def report(self, **values):
        return OrderReport(
            order_id="1", total=7000, currency="USD", purchase_date=PURCHASED, **values
        )

    def test_sum(self):
        lines = [
            LineItem(identifier="MUG", amount=1500, quantity=2),
            {"identifier": "TEA", "total": 4500},
            LineItem(identifier="VOUCHER", total=-500),
        ]

        assert self.report(line_items=lines).lines_total == 7000

    def test_free_sample(self):
        line = LineItem(identifier="SAMPLE", total=0)
        assert self.report(line_items=[line]).lines_total == 0

    def test_without_lines(self):
        for lines in ((), [], None):
            with self.subTest(lines=lines):
                assert self.report(line_items=lines).lines_total is None

    def test_is_not_sent(self):
        report = self.report(line_items=[LineItem(identifier="MUG", total=1)])

        assert "lines_total" not in {*report.as_payload(), *report.as_fields()}


class PayloadTests(SimpleTestCase):
    def test_without_token(self):
        payload = make_report(btn_ref="srctok-1").as_payload()

        assert "btn_ref" not in without_btn_ref(payload)
        assert payload["btn_ref"] == "srctok-1"

    def test_is_strict_json(self):
        report = make_report(customer={"id": "é"}, customer_order_id="\U0001f600")

        text = json.dumps(report.as_payload(), allow_nan=False)

        assert json.loads(text) == report.as_payload()

    def test_no_flag_by_default(self):
        assert "total_as_decimal" not in make_report().as_payload()


class DecimalPayloadTests(SimpleTestCase):
    def payload(self, **values):
        payload = with_decimals(make_report(**values).as_payload())
        return json.loads(json.dumps(payload))

    def test_flag(self):
        assert self.payload()["total_as_decimal"] is True

    def test_by_currency(self):
        table = [
            (1234, "USD", "12.34"),
            (0, "USD", "0.0"),
            (10, "USD", "0.1"),
            (INT32_MAX, "USD", "21474836.47"),
            (1234, "JPY", "1234"),
            (1234, "KWD", "1.234"),
            (INT32_MAX, "KWD", "2147483.647"),
            (INT32_MAX, "CLF", "214748.3647"),
        ]
        for total, currency, text in table:
            with self.subTest(total=total, currency=currency):
                payload = self.payload(total=total, currency=currency)

                assert json.dumps(payload["total"]) == text

    def test_lines(self):
        line = LineItem(identifier="a", total=-3000, amount=-1500, quantity=2)

        payload = self.payload(line_items=[line])

        assert payload["line_items"] == [
            {"identifier": "a", "total": -30.0, "amount": -15.0, "quantity": 2}
        ]

    def test_attributes_called_total_are_left_alone(self):
        line = LineItem(identifier="a", total=1, attributes={"total": "1"})

        payload = self.payload(line_items=[line])

        assert payload["line_items"][0]["attributes"] == {"total": "1"}


class DigestTests(SimpleTestCase):
    def test_is_stable(self):
        """Digests are stored: a new one would make every order be reported again."""
        assert make_report().digest() == (
            "bed21a12ffbb1f93d3f41033bd6fd2714b0093b99ddb93e4adbc6e8c4e26398f"
        )

    def test_token_does_not_count(self):
        assert make_report(btn_ref="srctok-1").digest() == make_report().digest()

    def test_ways_to_say_the_same(self):
        same = [
            make_report(customer={"id": "1", "is_new": True}, line_items=None),
            make_report(customer={"is_new": True, "id": "1"}, line_items=[]),
            make_report(customer=Customer(id="1", is_new=True), btn_ref=None),
            make_report(
                customer=Customer(id="1", is_new=True),
                purchase_date=PURCHASED.astimezone(hours(-4)),
            ),
        ]

        assert len({report.digest() for report in same}) == 1

    def test_every_field_counts(self):
        changes = [
            {},
            {"order_id": "1995"},
            {"total": 6999},
            {"currency": "EUR"},
            {"purchase_date": PURCHASED + timedelta(seconds=1)},
            {"customer_order_id": "42"},
            {"customer": {"id": "1"}},
            {"customer": {"is_new": False}},
            {"line_items": [LineItem(identifier="a", total=1)]},
            {"line_items": [LineItem(identifier="a", total=1, quantity=1)]},
            {"partner_order_channel": "app"},
            {"finalization_date": PURCHASED},
        ]

        digests = {make_report(**change).digest() for change in changes}

        assert len(digests) == len(changes)
        assert {len(digest) for digest in digests} == {64}

    def test_halves(self):
        def digest(**change):
            return make_report(**change).digest()

        jane, none = digest(customer={"id": "jane"}), digest()

        assert is_same_order(jane, none)
        assert is_same_order(jane, digest(customer={"id": "ada"}))
        assert not is_same_order(jane, digest(customer={"id": "jane"}, total=1))
        for known in (jane, none):
            marked = with_refused_customer(known)
            assert is_customer_refused(marked)
            assert not is_customer_refused(known)
            assert is_same_order(marked, known)
            assert len(marked) == 64


class AsFieldsTests(SimpleTestCase):
    def test_round_trip(self):
        report = make_report(
            btn_ref="srctok-1",
            customer=Customer(id="1", email=EMAIL),
            line_items=[LineItem(identifier="a", total=1, category=["b"])],
        )

        again = OrderReport(**report.as_fields())

        assert again == report
        assert again.digest() == report.digest()

    def test_plain_values(self):
        fields = make_report(customer={"id": "1"}).as_fields()

        assert fields["customer"] == {"id": "1"}
        assert fields["line_items"] == []
        assert fields["purchase_date"] == PURCHASED
        assert make_report().as_fields()["customer"] is None


class RedactEmailTests(SimpleTestCase):
    def test_replaced(self):
        table = [
            (EMAIL, "[e-mail]"),
            (f"KeyError: '{EMAIL}'", "KeyError: [e-mail]"),
            (quote(EMAIL), "[e-mail]"),
            (f"{EMAIL} and jane@example.org", "[e-mail] and [e-mail]"),
            ("no address @ all", "no address @ all"),
            ("", ""),
        ]
        for text, redacted in table:
            with self.subTest(text=text):
                assert redact_email(text) == redacted

    def test_no_part_remains(self):
        for text in ("<a@b.example>", "x=a%40b.example&y=c%40d.example"):
            with self.subTest(text=text):
                redacted = redact_email(text)

                assert "b" not in redacted
                assert "example" not in redacted

    def test_long_text_without_spaces(self):
        """Errors may quote answers of 64 KiB, and must be redacted within a lease."""
        start = time.monotonic()

        redact_email("a" * 400_000)

        # Quadratic time would be many minutes.
        assert time.monotonic() - start < 20
