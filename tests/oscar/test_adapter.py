"""The adapter by itself: its hooks, its queries, and orders that no checkout places."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import SimpleTestCase, TestCase, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from oscar.core.loading import get_model

from django_button_orders import Customer
from django_button_orders.contrib.oscar import OscarOrderAdapter
from django_button_orders.contrib.oscar.checks import check_statuses
from django_button_orders.outbox.adapters import get_adapter, register, unregister
from django_button_orders.testing import ButtonSandboxMixin
from tests.oscar.utils import Order, create_customer, create_product

Category = get_model("catalogue", "Category")
PaymentEventType = get_model("order", "PaymentEventType")
ShippingEventType = get_model("order", "ShippingEventType")

adapter = OscarOrderAdapter(Order)


def create_order(number="100", *, currency="USD", shipping="0", **kwargs):
    """Return an order that was imported, and not placed in the shop."""
    return Order.objects.create(
        number=number,
        currency=currency,
        total_incl_tax=Decimal("0"),
        total_excl_tax=Decimal("0"),
        shipping_incl_tax=Decimal(shipping) * Decimal("1.2"),
        shipping_excl_tax=Decimal(shipping),
        **kwargs,
    )


def add_line(order, price, quantity=1, *, product=None, status=""):
    """Add a line with 20 % tax. Return it."""
    net = Decimal(price)
    gross = net * Decimal("1.2")
    Order.objects.filter(pk=order.pk).update(
        total_incl_tax=order.total_incl_tax + gross
    )
    return order.lines.create(
        partner_sku="MUG",
        title="Mug",
        product=product,
        quantity=quantity,
        status=status,
        num_allocated=0,
        line_price_excl_tax=net,
        line_price_incl_tax=gross,
        line_price_before_discounts_excl_tax=net,
        line_price_before_discounts_incl_tax=gross,
    )


def refund(order, amount, units=None):
    kind, _ = PaymentEventType.objects.get_or_create(name="Refund")
    event = order.payment_events.create(event_type=kind, amount=Decimal(amount))
    for line, quantity in (units or {}).items():
        event.line_quantities.create(line=line, quantity=quantity)
    return event


def read(order):
    return adapter.get_queryset().get(pk=order.pk)


def totals(order):
    report = adapter.build(read(order))
    return report.total, [line.total for line in report.line_items]


class AmountTests(TestCase):
    def test_sum_is_rounded_once(self):
        order = create_order(currency="JPY")
        for _ in range(3):
            add_line(order, "849.50")

        # The sum is 2548.50.
        assert totals(order) == (2549, [850, 850, 849])

    def test_rest_of_a_unit_price(self):
        order = create_order()
        line = add_line(order, "10.00", 3)
        refund(order, "4.00", {line: 1})

        assert totals(order) == (667, [667])

    def test_line_that_is_a_discount(self):
        order = create_order()
        add_line(order, "20.00")
        add_line(order, "-5.00")
        refund(order, "6.00")

        assert totals(order) == (1000, [1500, -500])

    def test_goodwill_in_yen(self):
        order = create_order(currency="JPY")
        add_line(order, "1000")
        refund(order, "100")

        # 83.33 of it are not tax.
        assert totals(order) == (917, [917])

    def test_part_of_the_price_of_all_lines(self):
        order = create_order()
        lines = [add_line(order, price) for price in ("10.00", "30.00")]
        refund(order, "24.00", dict.fromkeys(lines, 1))

        assert totals(order) == (2000, [500, 1500])

    def test_refund_without_an_amount(self):
        order = create_order()
        line = add_line(order, "20.00", 2)
        refund(order, "0", {line: 1})

        assert totals(order) == (1000, [1000])

    def test_no_lines(self):
        order = create_order()
        refund(order, "5.00")

        assert totals(order) == (0, [])
        assert not adapter.is_cancelled(read(order))

    def test_line_without_units(self):
        order = create_order()
        add_line(order, "5.00")
        add_line(order, "0.00", 0)

        assert totals(order) == (500, [500])


class OrderTests(TestCase):
    def test_number_is_an_integer(self):
        assert adapter.get_order_id(Order(number=100001)) == "100001"

    @override_settings(USE_TZ=False)
    def test_date_without_time_zone(self):
        order = create_order(date_placed=datetime(2026, 11, 30, 12))

        moment = adapter.build(order).purchase_date

        assert moment.isoformat() == "2026-11-30T18:00:00+00:00"

    def test_field_of_a_forked_order(self):
        order = create_order()
        order.btn_ref = "srctok-field"

        assert adapter.build(order).btn_ref == "srctok-field"

    def test_not_from_the_queryset(self):
        user = create_customer()
        category = Category.add_root(name="Home").add_child(name="Kitchen")
        product = create_product()
        product.categories.add(category)
        for number in ("1", "2"):
            order = create_order(number, user=user)
        add_line(order, "5.00", product=product)

        report = adapter.build(order)

        assert report.customer.is_new is False
        assert report.line_items[0].category == ("Home", "Kitchen")

    def test_customer_with_an_address_as_key(self):
        """Some shops have a user model whose primary key is the e-mail address."""
        address = "ada@shop.test"
        order = create_order()
        order.user = get_user_model()(pk=address, email=address)
        order.button_has_earlier_order = False

        customer = adapter.build(order).customer

        assert customer == Customer(email=address, is_new=True)

    def test_text_instead_of_names(self):
        class Mistaken(OscarOrderAdapter):
            refund_events = "Refund"

        with pytest.raises(ImproperlyConfigured, match="refund_events must be a list"):
            Mistaken(Order)


class PreflightHookTests(TestCase):
    def amounts(self, order):
        order = read(order)
        return adapter.gross_total(order), adapter.tax(order), adapter.delivery(order)

    def test_amounts(self):
        order = create_order(shipping="5.00")
        add_line(order, "20.00", 2)
        Order.objects.update(total_incl_tax="32.40")
        order.surcharges.create(
            name="Card", code="card", excl_tax=2, incl_tax=Decimal("2.40")
        )

        assert self.amounts(order) == (3000, 500, 500)

    def test_returned(self):
        order = create_order(shipping="5.00")
        line = add_line(order, "20.00", 2)
        Order.objects.update(total_incl_tax="30.00")
        refund(order, "12.00", {line: 1})

        assert self.amounts(order) == (1800, 300, 500)


class QueryTests(TestCase):
    def create_orders(self, count):
        Order.objects.all().delete()
        root = Category.add_root(name="Home")
        category = root.add_child(name="Kitchen").add_child(name="Mugs")
        parent = create_product(sku=f"P{count}", structure="parent")
        parent.categories.add(category)
        child = create_product(sku=f"C{count}", parent=parent)
        single = create_product(sku=f"S{count}")
        single.categories.add(category)
        user = create_customer(f"{count}@shop.test")
        returned, _ = ShippingEventType.objects.get_or_create(name="Returned")
        for number in range(count):
            order = create_order(f"{number}", user=user)
            for product in (child, single, None):
                line = add_line(order, "20.00", 2, product=product)
            refund(order, "24.00", {line: 1})
            refund(order, "1.00")
            event = order.shipping_events.create(event_type=returned)
            event.line_quantities.create(line=line, quantity=1)

    def queries(self, count):
        self.create_orders(count)
        with CaptureQueriesContext(connection) as captured:
            for order in adapter.get_queryset():
                # The token of a forked order is in a field.
                order.btn_ref = "srctok-1"
                adapter.is_cancelled(order)
                report = adapter.build(order)
                adapter.gross_total(order)
                assert report.line_items[0].category == ("Home", "Kitchen", "Mugs")
        return len(captured)

    def test_number_does_not_depend_on_the_orders(self):
        few = self.queries(2)

        assert self.queries(20) == few <= 17


class WatchTests(ButtonSandboxMixin, TestCase):
    """What is written to the database without the dashboard reports the order, too."""

    databases = {"default", "archive"}

    def setUp(self):
        super().setUp()
        self.order = create_order()
        self.line = add_line(self.order, "20.00", 2)
        assert self.total() == 2000

    def total(self):
        self.button_sandbox.report()
        return self.button_sandbox.orders["100"]["total"]

    def test_line(self):
        self.line.line_price_excl_tax = Decimal("15.00")
        self.line.save()

        assert self.total() == 1500

    def test_deleted_line(self):
        add_line(self.order, "5.00")
        assert self.total() == 2500

        self.order.lines.last().delete()

        assert self.total() == 2000

    def test_deleted_refund(self):
        event = refund(self.order, "12.00", {self.line: 1})
        assert self.total() == 1000

        event.delete()

        assert self.total() == 2000

    def test_changed_quantity(self):
        event = refund(self.order, "24.00", {self.line: 1})
        assert self.total() == 1000

        quantity = event.line_quantities.get()
        quantity.quantity = 2
        quantity.save()

        assert self.total() == 0

    def test_changed_amount(self):
        event = refund(self.order, "12.00")
        assert self.total() == 1000

        event.amount = Decimal("6.00")
        event.save()

        assert self.total() == 1500

    def test_deleted_return(self):
        kind = ShippingEventType.objects.create(name="Returned")
        event = self.order.shipping_events.create(event_type=kind)
        event.line_quantities.create(line=self.line, quantity=1)
        assert self.total() == 1000

        event.line_quantities.get().delete()

        assert self.total() == 2000

    def test_backfill_by_date(self):
        assert adapter.date_field == "date_placed"
        assert read(self.order).date_placed <= timezone.now()


class StatusTests(SimpleTestCase):
    """A status that the shop does not have is a mistake in the adapter."""

    def warnings(self, **attributes):
        usual = type(get_adapter(Order))
        unregister(Order)
        own = type("OwnAdapter", (OscarOrderAdapter,), attributes)
        register(Order)(own)
        try:
            return check_statuses()
        finally:
            unregister(Order)
            register(Order)(usual)

    def test_defaults(self):
        assert self.warnings() == []

    def test_statuses_of_the_shop(self):
        names = {
            "reportable_statuses": ["Being processed", "complete"],
            "cancelled_statuses": (),
            "cancelled_line_statuses": ("Returned",),
        }

        assert self.warnings(**names) == []

    def test_misspelt(self):
        order, line = self.warnings(
            reportable_statuses=("Pending", "Paied"),
            cancelled_line_statuses=("Canceled",),
        )

        assert order.id == line.id == "django_button_orders.W023"
        assert "OwnAdapter.reportable_statuses has 'Paied'," in order.msg
        assert "OSCAR_LINE_STATUS_PIPELINE" in line.msg

    def test_last_status(self):
        """A pipeline need not say that nothing comes after a status."""
        with override_settings(OSCAR_ORDER_STATUS_PIPELINE={"Pending": ("Paid",)}):
            assert self.warnings(reportable_statuses=("Paid",)) == []

    def test_shop_without_a_pipeline(self):
        with override_settings(OSCAR_ORDER_STATUS_PIPELINE={}):
            assert self.warnings(reportable_statuses=("Paid",)) == []

    def test_manage_py_check_runs_it(self):
        assert check_statuses in registry.get_checks()
