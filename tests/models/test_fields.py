from __future__ import annotations

import json
from collections import OrderedDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import F, JSONField, Value
from django.test import TestCase, override_settings
from django.utils.translation import gettext_lazy

from django_button_orders import Customer, LineItem
from django_button_orders.models import ButtonOrder
from django_button_orders.models.fields import (
    AwareDateTimeField,
    ExactCharField,
    MinorUnitsField,
    StrictCharField,
    StrictJSONField,
)
from tests.utils import PURCHASED, button_settings, create_row


class FieldTestCase(TestCase):
    def refuse(self, prepare, *values):
        for value in values:
            with self.subTest(value=value):
                with pytest.raises(ValidationError) as caught:
                    prepare(value)

                assert list(caught.value.message_dict) == ["it"]


class MinorUnitsFieldTests(FieldTestCase):
    field = MinorUnitsField(name="it", null=True)

    def test_form_input(self):
        for value, cleaned in (
            (12, 12),
            ("12", 12),
            ("-5", -5),
            (" 7 ", 7),
            (None,) * 2,
        ):
            with self.subTest(value=value):
                assert self.field.to_python(value) == cleaned

    def test_wrong_form_input(self):
        refused = ["12.5", "", "1e3", "x", "NaN", "9" * 5000, True, 12.0, Decimal(12)]
        for value in [*refused, Fraction(12), b"12", [12]]:
            with self.subTest(value=value), pytest.raises(ValidationError):
                self.field.to_python(value)

    def test_saved(self):
        for value in (0, 12, -12, None):
            with self.subTest(value=value):
                assert self.field.get_prep_value(value) == value

    def test_not_saved(self):
        numbers = [True, False, 12.0, 12.5, float("nan"), Decimal(12), Decimal("12.5")]

        self.refuse(self.field.get_prep_value, *numbers)

    def test_fraction_is_not_saved(self):
        self.refuse(self.field.get_prep_value, Fraction(25, 2))

    def test_beyond_the_column(self):
        def prepare(value):
            return self.field.get_db_prep_save(value, connection)

        assert prepare(2**63 - 1) == 2**63 - 1
        assert prepare(-(2**63)) == -(2**63)
        self.refuse(prepare, 2**63, -(2**63) - 1, 2**70, str(2**70), "x", [1], b"1")

    def test_error_says_what_to_do(self):
        with pytest.raises(
            ValidationError, match="minor units, not a value of type fl"
        ):
            self.field.to_python(12.5)


class AwareDateTimeFieldTests(FieldTestCase):
    field = AwareDateTimeField(name="it", null=True)

    def prepare(self, value):
        return self.field.get_db_prep_save(value, connection)

    def test_saved(self):
        text = "2026-11-01T12:00:00Z"
        for value in (None, PURCHASED, text):
            with self.subTest(value=value):
                expected = PURCHASED if value == text else value

                assert self.field.get_prep_value(value) == expected

    def test_naive(self):
        naive = [datetime(2026, 11, 1, 12), "2026-11-01T12:00:00", "2026-11-01 12:00"]

        self.refuse(self.prepare, *naive)

    def test_date(self):
        self.refuse(self.prepare, date(2026, 11, 1))

    def test_beyond_the_calendar(self):
        self.refuse(
            self.prepare,
            datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        )

    def test_column_of_the_app(self):
        """An operator may make rows due with update(next_attempt_at="2020-01-01")."""
        field = AwareDateTimeField(name="it", editable=False)

        with pytest.warns(RuntimeWarning, match="naive"):
            assert field.get_db_prep_save("2020-01-01", connection)

    def test_another_type(self):
        values = (1234567, 1.5, True, b"2026", ["2026"])

        self.refuse(self.prepare, *values)
        self.refuse(self.field.get_prep_value, *values)

    @override_settings(USE_TZ=False)
    def test_date_without_time_zones(self):
        self.refuse(self.prepare, date(2026, 11, 1), 1234567)

    def test_not_a_date(self):
        for value in ("yesterday", "2026-13-01T00:00:00Z"):
            with self.subTest(value=value), pytest.raises(ValidationError):
                self.prepare(value)

    @override_settings(USE_TZ=False)
    def test_project_without_time_zones(self):
        naive = datetime(2026, 11, 1, 12)

        assert self.field.get_prep_value(naive) == naive
        # In America/Chicago, the project's time zone, it is six hours earlier.
        aware = datetime(2026, 11, 1, 18, tzinfo=timezone.utc)
        assert self.field.get_prep_value(aware) == naive


class StrictCharFieldTests(FieldTestCase):
    field = StrictCharField(name="it", max_length=5, null=True)

    def prepare(self, value):
        return self.field.get_db_prep_save(value, connection)

    def test_saved(self):
        for value in ("", "12345", "é" * 5, "\U0001f600", None):
            with self.subTest(value=value):
                assert self.prepare(value) == value

    def test_not_saved(self):
        self.refuse(self.prepare, "123456", "a\0", "\ud800")

    def test_no_text(self):
        self.refuse(self.prepare, 5, 1.5, True, b"a", ["a"], {}, PURCHASED, Decimal(1))

    def test_required(self):
        field = StrictCharField(name="it", max_length=5)

        self.refuse(lambda value: field.get_db_prep_save(value, connection), None)

    def test_translated_text(self):
        assert self.prepare(gettext_lazy("Date")) == "Date"

    def test_error_does_not_tell(self):
        with pytest.raises(ValidationError) as caught:
            self.prepare("secret")

        assert "secret" not in str(caught.value)


