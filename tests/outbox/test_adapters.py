from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db.models.query import QuerySet
from django.test import SimpleTestCase

from django_button_orders import OrderAdapter, register
from django_button_orders.outbox.adapters import (
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
        """The way admin.py is found: tests.shop.button_orders was imported."""
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
