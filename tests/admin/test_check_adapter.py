from __future__ import annotations

from unittest import mock

from django.contrib.auth.models import User
from django.db import connection
from django.test import override_settings
from django.urls import reverse

from django_button_orders.models import ButtonOrder
from tests.admin.utils import LIST_URL, AdminTestCase, page_url, text_of
from tests.management.test_reconcile import registered_only
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import Order, OrderLine
from tests.utils import button_settings, create_row, refuse_query

URL = reverse("admin:django_button_orders_buttonorder_check_adapter")


class CheckTestCase(AdminTestCase):
    databases = {"default", "archive"}

    def place(self, number="1995", **values):
        order = Order.objects.create(**{"number": number, **values})
        price = values.get("total", 70)
        OrderLine.objects.create(order=order, sku="MUG", price=price)
        return order

    def check(self):
        response = self.client.get(URL)
        assert response.status_code == 200
        self.html = response.content.decode()
        return text_of(response)


class PageTests(CheckTestCase):
    def test_counts_and_shares(self):
        self.place("1", btn_ref="srctok-1", email="ada@shop.com")
        self.place("2", btn_ref="srctok-2")
        self.place("3", is_paid=False)
        self.place("4", is_cancelled=True)
        text = self.check()

        assert "Reports that were built: 2" in text
        assert "Reports that could not be built: 0" in text
        assert "Orders that are not reportable: 1" in text
        assert "Cancelled orders: 1" in text
        assert "Attribution token 2 100.0 %" in text.replace("\xa0", " ")

    def test_a_finding(self):
        order = self.place("1995", trouble="build")
        row = ButtonOrder.objects.get(order_id="1995")
        text = self.check()

        assert "Wrong The report cannot be built." in text
        assert "ShopOrderAdapter.build: TroubleError at " in text
        assert "1 order: 1995" in text
        assert "Correct the adapter." in text
        assert f'<a href="{page_url(row)}">1995</a>' in self.html
        assert str(order.pk) not in text

    def test_many_orders(self):
        for number in range(5):
            self.place(f"A-{number}", trouble="build")

        assert "5 orders: A-4 , A-3 , A-2 , …" in self.check()

    def test_an_order_without_a_row(self):
        self.place("1995", trouble="build")
        ButtonOrder.objects.all().delete()

        assert "1 order: 1995" in self.check()
        assert ">1995</a>" not in self.html

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {}}))
    def test_two_accounts_have_the_id(self):
        """The finding does not say which of them it is."""
        self.place("1995", trouble="build")
        create_row(order_id="1995", account="eu")

        assert "1 order: 1995" in self.check()
        assert ">1995</a>" not in self.html

    def test_an_error_that_quotes_the_customer(self):
        with mock.patch.object(ShopOrderAdapter, "words", "for ada@shop.com"):
            self.place("1995", email="ada@shop.com", trouble="build")

            assert "ada@" not in self.check()

    def test_no_orders(self):
        text = self.check()

        assert "The shop has no orders yet." in text
        assert "Nothing is wrong" not in text

    def test_at_most_a_hundred_reports(self):
        Order.objects.bulk_create(
            Order(number=f"A-{number}", btn_ref=f"srctok-{number}")
            for number in range(120)
        )
        text = self.check()

        assert "the newest orders, at most 100, were built" in text
        assert "Reports that were built: 100" in text


class ReadOnlyTests(CheckTestCase):
    def test_nothing_is_written(self):
        """Not even what the adapter writes."""

        usual = ShopOrderAdapter.build

        def build(adapter, order):
            User.objects.get_or_create(username=order.number)
            return usual(adapter, order)

        self.place("1995")
        before = list(ButtonOrder.objects.order_by("pk").values())
        with mock.patch.object(ShopOrderAdapter, "build", build):
            text = self.check()

        assert "Reports that were built: 1" in text
        assert not User.objects.filter(username="1995").exists()
        assert list(ButtonOrder.objects.order_by("pk").values()) == before

    def test_only_reading_requests(self):
        assert self.client.post(URL).status_code == 405

    def test_permission(self):
        self.log_in(name="nobody")
        assert self.client.get(URL).status_code == 403

        self.log_in("view_buttonorder", name="viewer")
        assert self.client.get(URL).status_code == 200

    def test_table_is_not_there(self):
        def refuse(execute, sql, *arguments):
            if "shop_order" in sql:
                refuse_query()
            return execute(sql, *arguments)

        with connection.execute_wrapper(refuse):
            text = self.check()

        assert "ShopOrderAdapter.get_queryset: OperationalError" in text

    def test_database_is_away(self):
        def refuse(execute, sql, *arguments):
            if "SAVEPOINT" in sql:
                refuse_query()
            return execute(sql, *arguments)

        with connection.execute_wrapper(refuse):
            text = self.check()

        assert "The database raised OperationalError" in text
        assert "went away" not in text


class LinkTests(CheckTestCase):
    def link(self):
        return f'href="{URL}"' in self.client.get(LIST_URL).content.decode()

    def test_link_of_the_list(self):
        assert self.link()

        self.log_in("view_buttonorder")
        assert self.link()

    def test_without_an_adapter(self):
        with registered_only([]):
            assert not self.link()
            assert "No adapter is registered" in self.check()
