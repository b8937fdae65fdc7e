"""Host orders that are saved with an id that another order's row has."""

from __future__ import annotations

import json
import uuid

import pytest
import responses
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection, transaction
from django.test import TestCase, override_settings

from django_button_orders import (
    OrderAdapter,
    mark_changed,
    suppress_reporting,
)
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import get_adapter, register, unregister
from django_button_orders.outbox.ownership import IdTakenError, assign_row, reattach
from tests.shop.models import (
    Booking,
    GiftOrder,
    Order,
    OrderLine,
    Page,
    Trip,
    WebOrder,
)
from tests.utils import add_answer, button_settings, calls, create_row, order_url

rows = ButtonOrder.objects
GONE = "00000000-0000-0000-0000-000000000000"


class OneIdAdapter(OrderAdapter):
    def get_order_id(self, order):
        return "1994"


def raiser(error):
    """Return a wrapper that raises an error when an order is looked up."""

    def execute_wrapper(execute, sql, params, many, context):
        if "shop_order" in sql:
            raise error
        return execute(sql, params, many, context)

    return execute_wrapper


@override_settings(BUTTON_ORDERS=button_settings())
class SourceTestCase(TestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        add_answer("POST")
        add_answer("POST", order_url())
        add_answer("DELETE", order_url())

    def place(self, **values):
        return Order.objects.create(**{"number": "1994", **values})

    def report(self):
        responses.calls.reset()
        return report_due(using="default")

    def row(self):
        return rows.get(order_id="1994")

    def placeholder(self, order):
        return rows.filter(order_id=f"shop.order:{order.pk}").first()


class GoneTests(SourceTestCase):
    """The order that the row belongs to does not exist any more."""

    def lose(self, **values):
        """Place an order, report it, and delete it."""
        order = self.place(**values)
        self.report()
        order.delete()

    def assert_taken_over(self, order):
        assert self.row().get_source() == order
        assert self.report() == {"reported": 1}
        assert calls() == ["POST /v1/order/1994"]
        assert self.row().total == 6500
        assert rows.count() == 1

    def test_new_order(self):
        self.lose()

        order = self.place(total=65)

        self.assert_taken_over(order)

    def test_in_a_transaction_with_the_deletion(self):
        first = self.place()
        self.report()

        with transaction.atomic():
            first.delete()
            order = self.place(total=65)

        self.assert_taken_over(order)

    def test_rolled_back(self):
        self.lose()
        before = rows.values().get()

        with transaction.atomic():
            self.place(total=65)
            transaction.set_rollback(True)

        assert rows.values().get() == before

    def test_paid_later(self):
        """An unpaid order is not reported."""
        self.lose()
        order = self.place(total=65, is_paid=False)
        assert self.report() == {"dismissed": 1}
        assert calls() == []

        order.is_paid = True
        order.save()

        self.assert_taken_over(order)

    def test_failed_under_another_id(self):
        """The row of the other id needs attention."""
        self.lose()
        order = self.place(total=65, number="1993")
        rows.filter(order_id="1993").update(status="failed", next_attempt_at=None)
        order.number = "1994"

        order.save()

        assert self.row().get_source() == order
        assert rows.get(order_id="1993").status == "failed"

    def test_numbered_later(self):
        self.lose()
        order = self.place(total=65, number="", is_paid=False)

        order.number, order.is_paid = "1994", True
        order.save()

        self.assert_taken_over(order)

    def test_written_behind_our_back(self):
        self.lose()
        order = Order.objects.bulk_create([Order(number="1994", total=65)])[0]

        mark_changed(order)

        self.assert_taken_over(order)

    def test_line(self):
        self.lose()
        with suppress_reporting():
            order = self.place(total=65)

        OrderLine.objects.create(order=order, sku="a", price=1)

        self.assert_taken_over(order)

    def test_waiting_for_a_worker(self):
        first = self.place()
        first.delete()

        order = self.place(total=65)

        assert self.row().get_source() == order
        assert self.report() == {"reported": 1}
        assert calls() == ["POST /v1/order"]

    def test_failed_and_dismissed(self):
        for status in ("failed", "dismissed"):
            with self.subTest(status=status):
                self.lose()
                rows.update(status=status, next_attempt_at=None)

                order = self.place(total=65)

                assert self.row().get_source() == order
                assert self.report() == {"reported": 1}
                order.delete()

    def test_cancelled_at_button(self):
        """A cancellation cannot be undone, and the row says so."""
        first = self.place()
        self.report()
        first.is_cancelled = True
        first.save()
        assert self.report() == {"cancelled": 1}
        first.delete()

        order = self.place()

        assert self.row().get_source() == order
        assert self.report() == {"failed": 1}
        assert calls() == []
        assert self.row().reason == "finalized"
        assert "another order ID" in self.row().last_error

    def test_cancelled_by_an_operator(self):
        """The request to cancel was about the other order."""
        first = self.place()
        self.report()
        self.row().cancel()
        assert self.report() == {"cancelled": 1}
        first.delete()

        self.place()

        assert self.report() == {"failed": 1}
        assert self.row().reason == "finalized"

    def test_cancelled_before_it_was_ever_sent(self):
        first = self.place()
        self.row().cancel()
        assert self.report() == {"cancelled": 1}
        first.delete()

        self.place()

        assert self.report() == {"reported": 1}
        assert calls() == ["POST /v1/order"]

    def test_has_another_id_now(self):
        first = self.place()
        self.report()
        first.number = "2001"
        first.save()
        self.report()

        order = self.place(total=65)

        assert self.row().get_source() == order
        assert rows.get(order_id="2001").get_source() == first

    def test_in_another_account(self):
        first = self.place()
        Order.objects.filter(pk=first.pk).update(account="eu")

        order = self.place(total=65)

        assert self.row().get_source() == order

    def test_key_that_is_none(self):
        self.lose()
        rows.update(source_id="no key")

        self.assert_taken_over(self.place(total=65))

    def test_model_that_is_gone(self):
        self.lose()
        rows.update(source_type=None)

        self.assert_taken_over(self.place(total=65))

    def test_model_that_is_not_registered_any_more(self):
        self.lose()
        page = Page.objects.create(title="1994")
        kind = ContentType.objects.get_for_model(Page)
        rows.update(source_type=kind, source_id=page.pk)

        self.assert_taken_over(self.place(total=65))

    def test_somebody_else_was_faster(self):
        self.lose()
        other = Order.objects.bulk_create([Order(number="1994")])[0]
        row = self.row()
        rows.update(source_id=str(other.pk))
        source = {"source_type_id": row.source_type_id, "source_id": str(other.pk)}

        assign_row(row, source)
        row.source_id = GONE
        with pytest.raises(IdTakenError):
            assign_row(row, {**source, "source_id": str(uuid.uuid4())})

        assert self.row().get_source() == other


class DirectTests(SourceTestCase):
    """A row that the shop has written itself, before it saved the order."""

    def test_taken_over(self):
        create_row()
        self.report()

        order = self.place(total=65)

        assert self.row().get_source() == order
        assert self.report() == {"reported": 1}
        assert self.row().total == 6500

    def test_request_to_cancel_is_kept(self):
        create_row()
        self.report()
        self.row().cancel()

        self.place()

        assert self.report() == {"cancelled": 1}
        assert calls() == ["DELETE /v1/order/1994"]


class TakenTests(SourceTestCase):
    """Two existing orders have the same id."""

    def place_second(self, **values):
        with self.assertLogs("django_button_orders", "ERROR") as logs:
            order = self.place(total=65, email="jane@shop.test", **values)
        assert "jane" not in f"{logs.output}"
        assert f"{order.pk}" in logs.output[0]
        return order

    def test_first_one_keeps_it(self):
        first = self.place()
        self.report()

        second = self.place_second()

        assert self.report() == {"reported": 1}
        assert calls() == []
        row, placeholder = self.row(), self.placeholder(second)
        assert (row.get_source(), row.total) == (first, 7000)
        assert placeholder.get_source() == second
        assert (placeholder.status, placeholder.reason) == ("failed", "invalid")
        assert "get_order_id: " in placeholder.last_error
        assert "is not unique: the order with the key" in placeholder.last_error

    def test_saved_again(self):
        self.place()
        second = self.place_second()

        with self.assertLogs("django_button_orders", "ERROR"):
            second.save()

        assert self.placeholder(second).status == "failed"
        assert rows.count() == 2

    def test_retried(self):
        """The worker fails the row again with the same error."""
        self.place()
        second = self.place_second()
        self.report()
        self.placeholder(second).retry()

        assert self.report() == {"failed": 1}
        assert calls() == []
        assert (
            "is not unique: the order with the key"
            in self.placeholder(second).last_error
        )

    def test_retried_once_the_first_is_gone(self):
        first = self.place()
        second = self.place_second()
        self.report()
        first.delete()
        self.placeholder(second).retry()

        assert self.report() == {"dismissed": 1, "reported": 1}
        assert self.row().get_source() == second
        assert self.row().total == 6500
        assert self.placeholder(second).status == "dismissed"

    def test_saved_once_the_first_is_gone(self):
        first = self.place()
        second = self.place_second()
        self.report()
        first.delete()

        second.save()

        assert self.row().get_source() == second
        assert self.placeholder(second).status == "dismissed"
        assert self.report() == {"reported": 1}

    def test_saved_once_it_has_an_id_of_its_own(self):
        self.place()
        second = self.place_second()
        second.number = "2001"

        second.save()

        assert self.report() == {"reported": 2}
        assert self.placeholder(second).status == "dismissed"

    def test_adapter_that_does_not_know_the_first(self):
        """Then nothing says that the first order has another id now."""
        first = self.place()
        Order.objects.filter(pk=first.pk).update(trouble="get_account")

        self.place_second()

        assert self.row().get_source() == first

    def test_adapter_whose_queryset_fails(self):
        first = self.place()
        adapter = type(get_adapter(Order))

        def fail(self):
            raise ZeroDivisionError

        adapter.get_queryset = fail
        self.addCleanup(delattr, adapter, "get_queryset")
        self.place_second()

        assert self.row().get_source() == first

    def test_database_that_is_away(self):
        """An error or a time limit does not mean that the first order is gone."""
        first = self.place()
        row, source = self.row(), {"source_id": str(uuid.uuid4())}
        source["source_type_id"] = row.source_type_id
        for error in (OperationalError, SoftTimeLimitExceeded):
            with (
                self.subTest(error=error),
                connection.execute_wrapper(raiser(error)),
                pytest.raises(error),
            ):
                assign_row(row, source)

        assert self.row().get_source() == first

    def test_other_model(self):
        """Orders of two models may have the same key and the same id."""
        for model in (Page, Group):
            register(model)(OneIdAdapter)
            self.addCleanup(unregister, model)
        page = Page.objects.create(pk=7, title="1994")

        with self.assertLogs("django_button_orders", "ERROR"):
            Group.objects.create(pk=7, name="1994")

        assert self.row().get_source() == page
        assert rows.get(order_id="auth.group:7").status == "failed"


class SameOrderTests(SourceTestCase):
    """The same order, with a key that is written in another way."""

    def test_key_in_another_form(self):
        key = uuid.uuid4()
        order = self.place(pk=key.hex)

        mark_changed(order)
        mark_changed(Order.objects.get())

        assert rows.get().revision == 3
        assert self.report() == {"reported": 1}

    def test_child(self):
        order = GiftOrder.objects.create(number="1994")
        assert rows.get().get_source_model() is Order

        Order.objects.get().save()
        order.save()

        assert rows.get().revision == 3

    def test_restored(self):
        order = self.place()
        self.report()
        key = order.pk
        order.delete()

        self.place(pk=key, total=65)

        assert rows.get().revision == 2
        assert self.report() == {"reported": 1}
        assert json.loads(responses.calls[0].request.body)["total"] == 6500


class RenamedTests(SourceTestCase):
    """The model of the orders was renamed, or moved to another app."""

    def gone(self):
        """Return a content type without a model, and what is left if it is deleted."""
        kind, _ = ContentType.objects.get_or_create(app_label="old", model="order")
        return kind.pk, None

    def place_and_rename(self, kind, **values):
        rows.all().delete()
        order = self.place(**values)
        self.report()
        rows.update(source_type=kind)
        return order

    def assert_attached(self, order):
        row = self.row()
        assert row.source_type_id == ContentType.objects.get_for_model(order).pk
        assert row.get_source() == order

    def test_saved(self):
        for kind in self.gone():
            with self.subTest(kind=kind):
                order = self.place_and_rename(kind)
                order.total = 65

                order.save()

                self.assert_attached(order)
                assert self.report() == {"reported": 1}
                assert self.row().total == 6500

    def test_line_is_saved(self):
        for kind in self.gone():
            with self.subTest(kind=kind):
                order = self.place_and_rename(kind)

                OrderLine.objects.create(order=order, sku="a", price=1)

                self.assert_attached(order)

    def test_request_to_cancel_is_kept(self):
        order = self.place_and_rename(self.gone()[0])
        self.row().cancel()

        order.save()

        assert self.report() == {"cancelled": 1}
        assert calls() == ["DELETE /v1/order/1994"]

    def test_due(self):
        """The worker finds the order of a row that nobody has saved since."""
        for kind in self.gone():
            with self.subTest(kind=kind):
                order = self.place_and_rename(kind)
                Order.objects.update(total=65)
                rows.mark_changed()

                assert self.report() == {"reported": 1}

                self.assert_attached(order)
                assert self.row().total == 6500

    def test_order_that_is_gone(self):
        for kind in self.gone():
            with self.subTest(kind=kind):
                self.place_and_rename(kind).delete()
                rows.mark_changed()

                assert self.report() == {"failed": 1}
                assert "no longer exists" in self.row().last_error

    def test_order_with_another_id(self):
        """Nothing says that it is the same order."""
        order = self.place_and_rename(self.gone()[0])
        Order.objects.filter(pk=order.pk).update(number="2001")
        rows.mark_changed()

        assert self.report() == {"failed": 1}
        assert self.row().source_type_id != ContentType.objects.get_for_model(Order).pk

    def test_unrelated_model_that_is_not_registered(self):
        """Its orders have other keys, even where the numbers are the same."""
        page = Page.objects.create(title="1994")
        register(Page)(OneIdAdapter)
        self.addCleanup(unregister, Page)
        page.save()
        unregister(Page)
        register(Group)(OneIdAdapter)
        self.addCleanup(unregister, Group)
        with suppress_reporting():
            Group.objects.create(pk=page.pk, name="1994")

        assert self.report() == {"failed": 1}
        assert "No adapter is registered for shop.Page" in self.row().last_error

    def test_parent_that_is_not_registered_any_more(self):
        register(Booking)(OneIdAdapter)
        with suppress_reporting():
            trip = Trip.objects.create(number="a")
        Booking.objects.get().save()
        unregister(Booking)
        register(Trip)(OneIdAdapter)
        self.addCleanup(unregister, Trip)

        reattach(rows.all())

        self.assert_attached(trip)

    def test_adapter_that_raises(self):
        self.place_and_rename(self.gone()[0])
        Order.objects.update(trouble="get_order_id", email="jane@shop.test")

        with self.assertLogs("django_button_orders", "WARNING") as logs:
            reattach(rows.all())

        assert "jane" not in f"{logs.output}"
        assert self.row().get_source() is None

    def test_row_that_has_failed_for_it(self):
        order = self.place_and_rename(self.gone()[0])
        rows.update(status="failed", reason="invalid", next_attempt_at=None)

        reattach(rows.all())

        self.assert_attached(order)
        assert self.row().status == "pending"

    def test_others_stay_as_they_are(self):
        order = self.place_and_rename(self.gone()[0])
        before = self.row()

        reattach([before])

        assert before.get_source() == order
        assert (self.row().status, self.row().revision) == ("reported", 1)

    def test_costs_nothing_otherwise(self):
        self.place()
        found = list(rows.all())
        reattach(found)

        with self.assertNumQueries(0):
            reattach(found)


class ProxyTests(SourceTestCase):
    """Only a proxy of the model has an adapter."""

    def setUp(self):
        super().setUp()
        adapter = type(get_adapter(Order))
        unregister(Order)
        self.addCleanup(register(Order), adapter)
        register(WebOrder)(adapter)
        self.addCleanup(unregister, WebOrder)

    def test_reported(self):
        order = WebOrder.objects.create(number="1994")

        assert self.row().get_source_model() is WebOrder
        assert self.report() == {"reported": 1}
        order.total = 65
        order.save()
        assert self.report() == {"reported": 1}
        assert self.row().total == 6500

    def test_row_of_the_model_that_had_the_adapter(self):
        """It has the same table."""
        WebOrder.objects.create(number="1994")
        rows.update(source_type=ContentType.objects.get_for_model(Order))

        assert self.report() == {"reported": 1}
        assert self.row().get_source_model() is WebOrder
