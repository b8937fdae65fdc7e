from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import patch

import pytest
import responses
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models.query import QuerySet
from django.test import SimpleTestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders import OrderAdapter, register, suppress_reporting
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import (
    HostOrders,
    find_adapter,
    follow,
    get_adapter,
    registered,
    unregister,
    watched_models,
    watched_paths,
)
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import GiftOrder, Order, OrderLine, Page, WebOrder
from tests.utils import add_answer, button_settings, create_row


class AdapterTestCase(SimpleTestCase):
    def register(self, *models, **values):
        values.setdefault("__module__", __name__)
        adapter_class = type("PageAdapter", (OrderAdapter,), values)
        for model in models:
            self.addCleanup(unregister, model)
        return register(*models)(adapter_class)


class DefaultTests(SimpleTestCase):
    adapter = OrderAdapter(Page)

    def test_hooks(self):
        page = Page(pk=42)

        assert self.adapter.get_order_id(page) == "42"
        assert self.adapter.get_account(page) == "default"
        assert self.adapter.is_reportable(page) is True
        assert self.adapter.is_cancelled(page) is False

    def test_options(self):
        assert self.adapter.date_field == ""
        assert self.adapter.watch == {}
        assert self.adapter.name == "OrderAdapter"

    def test_build_has_to_be_written(self):
        with pytest.raises(
            NotImplementedError, match=r"OrderAdapter must define build"
        ):
            self.adapter.build(Page())

    def test_queryset_is_of_the_model(self):
        queryset = self.adapter.get_queryset()

        assert isinstance(queryset, QuerySet)
        assert queryset.model is Page


class RegisterTests(AdapterTestCase):
    def test_returns_the_class(self):
        adapter_class = self.register(Page)

        assert isinstance(adapter_class, type)
        assert type(get_adapter(Page)) is adapter_class
        assert get_adapter(Page).model is Page

    def test_several_models(self):
        self.register(Page, OrderLine)

        assert get_adapter(Page).model is Page
        assert get_adapter(OrderLine).model is OrderLine

    def test_found_in_apps(self):
        """Django imports tests.shop.button_orders at start, as it imports admin.py."""
        assert [type(adapter) for adapter in registered()] == [ShopOrderAdapter]

    def test_nothing_named(self):
        with pytest.raises(ImproperlyConfigured, match=r"@register\(Order\)"):
            register()(ShopOrderAdapter)

    def test_taken(self):
        other = type("OtherAdapter", (OrderAdapter,), {})

        with pytest.raises(
            ImproperlyConfigured, match=r"shop.Order .* ShopOrderAdapter"
        ):
            register(Order)(other)

        assert type(get_adapter(Order)) is ShopOrderAdapter

    def test_taken_by_a_namesake(self):
        adapter_class = self.register(Page)

        with pytest.raises(ImproperlyConfigured, match="already"):
            self.register(Page, __module__="elsewhere")

        assert type(get_adapter(Page)) is adapter_class

    def test_same_module_again(self):
        """A module may be imported under two names, or reloaded."""
        self.register(Page)
        self.register(Page)

        assert get_adapter(Page).name == "PageAdapter"

    def test_unregister(self):
        self.register(Page)

        unregister(Page)
        unregister(Page)

        assert find_adapter(Page) is None


class FindAdapterTests(AdapterTestCase):
    def test_proxy_and_child(self):
        for model in (Order, WebOrder, GiftOrder):
            with self.subTest(model=model):
                assert type(find_adapter(model)) is ShopOrderAdapter
                assert type(get_adapter(model)) is ShopOrderAdapter

    def test_nearest_wins(self):
        adapter_class = self.register(GiftOrder)

        assert type(find_adapter(GiftOrder)) is adapter_class
        assert type(find_adapter(Order)) is ShopOrderAdapter

    def test_none(self):
        assert find_adapter(Page) is None
        with pytest.raises(ImproperlyConfigured, match=r"for shop\.Page"):
            get_adapter(Page)


class WatchTests(AdapterTestCase):
    def test_paths(self):
        assert watched_paths(OrderLine) == ["order"]
        assert watched_paths(Page) == []
        assert watched_paths(Order) == []

    def test_of_two_adapters(self):
        self.register(Page, watch={"shop.OrderLine": "order__page"})

        assert watched_paths(OrderLine) == ["order", "order__page"]

    def test_child_of_a_watched_model(self):
        self.register(Page, watch={Order: "page"})

        assert watched_paths(GiftOrder) == ["page"]

    def test_names(self):
        adapter_class = self.register(watch={"shop.OrderLine": "a", Page: "b"})

        watched = dict(watched_models(adapter_class(Order)))

        assert watched == {OrderLine: "a", Page: "b"}

    def register(self, *models, **values):
        if models:
            return super().register(*models, **values)
        return type("PageAdapter", (OrderAdapter,), values)


class FollowTests(SimpleTestCase):
    def test_path(self):
        refund = SimpleNamespace(line=SimpleNamespace(order="order"))

        assert follow(refund, "line__order") == "order"
        assert follow(refund.line, "order") == "order"

    def test_leads_nowhere(self):
        assert follow(SimpleNamespace(line=None), "line__order") is None
        assert follow(SimpleNamespace(order=None), "order") is None

    def test_misspelt(self):
        with pytest.raises(AttributeError):
            follow(SimpleNamespace(order=1), "ordr")


@override_settings(BUTTON_ORDERS=button_settings())
class HostOrdersTests(TransactionTestCase):
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
    def test_adapter_whose_queryset_locks(self):
        """Its orders are read outside of a transaction, where nothing can be locked."""
        add_answer("POST")
        self.place(3)
        adapter = get_adapter(Order)

        with patch.object(
            type(adapter),
            "get_queryset",
            lambda self: Order.objects.select_for_update(),
        ):
            assert report_due(using="default") == {"reported": 3}

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
