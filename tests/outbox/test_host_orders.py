from __future__ import annotations

from unittest.mock import patch

import responses
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import TestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders import suppress_reporting
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import get_adapter
from django_button_orders.outbox.host_orders import HostOrders
from tests.shop.models import Order, OrderLine
from tests.utils import add_answer, button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class HostOrdersTests(TestCase):
    def place(self, count):
        for number in range(count):
            order = Order.objects.create(number=f"{number}")
            OrderLine.objects.create(order=order, sku="sku-1", price="12.50")
        return list(ButtonOrder.objects.order_by("pk"))

    def test_as_many_queries_for_many_as_for_few(self):
        self.place(12)
        counts = []
        for count in (4, 12):
            rows = ButtonOrder.objects.all()[:count]
            with CaptureQueriesContext(connection) as queries:
                hosts = HostOrders(rows)
            assert len(hosts.cache) == count
            counts.append(len(queries))

        assert counts[0] == counts[1]

    def test_one_that_is_gone(self):
        rows = self.place(3)
        with suppress_reporting():
            Order.objects.filter(number="1").delete()
        hosts, adapter = HostOrders(rows), get_adapter(Order)

        found = [hosts.find(adapter, row) for row in rows]

        assert [getattr(order, "number", None) for order in found] == ["0", None, "2"]

    @responses.activate
    def test_key_that_is_none_takes_the_blame_alone(self):
        add_answer("POST")
        self.place(3)
        create_row(
            order_id="odd",
            source_type=ContentType.objects.get_for_model(Order),
            source_id="no number",
        )

        with self.assertLogs("django_button_orders", "WARNING"):
            outcomes = report_due(using="default")

        assert outcomes == {"reported": 3, "failed": 1}
        assert ButtonOrder.objects.failed().get().order_id == "odd"

    @responses.activate
    def test_adapter_whose_queryset_fails(self):
        self.place(3)
        adapter = get_adapter(Order)

        with (
            patch.object(type(adapter), "get_queryset", side_effect=ZeroDivisionError),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            outcomes = report_due(using="default")

        assert outcomes == {"failed": 3}
        assert "get_queryset" in ButtonOrder.objects.first().last_error
