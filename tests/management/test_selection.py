from __future__ import annotations

from django.test import TestCase

from django_button_orders.management.options.selection import pages
from django_button_orders.models import ButtonOrder


class PageTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        ButtonOrder.objects.bulk_create(
            (ButtonOrder(order_id=f"{number}") for number in range(20_000)),
            batch_size=1000,
        )
        cls.keys = list(ButtonOrder.objects.order_by("pk").values_list("pk", flat=True))

    def test_each_row_once(self):
        for limit, queries in (
            (None, 3),
            (20_001, 3),
            (20_000, 2),
            (10_001, 2),
            (10_000, 1),
            (501, 1),
            (0, 0),
        ):
            with self.subTest(limit=limit), self.assertNumQueries(queries):
                found = list(pages(ButtonOrder.objects.all(), limit))

                assert [key for page in found for key in page] == self.keys[:limit]
                assert all(len(page) <= 500 for page in found)

    def test_rows_that_leave_the_selection(self):
        seen = []
        for page in pages(ButtonOrder.objects.pending(), None):
            ButtonOrder.objects.filter(pk__in=page).update(status="failed")
            seen += page

        assert seen == self.keys
