from __future__ import annotations

from datetime import datetime, timedelta, timezone

from django.contrib.auth.models import User
from django.db import connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders.models.keyset import Keyset
from tests.shop.models import GiftOrder, Order

FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)


class KeysetTests(TestCase):
    def walk(self, keyset, size=3):
        """Read all pages by stored positions, as separate runs do."""
        found, position = [], ""
        while page := keyset.page(position, size):
            assert len(page) <= size
            found += page
            position = keyset.position_of(page[-1])
        return found

    def place(self, moments):
        Order.objects.bulk_create(
            Order(number=f"{at}", placed_at=moment) for at, moment in enumerate(moments)
        )

    def test_by_key(self):
        users = User.objects.bulk_create(User(username=f"{at}") for at in range(10))

        assert self.walk(Keyset(objects=User.objects.all())) == users

    def test_newest_first(self):
        users = User.objects.bulk_create(User(username=f"{at}") for at in range(10))

        found = self.walk(Keyset(objects=User.objects.all(), names=("-pk",)))

        assert found == users[::-1]

    def test_uuids(self):
        self.place([FIRST] * 10)

        found = self.walk(Keyset(objects=Order.objects.all()))

        assert found == list(Order.objects.order_by("pk"))

    def test_key_that_is_a_relation(self):
        for number in range(5):
            GiftOrder.objects.create(number=f"{number}")

        found = self.walk(Keyset(objects=GiftOrder.objects.all()), size=2)

        assert found == list(GiftOrder.objects.order_by("pk"))

    def test_by_date(self):
        # The latest orders have neither the highest keys nor a date of their own.
        self.place([FIRST + timedelta(microseconds=at % 4) for at in range(30)])

        for zone in (True, False):
            with self.subTest(USE_TZ=zone), override_settings(USE_TZ=zone):
                keyset = Keyset(objects=Order.objects.all(), names=("placed_at", "pk"))

                found = self.walk(keyset, size=4)

                assert found == list(Order.objects.order_by("placed_at", "pk"))

    def test_as_many_queries_as_pages(self):
        self.place([FIRST] * 4)
        keyset = Keyset(objects=Order.objects.all())

        with CaptureQueriesContext(connection) as queries:
            self.walk(keyset, size=2)

        assert len(queries) == 3

    def test_pages_of_a_queryset_that_changes(self):
        users = User.objects.bulk_create(User(username=f"{at}") for at in range(10))
        found = []

        for page in Keyset(User.objects.filter(is_staff=False)).pages(3):
            found.append(page)
            User.objects.filter(pk__in=[user.pk for user in page]).update(is_staff=True)

        assert found == [users[:3], users[3:6], users[6:9], users[9:]]

    def test_pages_of_named_values(self):
        User.objects.bulk_create(User(username=f"{at}") for at in range(3))
        values = User.objects.values_list("pk", "username", named=True)

        pages = Keyset(values, ("-pk",)).pages(2)

        assert [[row.username for row in page] for page in pages] == [["2", "1"], ["0"]]

    def test_key_pages_by_date(self):
        self.place([FIRST + timedelta(microseconds=at % 4) for at in range(10)])

        pages = list(Keyset(Order.objects.all(), ("placed_at", "pk")).key_pages(4))

        ordered = list(Order.objects.order_by("placed_at", "pk"))
        assert pages == [
            [order.pk for order in ordered[at : at + 4]] for at in (0, 4, 8)
        ]

    def test_limit(self):
        User.objects.bulk_create(User(username=f"{at}") for at in range(9))
        for limit, sizes in ((0, []), (2, [2]), (3, [3]), (7, [3, 3, 1])):
            with self.subTest(limit=limit), CaptureQueriesContext(connection) as log:
                pages = list(Keyset(User.objects.all()).key_pages(3, limit=limit))

                assert [len(page) for page in pages] == sizes
                assert len(log) == len(sizes)
