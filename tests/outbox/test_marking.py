from __future__ import annotations

import json
import threading
import uuid
from contextlib import suppress
from io import StringIO
from unittest.mock import patch

import pytest
import responses
from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import (
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.db.models import Case, F, Value
from django.db.models.functions import Concat, Lower
from django.test import (
    SimpleTestCase,
    TestCase,
    TransactionTestCase,
    override_settings,
)

from django_button_orders import OrderAdapter, mark_changed, suppress_reporting
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox import marking
from django_button_orders.outbox.adapters import (
    get_adapter,
    has_usable_key,
    register,
    unregister,
)
from django_button_orders.outbox.savepoints import takes_many_statements
from django_button_orders.outbox.upsert import returns_written_rows
from tests.shop.models import (
    Blob,
    ChildOfBlob,
    GiftOrder,
    Order,
    OrderLine,
    Page,
    Tenant,
    WebOrder,
)
from tests.utils import LONG_AGO, add_answer, button_settings, create_row

rows = ButtonOrder.objects


def write_in_a_transaction(*, of_a_change=False):
    """Return the number of queries of one mark, with its savepoint."""
    if takes_many_statements("default"):
        return 1
    return 3 if returns_written_rows("default") or not of_a_change else 6


class TypesInDefault:
    """A router that keeps Django's own tables in one database."""

    def allow_migrate(self, db, app_label, **hints):
        return db == "default" or app_label != "contenttypes"


def without_content_types(execute, sql, params, many, context):
    assert "django_content_type" not in sql
    return execute(sql, params, many, context)


@override_settings(BUTTON_ORDERS=button_settings())
class SaveTests(TestCase):
    databases = {"default", "archive"}

    def test_first_save(self):
        order = Order.objects.create(number="2026/11 #42")

        row = rows.get()
        assert row.order_id == "2026/11 #42"
        assert row.account == "default"
        assert (row.status, row.revision) == ("pending", 1)
        assert row.source_type.model_class() is Order
        assert row.source_id == str(order.pk)
        assert row.total is None
        assert row.get_source() == order

    def test_every_save_is_a_revision(self):
        order = Order.objects.create(number="42")

        order.save()
        order.save()

        assert rows.get().revision == 3

    def test_watched_models(self):
        order = Order.objects.create(number="42")
        line = OrderLine.objects.create(order=order, sku="a", price=1)
        assert rows.get().revision == 2

        line.delete()

        assert rows.get().revision == 3

    def test_deleted_with_its_lines(self):
        """Button does not know the order, so there is nothing to report."""
        for delete in (Order.delete, lambda order: Order.objects.all().delete()):
            with self.subTest(delete=delete):
                with suppress_reporting():
                    order = Order.objects.create(number="42")
                    OrderLine.objects.create(order=order, sku="a", price=1)

                delete(order)

                assert not rows.exists()

    def test_known_and_deleted_with_its_lines(self):
        order = Order.objects.create(number="42")
        OrderLine.objects.create(order=order, sku="a", price=1)
        revision = rows.get().revision

        order.delete()

        assert rows.get().revision > revision

    def test_numbers_that_are_nearly_the_same(self):
        """By default, some databases treat these numbers as the same."""
        numbers = ["aB1", "Ab1", "x", "x ", "e", "\u00e9"]
        for number in numbers:
            Order.objects.create(number=number)

        assert sorted(row.order_id for row in rows.all()) == sorted(numbers)
        assert set(rows.values_list("revision", flat=True)) == {1}

    def test_not_reportable(self):
        order = Order.objects.create(number="42", is_paid=False)
        assert not rows.exists()
        order.is_paid = True

        order.save()

        assert rows.exists()

    def test_not_reportable_any_more_still_counts(self):
        order = Order.objects.create(number="42")
        order.is_paid = False

        order.save()

        assert rows.get().revision == 2

    def test_reported_again_after_a_change(self):
        order = Order.objects.create(number="42")
        for status in ("reported", "cancelled", "failed", "dismissed"):
            with self.subTest(status=status):
                rows.update(status=status, next_attempt_at=None)

                order.save()

                assert rows.get().status == "pending"
                assert rows.due().exists()

    def test_proxies_and_children(self):
        WebOrder.objects.create(number="1")
        GiftOrder.objects.create(number="2")

        found = {row.order_id: row.get_source_model() for row in rows.all()}
        assert found == {"1": Order, "2": Order}

    def test_other_models(self):
        Page.objects.create(title="About us")

        assert not rows.exists()

    def test_account_of_the_order(self):
        Order.objects.create(number="42", account="eu")

        assert rows.get().account == "eu"

    def test_database_of_the_order(self):
        Order.objects.using("archive").create(number="42")

        assert not rows.exists()
        row = rows.using("archive").get()
        assert row.get_source().number == "42"

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.TypesInDefault"])
    def test_database_without_content_types(self):
        with connections["archive"].execute_wrapper(without_content_types):
            Order.objects.using("archive").create(number="42")

        row = rows.using("archive").get()
        assert row.status == "pending"
        assert row.get_source().number == "42"

    def test_cost_of_a_save(self):
        # The first order of a process fills caches.
        Order.objects.create(number="1")

        with self.assertNumQueries(1 + write_in_a_transaction()):
            order = Order.objects.create(number="42")

        with self.assertNumQueries(1 + write_in_a_transaction(of_a_change=True)):
            order.save()

        with self.assertNumQueries(1 + write_in_a_transaction(of_a_change=True)):
            OrderLine.objects.create(order=order, sku="a", price=1)

    def test_cost_of_a_watched_save_that_has_to_look(self):
        line = OrderLine.objects.create(
            order=Order.objects.create(number="42"), sku="a", price=1
        )
        line = OrderLine.objects.get(pk=line.pk)

        # The line may have been moved from another order. Each look has a savepoint.
        with self.assertNumQueries(7 + write_in_a_transaction(of_a_change=True)):
            line.save()

        assert rows.get().revision == 3


def undo_all(verb, table="buttonorder"):
    """Roll the whole transaction back at a statement, as MySQL does."""

    def execute_wrapper(execute, sql, params, many, context):
        if verb in sql and table in sql:
            execute(sql, params, many, context)
            connection.needs_rollback = True
            raise OperationalError("deadlock detected")
        if sql.startswith("ROLLBACK TO"):
            raise OperationalError("There is no such savepoint any more.")
        return execute(sql, params, many, context)

    return execute_wrapper


@override_settings(BUTTON_ORDERS=button_settings())
class DeadlockTests(TransactionTestCase):
    """A change that the database refuses at first is marked after the commit."""

    databases = {"default", "archive"}

    def refuse(self, *, times):
        def execute_wrapper(execute, sql, params, many, context):
            nonlocal times
            if times and "UPDATE" in sql and "buttonorder" in sql:
                times -= 1
                raise OperationalError("deadlock detected")
            return execute(sql, params, many, context)

        return connection.execute_wrapper(execute_wrapper)

    def test_in_a_transaction(self):
        order = Order.objects.create(number="42")
        rows.update(status="reported", next_attempt_at=None)

        with self.refuse(times=1), self.assertLogs("django_button_orders", "WARNING"):
            with transaction.atomic():
                order.save()
                assert rows.get().status == "reported"

            assert (rows.get().status, rows.get().revision) == ("pending", 2)

    def test_without_one(self):
        order = Order.objects.create(number="42")

        with self.refuse(times=1), self.assertLogs("django_button_orders", "WARNING"):
            order.save()

        assert rows.get().revision == 2

    def test_victim_whose_whole_transaction_is_undone(self):
        """MySQL does so. The shop must not believe that it was committed."""
        order = Order.objects.create(number="42")

        with (
            pytest.raises(OperationalError),
            transaction.atomic(),
            connection.execute_wrapper(undo_all("UPDATE")),
        ):
            order.save()

        assert rows.get().revision == 1

    def test_victim_whose_hook_has_failed(self):
        order = Order.objects.create(number="42")
        order.trouble = "is_reportable"

        with (
            pytest.raises(OperationalError),
            self.assertLogs("django_button_orders", "ERROR"),
            transaction.atomic(),
            connection.execute_wrapper(undo_all("UPDATE")),
        ):
            order.save()

        assert rows.get().revision == 1

    def test_victim_that_looks_for_the_order_of_a_line(self):
        order = Order.objects.create(number="42")
        OrderLine.objects.create(order=order, sku="a", price=1)
        line = OrderLine.objects.get()

        with (
            pytest.raises(OperationalError),
            transaction.atomic(),
            connection.execute_wrapper(undo_all("SELECT", Order._meta.db_table)),
        ):
            line.save()

        assert rows.get().revision == 2

    def test_failure_of_a_hook_that_the_database_does_not_take(self):
        order = Order.objects.create(number="42")
        order.trouble = "is_reportable"

        with self.refuse(times=1), self.assertLogs("django_button_orders", "WARNING"):
            with transaction.atomic():
                order.save()
                assert rows.get().status == "pending"

            assert (rows.get().status, rows.get().reason) == ("failed", "invalid")

    def test_row_that_is_made_since_the_snapshot_and_locked(self):
        if connection.vendor != "mysql":
            self.skipTest("Elsewhere, nobody leaves out a row that is locked.")
        order = Order.objects.create(number="42", is_paid=False)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.addCleanup(connection.close)
        is_locked, may_end = threading.Event(), threading.Event()

        def pay():
            order.is_paid = True
            order.save()
            with transaction.atomic():
                list(rows.select_for_update())
                is_locked.set()
                may_end.wait(30)
            connection.close()

        with (
            self.assertLogs("django_button_orders", "WARNING"),
            transaction.atomic(),
        ):
            assert not rows.exists()
            thread = threading.Thread(target=pay)
            thread.start()
            is_locked.wait(30)
            OrderLine.objects.create(order=order, sku="a", price=1)
            may_end.set()
            thread.join(30)

        assert rows.get().revision == 2

    def test_rolled_back(self):
        order = Order.objects.create(number="42")

        with (
            self.refuse(times=1),
            self.assertLogs("django_button_orders", "WARNING"),
            suppress(ZeroDivisionError),
            transaction.atomic(),
        ):
            order.save()
            raise ZeroDivisionError

        assert rows.get().revision == 1

    def test_without_autocommit(self):
        """Django does not see the commits of such a shop."""
        order = Order.objects.create(number="42")
        self.addCleanup(transaction.set_autocommit, True)
        self.addCleanup(transaction.rollback)
        transaction.set_autocommit(False)

        with self.refuse(times=1), self.assertLogs("django_button_orders", "WARNING"):
            order.save()

        transaction.commit()
        assert rows.get().revision == 2

    def test_for_good(self):
        order = Order.objects.create(number="42")

        with (
            self.refuse(times=2),
            self.assertLogs("django_button_orders", "ERROR") as logs,
        ):
            order.save()

        assert rows.get().revision == 1
        assert f"{order.pk} was not recorded" in logs.output[-1]
        assert logs.output[-1].endswith(
            "If the tables of django_button_orders are missing, run manage.py migrate "
            "first."
        )


@override_settings(BUTTON_ORDERS=button_settings())
class SacredCheckoutTests(TestCase):
    """An adapter's error goes onto the row, and the shop's save succeeds."""

    def test_time_limit_of_the_shop(self):
        """It concerns a task of the shop, and not the order."""

        def interrupt(execute, sql, params, many, context):
            if "buttonorder" in sql:
                raise SoftTimeLimitExceeded
            return execute(sql, params, many, context)

        with (
            pytest.raises(SoftTimeLimitExceeded),
            transaction.atomic(),
            connection.execute_wrapper(interrupt),
        ):
            Order.objects.create(number="42")

        assert not rows.exists()

    def test_hooks_that_raise(self):
        for hook in ("get_order_id", "get_account", "is_reportable"):
            with self.subTest(hook=hook):
                rows.all().delete()
                with self.assertLogs("django_button_orders") as logs:
                    order = Order.objects.create(
                        number="42", trouble=hook, email="jane@shop.test"
                    )

                row = rows.get()
                assert Order.objects.filter(pk=order.pk).exists()
                assert (row.status, row.reason) == ("failed", "invalid")
                assert f"{hook} raised TroubleError" in row.last_error
                assert "jane" not in f"{row.last_error}{logs.output}"
                assert row.next_attempt_at is None

    def test_hooks_whose_sql_is_wrong(self):
        """Some databases raise the same error for it as for a lock."""

        def ask(self, order):
            with connection.cursor() as cursor:
                cursor.execute("SELECT nonsense FROM shop_order")

        adapter = type(get_adapter(Order))
        for hook in ("get_order_id", "get_account", "is_reportable"):
            with (
                self.subTest(hook=hook),
                patch.object(adapter, hook, ask),
                self.assertLogs("django_button_orders", "ERROR") as logs,
                self.captureOnCommitCallbacks(execute=True),
            ):
                rows.all().delete()
                order = Order.objects.create(number="42", email="jane@shop.test")

            row = rows.get()
            assert row.source_id == str(order.pk)
            assert (row.status, row.reason) == ("failed", "invalid")
            assert f"ShopOrderAdapter.{hook} raised" in row.last_error
            assert f"ShopOrderAdapter.{hook}" in logs.output[-1]
            assert "jane" not in f"{row.last_error}{logs.output}"

    def test_put_right(self):
        order = Order.objects.create(number="42", trouble="is_reportable")
        order.trouble = ""

        order.save()

        assert (rows.get().status, rows.get().last_error) == ("pending", "")

    def test_id_that_fits_no_column(self):
        for number in ("", "x" * 256, "\0"):
            with self.subTest(number=number), suppress_reporting():
                rows.all().delete()
                order = Order(pk=uuid.uuid4(), number=number)

                marking.mark_saved(Order, order, using="default")

                row = rows.get()
                assert (row.status, row.reason) == ("failed", "invalid")
                assert row.order_id == f"shop.order:{order.pk}"

    def test_error_of_the_database(self):
        def refuse(execute, sql, params, many, context):
            sql = sql.replace("django_button_orders_", "nonsense_")
            return execute(sql, params, many, context)

        with (
            self.captureOnCommitCallbacks(execute=True),
            connection.execute_wrapper(refuse),
            self.assertLogs("django_button_orders") as logs,
            transaction.atomic(),
        ):
            Order.objects.create(number="42", email="jane@shop.test")

        assert Order.objects.exists()
        assert "jane" not in f"{logs.output}"

    def test_table_that_cannot_be_written(self):
        """Even then the order is saved, although its error cannot be stored."""

        def refuse(execute, sql, params, many, context):
            if "django_button_orders_buttonorder" in sql:
                raise ProgrammingError("no such column")
            return execute(sql, params, many, context)

        with (
            connection.execute_wrapper(refuse),
            self.assertLogs("django_button_orders", "ERROR") as logs,
        ):
            Order.objects.create(number="42", email="jane@shop.test")

        assert Order.objects.exists()
        assert "Order 42 has no Button order: ProgrammingError" in logs.output[-1]
        assert logs.output[-1].endswith("run manage.py migrate first.")

    @override_settings(BUTTON_ORDERS={"NONSENSE": 1})
    def test_wrong_settings(self):
        with self.captureOnCommitCallbacks(execute=True):
            Order.objects.create(number="42")

        assert rows.exists()

    def test_drafts_have_no_number_yet(self):
        order = Order.objects.create(number="", is_paid=False)
        assert not rows.exists()
        order.number, order.is_paid = "42", True

        order.save()

        assert rows.get().order_id == "42"

    def test_watch_that_names_no_model(self):
        class BadAdapter(OrderAdapter):
            watch = {"shop.Nope": "order"}

        register(Page)(BadAdapter)
        self.addCleanup(unregister, Page)

        with self.assertLogs("django_button_orders", "ERROR"):
            Order.objects.create(number="42")

        assert Order.objects.exists()

    def test_watched_model_without_its_order(self):
        line = OrderLine(order_id=uuid.uuid4(), sku="a", price=1)

        with self.assertLogs("django_button_orders", "ERROR"):
            marking.mark_saved(OrderLine, line, using="default")


@override_settings(BUTTON_ORDERS=button_settings())
class StoredTests(TestCase):
    """The hooks are asked about what the database keeps, and not what was given."""

    def test_expression(self):
        order = Order.objects.create(number="42", is_paid=False, email="42")
        order.is_paid = Case(default=Value(True))
        order.number = Concat(Value("R-"), F("email"))

        order.save()

        assert rows.get().order_id == "R-42"
        assert rows.get().status == "pending"
        # Each save sends the expression once more.
        order.save()
        assert rows.get().revision == 2

    def test_key_as_text(self):
        key = uuid.uuid4()

        order = Order.objects.create(pk=key.hex, number="42")

        assert rows.get().source_id == str(key)
        assert order.pk == key.hex

    def test_placeholder_of_a_key_as_text(self):
        key = uuid.uuid4()

        with self.assertLogs("django_button_orders", "ERROR"):
            Order.objects.create(pk=key.hex, number="")

        assert rows.get().order_id == f"shop.order:{key}"

    def test_mark_changed(self):
        order = Order.objects.create(number="42")
        order.number = Lower(Value("R-42"))
        order.save()
        rows.all().delete()

        mark_changed(order)

        assert rows.get().order_id == "r-42"

    def test_order_that_is_gone(self):
        """It gets no row, whatever its hooks say of the expression."""
        order = Order.objects.create(number="42")
        Order.objects.all().delete()
        rows.all().delete()
        # Django 6 reads what an expression has made when it saves it.
        order.number = Lower(Value("R-42"))

        mark_changed(order)

        assert not rows.exists()

    def test_refused_for_now(self):
        order = Order.objects.create(number="42")
        order.number = Lower(Value("R-42"))
        refused = []

        def refuse(execute, sql, params, many, context):
            if "buttonorder" in sql and not refused:
                refused.append(sql)
                raise OperationalError("deadlock detected")
            return execute(sql, params, many, context)

        with (
            self.captureOnCommitCallbacks(execute=True),
            connection.execute_wrapper(refuse),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            order.save()

        assert rows.filter(order_id="r-42").exists()

    def test_error_reaches_nobody(self):
        def fail(execute, sql, params, many, context):
            if sql.startswith("SELECT") and "shop_order" in sql:
                return execute("SELECT nonsense FROM shop_order", None, many, context)
            return execute(sql, params, many, context)

        order = Order.objects.create(number="42")
        order.number = Lower(Value("R-42"))
        with (
            self.captureOnCommitCallbacks(execute=True),
            connection.execute_wrapper(fail),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            mark_changed(order)

        assert Order.objects.get() == order
        assert not rows.filter(order_id__contains="Lower").exists()


class KeyTests(SimpleTestCase):
    """Orders with keys that no text stands for are not reported."""

    def test_not_usable(self):
        class OtherAdapter(OrderAdapter):
            pass

        # A test before may have seen the message.
        has_usable_key.cache_clear()
        for model in (Tenant, Blob, ChildOfBlob):
            register(model)(OtherAdapter)
            self.addCleanup(unregister, model)
            order = model(pk=(1, 1) if model.__name__ == "Tenant" else b"1")

            # Without a database, so nothing is asked and nothing written.
            with self.assertLogs("django_button_orders", "ERROR") as logs:
                marking.mark_saved(model, order, using="default", is_new=True)
                marking.mark_saved(model, order, using="default")

            (message,) = logs.output
            assert f"shop.{model.__name__} are not reported" in message


@override_settings(BUTTON_ORDERS=button_settings())
class TransactionTests(TransactionTestCase):
    def test_rolled_back(self):
        with transaction.atomic():
            Order.objects.create(number="42")
            transaction.set_rollback(True)

        assert not rows.exists()

    def test_savepoint_rolled_back(self):
        with transaction.atomic():
            Order.objects.create(number="1")
            with transaction.atomic():
                Order.objects.create(number="2")
                transaction.set_rollback(True)

        assert [row.order_id for row in rows.all()] == ["1"]

    def test_cost_outside_a_transaction(self):
        """There is only one statement, which needs no transaction."""
        Order.objects.create(number="1")

        with self.assertNumQueries(2):
            Order.objects.create(number="42")

        assert rows.filter(order_id="42").exists()

    def test_made_before_its_order(self):
        create_row(order_id="42")

        order = Order.objects.create(number="42")

        assert rows.get().get_source() == order

    def test_made_by_another_transaction_just_now(self):
        with suppress_reporting():
            order = Order.objects.create(number="42")
        stolen = []

        def steal(execute, sql, params, many, context):
            if "INTO" in sql and "buttonorder" in sql and not stolen:
                stolen.append(sql)
                kind = ContentType.objects.get_for_model(Order)
                made = ButtonOrder(
                    order_id="42", source_type=kind, source_id=str(order.pk)
                )
                rows.bulk_create([made])
            return execute(sql, params, many, context)

        with connection.execute_wrapper(steal):
            order.save()

        assert stolen
        assert rows.get().revision == 2


@override_settings(BUTTON_ORDERS=button_settings())
class MarkChangedTests(TestCase):
    def test_order(self):
        order = Order.objects.create(number="42")
        Order.objects.update(total=1)

        mark_changed(order)

        assert rows.get().revision == 2

    def test_order_without_a_row(self):
        Order.objects.bulk_create([Order(number="42")])

        mark_changed(Order.objects.get())

        assert rows.get().status == "pending"

    def test_suppressed(self):
        with suppress_reporting():
            mark_changed(Order.objects.create(number="42"))

        assert rows.exists()

    def test_other_model(self):
        with pytest.raises(ImproperlyConfigured, match=r"shop\.Page"):
            mark_changed(Page(title="About us"))

    def test_order_that_was_never_saved(self):
        with pytest.raises(ValueError, match="Save the order"):
            mark_changed(Order(pk=None, number="42"))
        with pytest.raises(ValueError, match="Save the order"):
            # Its key is a UUID, which it has before it is saved.
            mark_changed(Order(number="42"))

        assert not rows.exists()

    def test_what_is_no_order(self):
        for value in (Order.objects.all(), None, "42"):
            with (
                self.subTest(value=type(value)),
                pytest.raises(TypeError, match=type(value).__name__),
            ):
                mark_changed(value)


@override_settings(BUTTON_ORDERS=button_settings(FIRST_REPORT_DELAY=60))
class HoldTests(TestCase):
    """An order that the shop finishes in several transactions is reported once."""

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        self.order = Order.objects.create(number="42")

    def report(self):
        rows.update(next_attempt_at=LONG_AGO)
        report_due(using="default")

    def test_token_that_comes_a_second_later(self):
        report_due(using="default")
        self.order.btn_ref = "srctok-1"
        self.order.save()
        report_due(using="default")
        assert rows.waiting().count() == 1

        add_answer("POST")
        self.report()

        [call] = responses.calls
        assert json.loads(call.request.body)["btn_ref"] == "srctok-1"

    def test_cancelled_meanwhile(self):
        self.order.is_cancelled = True
        self.order.save()
        assert rows.waiting().count() == 1

        self.report()

        assert rows.get().status == "cancelled"
        assert len(responses.calls) == 0

    def test_change_of_a_reported_order(self):
        add_answer("POST")
        self.report()

        self.order.save()

        assert rows.due().count() == 1

    def test_backfill(self):
        rows.all().delete()

        call_command("button_orders_backfill", "--noinput", stdout=StringIO())

        assert rows.due().count() == 1
