from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum

from django.db.models import Case, CharField, F, IntegerChoices, TextChoices, Value
from django.db.models.functions import Cast, Concat
from django.test import TestCase, override_settings
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from django_button_orders import suppress_reporting
from django_button_orders.outbox.stored import as_stored, is_as_stored, keeps
from tests.shop.models import Booking, GiftOrder, Order, OrderLine

NOON = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


class Place(TextChoices):
    EU = "eu"


class Size(IntegerChoices):
    TWO = 2


class PlainPlace(str, Enum):
    EU = "eu"


class Amount:
    """A value that only the field of another package knows."""


class LowerField(CharField):
    """A field of the shop's own, which keeps text in lower case."""

    def to_python(self, value):
        return super().to_python(value).lower()


class StoredTests(TestCase):
    databases = {"default", "archive"}

    def test_usual_values(self):
        for values in (
            {},
            {"total": 7},
            {"total": Decimal("7.5")},
            {"total": Decimal("7.505")},
            {"total": Amount()},
            {"number": mark_safe("42")},
            {"account": Place.EU},
            {"placed_at": NOON},
            {"customer_id": 7},
            {"number": None},
        ):
            with self.subTest(values=values):
                # The second look goes by the type.
                assert is_as_stored(Order(**values))
                assert is_as_stored(Order(**values))
        assert is_as_stored(OrderLine(quantity=Size.TWO))
        assert is_as_stored(GiftOrder(message="Many happy returns"))

    def test_values_that_the_field_normalises(self):
        for values in (
            {"id": uuid.uuid4().hex},
            {"number": 42},
            {"number": gettext_lazy("Order")},
            {"account": PlainPlace.EU},
            {"total": "7"},
            {"total": 7.5},
            {"total": Decimal("7.5055")},
            {"total": "a lot"},
            {"placed_at": date(2026, 11, 1)},
            {"placed_at": "2026-11-01T12:00Z"},
            {"placed_at": NOON.replace(tzinfo=None)},
            {"placed_at": NOON.astimezone(timezone(timedelta(hours=-6)))},
            {"is_paid": 1},
            {"is_paid": "on"},
            {"customer_id": "7"},
        ):
            with self.subTest(values=values):
                assert not is_as_stored(Order(**values))
                assert not is_as_stored(Order(**values))
        assert not is_as_stored(OrderLine(quantity=True))
        assert not is_as_stored(OrderLine(quantity="2"))
        assert not is_as_stored(GiftOrder(order_ptr_id=uuid.uuid4().hex))

    def test_expressions(self):
        for values in (
            {"total": F("total") + 1},
            {"number": Concat(Value("R-"), Cast("pk", CharField()))},
            {"is_paid": Case(default=Value(True))},
        ):
            with self.subTest(values=values):
                assert not is_as_stored(Order(**values))

    def test_field_that_changes_some_values(self):
        field = LowerField()
        usual = set()

        assert keeps(field, "ab1", usual)
        assert not keeps(field, "aB1", usual)
        assert not keeps(field, 7, usual)
        assert usual == set()

    @override_settings(USE_TZ=False)
    def test_moments_without_time_zones(self):
        assert is_as_stored(Order(placed_at=NOON.replace(tzinfo=None)))
        assert not is_as_stored(Order(placed_at=NOON))

    def test_generated_field_of_a_save_before(self):
        booking = Booking.objects.create(number="a")
        assert is_as_stored(booking, is_new=True)
        booking = Booking.objects.get()
        assert booking.label == "A"
        booking.number = "b"

        booking.save()

        assert as_stored(booking, using="default").label == "B"

    def test_deferred_fields_stay_deferred(self):
        with suppress_reporting():
            Order.objects.create(number="42")
        order = Order.objects.only("number").get()

        with self.assertNumQueries(0):
            assert as_stored(order, using="default") is order

    def test_read_anew(self):
        with suppress_reporting():
            gift = GiftOrder.objects.using("archive").create(number="42", total="7")

        found = as_stored(gift, using="archive")

        assert type(found) is GiftOrder
        assert (found.total, found._state.db) == (7, "archive")
        assert gift.total == "7"

    def test_gone(self):
        assert as_stored(Order(number=42), using="default") is None
