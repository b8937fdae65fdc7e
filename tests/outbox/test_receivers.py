from __future__ import annotations

import pytest
from django.core import serializers
from django.test import TestCase, override_settings

from django_button_orders import suppress_reporting
from django_button_orders.models import ButtonOrder
from tests.shop.models import Order, OrderLine, Page
from tests.utils import button_settings

rows = ButtonOrder.objects


@override_settings(BUTTON_ORDERS=button_settings())
class ReceiverTests(TestCase):
    def test_other_models_are_deleted_as_fast_as_ever(self):
        """A receiver of ``post_delete`` would make Django load each object."""
        for number in range(3):
            Page.objects.create(title=f"{number}")

        with self.assertNumQueries(1):
            Page.objects.all().delete()

    def test_fixture(self):
        order = Order(number="42")
        dump = serializers.serialize("json", [order, OrderLine(order=order, price=1)])

        for loaded in serializers.deserialize("json", dump):
            loaded.save()

        assert Order.objects.exists()
        assert not rows.exists()

    def test_suppressed(self):
        with suppress_reporting():
            order = Order.objects.create(number="42")
        assert not rows.exists()

        order.save()

        assert rows.exists()

    def test_suppressed_after_an_error(self):
        with pytest.raises(RuntimeError), suppress_reporting():
            raise RuntimeError

        Order.objects.create(number="42")

        assert rows.exists()

    def test_suppressed_deletion(self):
        order = Order.objects.create(number="42")
        line = OrderLine.objects.create(order=order, sku="a", price=1)
        revision = rows.get().revision

        with suppress_reporting():
            line.delete()

        assert rows.get().revision == revision
