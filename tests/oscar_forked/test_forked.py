"""A shop that has forked Oscar's order app, and keeps the token in a field of it."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test import RequestFactory, TestCase
from django.test.utils import CaptureQueriesContext
from oscar.core.loading import get_class, get_model
from oscar.test import factories

from django_button_orders.middleware import SESSION_KEY
from django_button_orders.models import AttributionToken
from django_button_orders.outbox.adapters import get_adapter
from tests.oscar.utils import Shopper, create_customer, create_product
from tests.oscar_forked.order import models, utils

Order = get_model("order", "Order")
OrderCreator = get_class("order.utils", "OrderCreator")
Selector = get_class("partner.strategy", "Selector")

TOKEN = "srctok-" + "t" * 20


class ForkedOrderTests(TestCase):
    databases = {"default", "archive"}

    def place(self, *, user=None, visitor=None, **kwargs):
        request = RequestFactory().get("/")
        request.user = visitor or AnonymousUser()
        request.session = {SESSION_KEY: TOKEN}
        basket = factories.create_basket(empty=True)
        basket.strategy = Selector().strategy(user=user)
        basket.add_product(create_product())
        return factories.create_order(
            basket=basket, user=user, request=request, **kwargs
        )

    def test_oscar_loads_the_fork(self):
        assert Order is models.Order
        assert OrderCreator is utils.OrderCreator

    def test_options_of_oscars_order_stay(self):
        assert Order._meta.ordering == ["-date_placed"]

    def test_token_is_in_the_field(self):
        with CaptureQueriesContext(connection) as queries:
            order = Shopper(btn_ref=TOKEN).buy(create_product())

        assert Order.objects.get().btn_ref == TOKEN
        assert get_adapter(Order).get_btn_ref(order) == TOKEN
        table = AttributionToken._meta.db_table
        assert not any(table in query["sql"] for query in queries)

    def test_no_token(self):
        assert Shopper(btn_ref="").buy(create_product()).btn_ref == ""

    def test_request_of_the_caller(self):
        assert self.place(user=create_customer()).btn_ref == TOKEN

    def test_by_staff_for_a_customer(self):
        staff = get_user_model().objects.create_user("staff", is_staff=True)

        assert self.place(user=create_customer(), visitor=staff).btn_ref == ""
        assert AttributionToken.objects.count() == 0

    def test_token_of_the_caller_comes_first(self):
        assert self.place(btn_ref="srctok-2").btn_ref == "srctok-2"

    def test_order_without_checkout(self):
        assert factories.create_order().btn_ref == ""

    def test_created_without_the_order_creator(self):
        """A shop may forget that mixin, and its tokens are kept all the same."""
        basket = self.place().basket
        basket.strategy.request = RequestFactory().get("/")
        basket.strategy.request.session = {SESSION_KEY: TOKEN}

        order = Order.objects.create(
            number="7", basket=basket, total_incl_tax=20, total_excl_tax=20
        )

        assert order.btn_ref == ""
        assert get_adapter(Order).get_btn_ref(order) == TOKEN
