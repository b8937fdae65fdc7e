"""Tokens that the app keeps, because the shop's order has no field for one."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings

from django_button_orders import OrderAdapter, erase, set_btn_ref
from django_button_orders.models import AttributionToken, ButtonOrder
from django_button_orders.outbox.adapters import get_adapter
from tests.shop.models import Customer, Order
from tests.utils import button_settings

TOKEN = "srctok-" + "t" * 20


def kept():
    return list(AttributionToken.objects.values_list("btn_ref", flat=True))


@override_settings(BUTTON_ORDERS=button_settings())
class SetBtnRefTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        self.order = Order.objects.create(number="1994")
        self.adapter = get_adapter(Order)

    def test_adapter_reads_it(self):
        set_btn_ref(self.order, TOKEN)

        assert self.adapter.get_btn_ref(Order.objects.get()) == TOKEN
        kept_at = AttributionToken.objects.get().kept_at
        assert OrderAdapter(Order).get_btn_ref_date(self.order) == kept_at

    def test_none_is_kept(self):
        assert self.adapter.get_btn_ref(self.order) == ""
        assert OrderAdapter(Order).get_btn_ref_date(self.order) is None

    def test_replaces(self):
        set_btn_ref(self.order, "srctok-1")
        set_btn_ref(self.order, TOKEN)

        assert kept() == [TOKEN]

    def test_same_again(self):
        """The date stays, so that no token seems to have come late."""
        set_btn_ref(self.order, TOKEN)
        before = AttributionToken.objects.values().get()
        revision = ButtonOrder.objects.get().revision

        set_btn_ref(self.order, TOKEN)

        assert AttributionToken.objects.values().get() == before
        assert ButtonOrder.objects.get().revision == revision

    def test_marks_the_order_changed(self):
        """A token that comes after the first report is seen, and said on the row."""
        before = ButtonOrder.objects.get().revision

        set_btn_ref(self.order, TOKEN)

        assert ButtonOrder.objects.get().revision == before + 1

    def test_empty_changes_nothing(self):
        set_btn_ref(self.order, TOKEN)
        set_btn_ref(self.order, "")

        assert kept() == [TOKEN]

    def test_what_is_no_token(self):
        for value in ("a b", "x" * 256, "srctok-é", 7, ["srctok-1"]):
            with (
                self.subTest(value=value),
                self.assertLogs("django_button_orders", "WARNING") as logs,
            ):
                set_btn_ref(self.order, value)

            assert kept() == []
            assert str(value) not in logs.output[0]

    def test_each_order_has_its_own(self):
        other = Order.objects.create(number="1995")
        set_btn_ref(self.order, TOKEN)
        set_btn_ref(other, "srctok-2")

        assert self.adapter.get_btn_ref(other) == "srctok-2"

    def test_other_database(self):
        order = Order.objects.using("archive").create(number="1994")

        set_btn_ref(order, TOKEN)

        assert kept() == []
        assert AttributionToken.objects.using("archive").get().btn_ref == TOKEN
        assert self.adapter.get_btn_ref(order) == TOKEN

    def test_wrong_orders(self):
        with pytest.raises(ImproperlyConfigured, match="No adapter is registered"):
            set_btn_ref(Customer.objects.create(), TOKEN)
        with pytest.raises(ValueError, match="Save the order before set_btn_ref"):
            set_btn_ref(Order(pk=None), TOKEN)
        with pytest.raises(ValueError, match="Save the order before set_btn_ref"):
            # Its key is a UUID, which it has before it is saved.
            set_btn_ref(Order(number="1995"), TOKEN)
        assert kept() == []

    def test_erased_with_its_order(self):
        set_btn_ref(self.order, TOKEN)

        erase(order_ids=["1994"])

        assert kept() == []

    def test_key_that_comes_again(self):
        """A token outlives its order, until somebody erases it."""
        for erased, expected in ((["1994"], ""), ([], TOKEN)):
            with self.subTest(erased=erased):
                set_btn_ref(self.order, TOKEN)
                key = self.order.pk
                self.order.delete()
                if erased:
                    erase(order_ids=erased)

                self.order = Order.objects.create(pk=key, number="1995")

                assert self.adapter.get_btn_ref(self.order) == expected


@override_settings(BUTTON_ORDERS=button_settings())
class CheckoutTests(TransactionTestCase):
    """A checkout goes on, whatever becomes of its token."""

    def test_rolls_back_with_the_order(self):
        with transaction.atomic():
            set_btn_ref(Order.objects.create(number="1994"), TOKEN)
            transaction.set_rollback(True)

        assert kept() == []

    def test_table_is_missing(self):
        with connection.schema_editor() as editor:
            editor.delete_model(AttributionToken)
        try:
            with (
                self.assertLogs("django_button_orders", "ERROR"),
                transaction.atomic(),
            ):
                set_btn_ref(Order.objects.create(number="1994"), TOKEN)
        finally:
            with connection.schema_editor() as editor:
                editor.create_model(AttributionToken)

        assert Order.objects.get().number == "1994"