class ExactCharFieldTests(FieldTestCase):
    field = ExactCharField(name="it", max_length=5)

    def prepare(self, value):
        return self.field.get_db_prep_save(value, connection)

    def test_keys(self):
        for value, saved in (("a", "a"), (5, "5"), (0, "0"), (-7, "-7"), (2**9, "512")):
            with self.subTest(value=value):
                assert self.prepare(value) == saved

    def test_no_keys(self):
        self.refuse(self.prepare, None, True, 1.0, float("nan"), b"5", [5], 123456)


def bare(prepared):
    """Return a JSON value without the wrapper of PostgreSQL's driver."""
    # psycopg 3 and psycopg2 each wrap it in another way.
    prepared = getattr(prepared, "obj", getattr(prepared, "adapted", prepared))
    return json.loads(json.dumps(prepared))


class StrictJSONFieldTests(FieldTestCase):
    field = StrictJSONField(name="it", null=True)

    def prepare(self, value):
        return bare(self.field.get_db_prep_save(value, connection))

    def test_same_as_the_stock_field(self):
        values = [None, {}, [], {"id": "é\U0001f600"}, [{"total": -1}], 0, "", False]
        for value in [*values, ({"a": 1},), OrderedDict(a=1), {"a\\b": '"'}]:
            with self.subTest(value=value):
                expected = bare(JSONField().get_db_prep_save(value, connection))

                assert self.prepare(value) == expected

    def test_value_objects(self):
        customer = Customer(id="u-77", is_new=False)
        line = LineItem(identifier="a", total=1, category=["b"])

        assert self.prepare(customer) == self.prepare(customer.as_dict())
        assert self.prepare([line]) == self.prepare([line.as_dict()])
        assert self.prepare((line,)) == self.prepare([line.as_dict()])

    def test_numbers_that_json_does_not_know(self):
        for number in (float("nan"), float("inf"), -float("inf")):
            self.refuse(self.prepare, number, {"a": number}, [[{"a": number}]])

    def test_text_that_a_database_cannot_keep(self):
        for text in ("\0", "a\0b", "\ud800"):
            self.refuse(self.prepare, text, {"a": [text]}, {text: 1}, [text])

    def test_not_json(self):
        self.refuse(
            self.prepare, {"a": Decimal(1)}, {1}, {"a": PURCHASED}, b"a", {(): 1}
        )

    def test_endless(self):
        endless, deep = [], []
        endless.append(endless)
        for _ in range(100_000):
            deep = [deep]

        shared = endless[:] * 2
        shared.append(shared)
        around = {}
        around["it"] = [around]

        self.refuse(self.prepare, endless, deep, shared, around, {"it": deep})

    def test_deeper_than_every_database_reads(self):
        """MariaDB reads 32 levels of JSON, and MySQL 100."""
        value = 1
        for _ in range(30):
            value = [value]

        assert self.prepare(value) in (value, json.dumps(value))
        self.refuse(self.prepare, [value])

    def test_backslash_is_not_a_null_character(self):
        value = {"path": "C:\\u0000"}

        assert self.prepare(value) == bare(
            JSONField().get_db_prep_save(value, connection)
        )


@override_settings(BUTTON_ORDERS=button_settings())
class SavedRowTests(TestCase):
    def test_json_in_bulk_update(self):
        row = create_row()
        row.customer, row.line_items = {"id": "u-77"}, [{"identifier": "a", "total": 1}]

        ButtonOrder.objects.bulk_update([row], ["customer", "line_items"])

        row = ButtonOrder.objects.get()
        assert row.customer == {"id": "u-77"}
        assert row.line_items == [{"identifier": "a", "total": 1}]

    def test_no_address_is_kept(self):
        row = create_row(
            customer={"email": "Jane@shop.test", "id": ["a jane@shop.test", 7]}
        )
        hashed = Customer(email="jane@shop.test")
        other = create_row(order_id="2", customer=hashed)

        row.refresh_from_db()
        other.refresh_from_db()
        assert row.customer == {"email": "[e-mail]", "id": ["a [e-mail]", 7]}
        assert other.customer == hashed.as_dict()

    def test_json_expressions(self):
        create_row(customer={"id": "u-77"}, line_items=[])

        # MySQL evaluates later assignments with the new values of earlier ones.
        ButtonOrder.objects.update(line_items=F("customer"))
        ButtonOrder.objects.update(customer=Value({"id": "u-78"}, JSONField()))

        row = ButtonOrder.objects.get()
        assert row.customer == {"id": "u-78"}
        assert row.line_items == {"id": "u-77"}

    def test_bad_json_in_bulk_update(self):
        row = create_row()
        row.customer = {"id": float("nan")}

        with pytest.raises(ValidationError):
            ButtonOrder.objects.bulk_update([row], ["customer"])

    def test_other_fields_in_bulk_update(self):
        row = create_row()
        row.total, row.currency, row.purchase_date = 1, "EUR", PURCHASED

        ButtonOrder.objects.bulk_update([row], ["total", "currency", "purchase_date"])

        row = ButtonOrder.objects.get()
        assert (row.total, row.currency) == (1, "EUR")
