"""Changes of other objects of the shop, and the orders that they concern."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from django.core import serializers
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Value
from django.test import TestCase, TransactionTestCase, override_settings

from django_button_orders import OrderAdapter, suppress_reporting
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import get_adapter, register, unregister
from tests.shop.models import (
    Booking,
    BookingLine,
    Coupon,
    Cruise,
    Customer,
    Note,
    Order,
    OrderLine,
    Page,
    Refund,
    Trip,
)
from tests.utils import button_settings, create_row

rows = ButtonOrder.objects
Link = Coupon.orders.through


@override_settings(BUTTON_ORDERS=button_settings())
class WatchingTestCase(TestCase):
    def watch(self, *models, **values):
        """Register an adapter, by default one of no model that is saved here."""
        adapter_class = type("OtherAdapter", (OrderAdapter,), values)
        register(*(models or [Page]))(adapter_class)
        for model in models or [Page]:
            self.addCleanup(unregister, model)

    def place(self, number, **values):
        return Order.objects.create(number=number, **values)

    @contextmanager
    def marks(self, **changes):
        """Assert how many changes of which orders are marked."""
        before = dict(rows.values_list("order_id", "revision"))
        yield
        after = dict(rows.values_list("order_id", "revision"))
        assert {
            order_id: revision - before.get(order_id, 0)
            for order_id, revision in after.items()
            if revision != before.get(order_id, 0)
        } == changes


class MovedTests(WatchingTestCase):
    """A line that is moved to another order changes both orders."""

    def setUp(self):
        self.a, self.b = self.place("a"), self.place("b")
        self.line = OrderLine.objects.create(order=self.a, sku="x", price=1)

    def test_moved(self):
        self.line.order = self.b

        with self.marks(a=1, b=1):
            self.line.save()

    def test_moved_by_key(self):
        line = OrderLine.objects.get()
        line.order_id = self.b.pk

        for names in (["order"], ["order_id"]):
            line.order_id = self.b.pk if names == ["order"] else self.a.pk
            with self.subTest(names=names), self.marks(a=1, b=1):
                line.save(update_fields=names)

    def test_moved_by_an_expression(self):
        self.line.order_id = Value(self.b.pk, output_field=Order._meta.pk)

        with self.marks(a=1, b=1):
            self.line.save()

    def test_stays(self):
        line = OrderLine.objects.get()
        line.order_id = str(self.a.pk)

        with self.marks(a=1):
            line.save()

    def test_key_that_is_not_saved(self):
        self.line.order = self.b
        deferred = OrderLine.objects.only("sku").get()

        with self.marks(b=1), self.count("orderline", 1):
            self.line.save(update_fields=["sku"])
        # The key is loaded after the save, to find the order.
        with self.marks(a=1), self.count("orderline", 2):
            deferred.save()

    def test_new_lines_cost_nothing_more(self):
        with self.count("orderline", 1):
            OrderLine.objects.create(order=self.a, sku="y", price=1)

    def test_suppressed(self):
        self.line.order = self.b

        with self.marks(), suppress_reporting():
            self.line.save()
        with self.marks(b=1):
            self.line.save()

    def test_save_that_fails(self):
        """What was found for it does not count for the next one."""
        self.line.order = self.b
        self.line.sku = None
        with pytest.raises(IntegrityError), transaction.atomic():
            self.line.save()
        self.line.order, self.line.sku = self.a, "x"

        with self.marks(a=1):
            self.line.save()

    def test_error_does_not_break_the_save(self):
        def fail(execute, sql, params, many, context):
            if sql.startswith("SELECT") and "shop_orderline" in sql:
                return execute("SELECT nonsense", None, many, context)
            return execute(sql, params, many, context)

        self.line.order = self.b
        with (
            self.marks(b=1),
            connection.execute_wrapper(fail),
            self.assertLogs("django_button_orders", "ERROR") as logs,
        ):
            self.line.save()

        self.line.refresh_from_db()
        assert self.line.order == self.b
        assert "shop.OrderLine" in logs.output[0]

    def test_longer_path(self):
        self.watch(watch={Refund: "line__order"})
        other = OrderLine.objects.create(order=self.b, sku="y", price=1)
        refund = Refund.objects.create(line=self.line)
        refund.line = other

        with self.marks(a=1, b=1):
            refund.save()

        refund.line = None
        with self.marks(b=1):
            refund.save()

    def test_generic_relation(self):
        self.watch(watch={Note: "about"})
        note = Note.objects.create(about=self.a)
        note.about = self.b

        with self.marks(a=1, b=1):
            note.save()

    def test_order_with_an_expression(self):
        """The line brings the instance that was saved with the expression along."""
        self.a.number = Value("c")
        with suppress_reporting():
            self.a.save()
        self.line.order = self.a

        with self.marks(c=1):
            self.line.save()

    @contextmanager
    def count(self, table, expected):
        seen = []

        def look(execute, sql, params, many, context):
            seen.extend([sql] if f"shop_{table}" in sql else [])
            return execute(sql, params, many, context)

        with connection.execute_wrapper(look):
            yield
        assert len(seen) == expected, seen


@override_settings(BUTTON_ORDERS=button_settings())
class MovedInAutocommitTests(TransactionTestCase):
    def test_marked_after_the_save(self):
        """Before it, a worker would still see the line in its old order."""
        a = Order.objects.create(number="a")
        b = Order.objects.create(number="b")
        line = OrderLine.objects.create(order=a, sku="x", price=1)
        line.order, seen = b, []

        def look(execute, sql, params, many, context):
            if sql.startswith("UPDATE"):
                seen.append("buttonorder" in sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(look):
            line.save()

        assert seen == [False, True, True]


class LinkTests(WatchingTestCase):
    """A many-to-many relation is watched by the model of its links."""

    def setUp(self):
        self.watch(watch={Link: "order"})
        self.a, self.b = self.place("a"), self.place("b")
        self.coupon, self.other = Coupon.objects.create(), Coupon.objects.create()

    def test_from_the_order(self):
        coupons = self.a.coupons
        with self.marks(a=1):
            coupons.add(self.coupon)
        with self.marks():
            coupons.add(self.coupon)
        with self.marks(a=2):
            coupons.set([self.other])
        with self.marks(a=1):
            coupons.remove(self.other)
        coupons.add(self.coupon)
        with self.marks(a=1):
            coupons.clear()

    def test_from_the_other_side(self):
        orders = self.coupon.orders
        with self.marks(a=1, b=1):
            orders.add(self.a, self.b)
        with self.marks(a=1):
            orders.remove(self.a)
        with self.marks(a=1, b=1):
            orders.set([self.a])
        with self.marks(a=1):
            orders.clear()

    def test_created_with_its_link(self):
        with self.marks(a=1):
            self.a.coupons.create()

    def test_longer_path(self):
        self.watch(OrderLine, watch={Link: "coupon__pk"})
        with self.marks(a=1):
            self.a.coupons.add(self.coupon)

    def test_suppressed(self):
        with self.marks(), suppress_reporting():
            self.a.coupons.add(self.coupon)

    def test_fixture(self):
        self.coupon.orders.add(self.a)
        dump = serializers.serialize("json", [self.coupon])
        Coupon.objects.all().delete()

        with self.marks():
            for loaded in serializers.deserialize("json", dump):
                loaded.save()

        assert self.a.coupons.count() == 1
        loaded.object.save()
        with self.marks(a=1):
            loaded.object.orders.clear()

    def test_error_does_not_break_the_change(self):
        def fail(execute, sql, params, many, context):
            if sql.startswith("SELECT") and "shop_order" in sql and "JOIN" in sql:
                return execute("SELECT nonsense", None, many, context)
            return execute(sql, params, many, context)

        self.coupon.orders.add(self.a)
        with (
            connection.execute_wrapper(fail),
            self.assertLogs("django_button_orders", "ERROR"),
        ):
            self.coupon.orders.clear()

        assert not self.a.coupons.exists()


class SymmetricalTests(WatchingTestCase):
    def test_both_ends(self):
        self.watch(watch={Customer.friends.through: "from_customer__order"})
        Customer.order = property(lambda self: self.order_set.first())
        self.addCleanup(delattr, Customer, "order")
        ann, bob = Customer.objects.create(), Customer.objects.create()
        self.place("a", customer=ann)
        self.place("b", customer=bob)

        with self.marks(a=1, b=1):
            ann.friends.add(bob)


class ParentTests(WatchingTestCase):
    """The adapter is registered for a model that has the table of a parent."""

    def setUp(self):
        self.watch(
            Trip,
            watch={BookingLine: "booking"},
            get_order_id=lambda adapter, trip: trip.number,
        )

    def test_parent_is_saved(self):
        Trip.objects.create(number="a")
        Cruise.objects.create(number="b")

        with self.marks(a=1, b=1):
            for booking in Booking.objects.all():
                booking.save()

        assert rows.get(order_id="b").get_source_model() is Trip

    def test_registered_grandchild(self):
        self.watch(Cruise, get_order_id=lambda adapter, cruise: f"c{cruise.number}")
        Trip.objects.create(number="a")
        Cruise.objects.create(number="b")

        with self.marks(a=1, cb=1):
            for booking in Booking.objects.all():
                booking.save()

    def test_parent_of_nothing(self):
        with self.marks():
            Booking.objects.create(number="a").save()

    def test_line_of_the_parent(self):
        trip = Trip.objects.create(number="a")
        booking = Booking.objects.get()

        with self.marks(a=1):
            line = BookingLine.objects.create(booking=booking)
        with self.marks(a=1):
            line.delete()

        BookingLine.objects.create(booking=booking)
        with suppress_reporting():
            other = Trip.objects.create(number="b")
        moved = BookingLine.objects.get()
        moved.booking = other.booking_ptr
        with self.marks(a=1, b=1):
            moved.save()
        assert trip.pk != other.pk

    def test_path_that_ends_at_the_parent(self):
        """For a booking without a trip, it leads nowhere, which is no error."""
        unregister(Trip)
        self.watch(Trip, watch={Booking: "trip"})
        trip = Trip.objects.create(number="a")

        with self.assertNoLogs("django_button_orders", "WARNING"):
            Booking.objects.create(number="b")

        assert rows.get().order_id == str(trip.pk)

    def test_other_models_cost_nothing(self):
        trip = Trip.objects.create(number="a")
        with self.assertNumQueries(1):
            Page.objects.create(title="About us")
        with self.assertNumQueries(1):
            Booking.objects.create(number="b")
        assert trip.pk

    def test_error_does_not_break_the_save(self):
        Trip.objects.create(number="a")

        def fail(execute, sql, params, many, context):
            if sql.startswith("SELECT") and "shop_trip" in sql:
                return execute("SELECT nonsense", None, many, context)
            return execute(sql, params, many, context)

        with (
            connection.execute_wrapper(fail),
            self.assertLogs("django_button_orders", "ERROR"),
        ):
            Booking.objects.get().save()

        assert rows.get().revision == 1


class DeletedTests(WatchingTestCase):
    """A cascade deletes lines, and may delete their orders."""

    def setUp(self):
        self.watch(watch={Refund: "line__order", Note: "about"})
        self.customer = Customer.objects.create()

    def place_old(self, number="a", **values):
        """Place an order with a line, from before there were rows."""
        with suppress_reporting():
            order = self.place(number, customer=self.customer, **values)
            line = OrderLine.objects.create(order=order, sku="x", price=1)
            Refund.objects.create(line=line)
            Note.objects.create(about=order)
        return order

    def test_orders_without_a_row(self):
        deletions = {
            "customer": lambda order: order.customer.delete(),
            "customers": lambda order: Customer.objects.all().delete(),
            "order": lambda order: order.delete(),
            "orders": lambda order: Order.objects.all().delete(),
        }
        for name, delete in deletions.items():
            with self.subTest(name=name):
                self.customer = Customer.objects.create()
                order = self.place_old()

                with self.assertNoLogs("django_button_orders", "WARNING"):
                    delete(order)

                assert not rows.exists()

    def test_order_whose_adapter_raises(self):
        for hook in ("get_order_id", "get_account", "is_reportable"):
            with self.subTest(hook=hook):
                rows.all().delete()
                self.customer = Customer.objects.create()
                self.place_old(trouble=hook)
                create_row(order_id="a", status="reported")

                with self.assertLogs("django_button_orders", "ERROR"):
                    self.customer.delete()

                assert rows.get().status == "reported"

    def test_order_whose_id_another_one_has(self):
        self.place("a")
        self.place_old("a")

        self.customer.delete()

        assert rows.get().status == "pending"

    def test_reported_order(self):
        self.place_old()
        create_row(order_id="a")
        rows.update(status="reported", reported_revision=1)

        self.customer.delete()

        assert rows.get().status == "pending"

    def test_order_that_button_need_never_hear_of(self):
        """It would fail as an order that is gone, and that Button never knew."""
        for status in ("dismissed", "cancelled"):
            with self.subTest(status=status):
                rows.all().delete()
                self.customer = Customer.objects.create()
                self.place_old()
                create_row(order_id="a")
                rows.update(status=status, next_attempt_at=None)

                self.customer.delete()

                assert rows.get().status == status

    def test_line_of_a_line(self):
        """Its order stays, so a row is marked, and the line itself makes one."""
        order = self.place_old()

        OrderLine.objects.all().delete()

        assert rows.get().order_id == "a"
        line = OrderLine.objects.create(order=order, sku="x", price=1)
        Refund.objects.create(line=line)
        with self.marks(a=2):
            line.delete()

    def test_way_that_is_gone(self):
        """The line is not watched, and may be deleted before its refund."""
        order = self.place("a")
        with suppress_reporting():
            line = OrderLine.objects.create(order=order, sku="x", price=1)
            Refund.objects.create(line=line)
        adapter = get_adapter(Order)
        self.addCleanup(setattr, type(adapter), "watch", adapter.watch)
        type(adapter).watch = {}

        with self.marks(a=1):
            line.delete()

    def test_deleted_alone(self):
        deletions = {
            "object": lambda order: order.lines.get().delete(),
            "queryset": lambda order: order.lines.all().delete(),
            "note": lambda order: order.notes.get().delete(),
            "refunds": lambda order: Refund.objects.all().delete(),
        }
        for name, delete in deletions.items():
            with self.subTest(name=name):
                rows.all().delete()
                Order.objects.all().delete()
                order = self.place_old()

                delete(order)

                assert rows.get().order_id == "a"

    def test_line_that_is_an_order_itself(self):
        """What it belongs to may be deleted by the same queryset."""
        self.place_old()
        self.watch(OrderLine)

        OrderLine.objects.all().delete()

        assert not rows.exists()

    def test_refused_for_now(self):
        """After the commit, the order is gone, and still gets no row."""
        self.place_old()
        create_row(order_id="a")
        rows.update(status="reported", reported_revision=1)
        times = []

        def refuse(execute, sql, params, many, context):
            if "UPDATE" in sql and "buttonorder" in sql and not times:
                times.append(sql)
                raise OperationalError("deadlock detected")
            return execute(sql, params, many, context)

        with (
            self.captureOnCommitCallbacks(execute=True),
            connection.execute_wrapper(refuse),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            self.customer.delete()
            rows.all().delete()

        assert not rows.exists()

    def test_set_null(self):
        order = self.place("a")
        line = OrderLine.objects.create(order=order, sku="x", price=1)
        refund = Refund.objects.create(line=line)
        Refund.objects.update(line=None)
        refund.refresh_from_db()

        with self.marks():
            refund.save()
            refund.delete()
