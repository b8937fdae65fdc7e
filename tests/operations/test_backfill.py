from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError, connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from django_button_orders import OrderAdapter, suppress_reporting
from django_button_orders.models import ButtonOrder, Checkpoint
from django_button_orders.operations.backfill import Backfill, checkpoint_name
from django_button_orders.outbox import upsert
from django_button_orders.outbox.adapters import get_adapter, select_orders
from django_button_orders.outbox.marking import mark_changed
from tests.shop.models import GiftOrder, Order, OrderLine, Page
from tests.utils import button_settings, create_row

FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)


class PageAdapter(OrderAdapter):
    """An adapter for orders with growing integer keys."""

    def get_order_id(self, order):
        return order.title


class LinesAdapter(OrderAdapter):
    """An adapter whose is_reportable() reads the order's lines."""

    def get_order_id(self, order):
        return order.number

    def is_reportable(self, order):
        return bool(order.lines.all())

    def get_queryset(self):
        return Order.objects.prefetch_related("lines")


def make_orders(*numbers, **values):
    return Order.objects.bulk_create(
        Order(number=str(number), **values) for number in numbers
    )


def make_pages(*titles):
    return Page.objects.bulk_create(Page(title=str(title)) for title in titles)


def begin(adapter, **options):
    options.setdefault("orders", select_orders(adapter, using="default"))
    return Backfill(adapter=adapter, using="default", **options)


def find_checkpoint(name="all"):
    return Checkpoint.objects.get(name=name)


def order_ids():
    return sorted(ButtonOrder.objects.values_list("order_id", flat=True))


@override_settings(BUTTON_ORDERS=button_settings())
class CheckpointTests(TestCase):
    """An interrupted run resumes at its checkpoint."""

    def setUp(self):
        self.adapter = PageAdapter(Page)
        make_pages(*range(10))

    def begin(self, **options):
        checkpoint = Checkpoint.objects.begin("all")
        return begin(self.adapter, checkpoint=checkpoint, batch_size=3, **options)

    def go_on(self, **options):
        return begin(
            self.adapter, checkpoint=find_checkpoint(), batch_size=3, **options
        )

    def interrupt(self, backfill, batches):
        run = backfill.run()
        for _ in range(batches):
            next(run)

    def test_written_with_each_batch(self):
        self.interrupt(self.begin(), 2)

        checkpoint = find_checkpoint()
        assert checkpoint.position == f'["{Page.objects.get(title="5").pk}"]'
        assert checkpoint.counts == {"created": 6}

    def test_goes_on_behind_it(self):
        self.interrupt(self.begin(), 2)
        # Without their rows, the test would see if these orders were read again.
        ButtonOrder.objects.all().delete()

        backfill = self.go_on()
        list(backfill.run())

        assert order_ids() == ["6", "7", "8", "9"]
        assert backfill.counts == {"created": 10}
        assert backfill.is_done

    def test_not_written_without_its_batch(self):
        def refuse(execute, sql, parameters, many, context):
            if sql.startswith(("UPDATE", "SAVEPOINT")) and "checkpoint" in sql:
                raise OperationalError("It is full.")
            return execute(sql, parameters, many, context)

        backfill = self.begin()
        with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
            list(backfill.run())

        assert order_ids() == []
        assert find_checkpoint().position == ""

    def test_orders_that_came_since(self):
        self.interrupt(self.begin(), 2)
        make_pages("new")

        list(self.go_on().run())

        assert order_ids() == [*map(str, range(10)), "new"]

    def test_keys_without_an_order(self):
        """New orders may have keys before the checkpoint."""
        self.adapter = get_adapter(Order)
        make_orders(*range(10))
        self.interrupt(self.begin(), 2)
        done = order_ids()
        make_orders("least", id=UUID(int=0))

        backfill = self.go_on()
        list(backfill.run())

        assert len(done) == 6
        assert order_ids() == [*map(str, range(10)), "least"]
        assert backfill.counts == {"created": 11}

    def test_limit_is_for_what_is_new(self):
        """Orders that are read again do not count."""
        self.adapter = get_adapter(Order)
        for number in range(10):
            make_orders(number, id=UUID(int=10 * number))
        list(self.begin().run())
        for number in range(3):
            make_orders(f"new {number}", id=UUID(int=81 + number))

        backfill = self.go_on(limit=2)
        list(backfill.run())

        assert backfill.seen == 2
        assert order_ids() == [*map(str, range(10)), "new 0", "new 1"]

    def test_what_was_invalid_still_counts(self):
        make_pages("", "x")
        self.interrupt(self.begin(), 4)

        backfill = self.go_on()
        list(backfill.run())

        assert backfill.counts == {"created": 11, "invalid": 1}
        [error] = backfill.errors
        assert error.endswith("PageAdapter.get_order_id: The method returned nothing.")

    def test_limit_goes_on_where_it_ended(self):
        list(self.begin(limit=4).run())
        list(self.go_on(limit=4).run())

        assert order_ids() == list("01234567")
        assert not self.go_on(limit=1).is_done

    def test_dry_run_writes_nothing(self):
        self.interrupt(self.begin(), 1)

        backfill = self.go_on(dry_run=True)
        list(backfill.run())

        assert backfill.counts == {"created": 7}
        assert len(order_ids()) == 3
        assert find_checkpoint().counts == {"created": 3}

    def test_total_is_what_is_left(self):
        self.interrupt(self.begin(), 2)

        assert self.go_on().total() == 4
        assert self.go_on(limit=3).total() == 3

    def test_anew(self):
        self.interrupt(self.begin(), 2)
        before = find_checkpoint()

        again = Checkpoint.objects.begin("all")

        assert again.pk == before.pk
        assert (again.position, again.counts, again.errors) == ("", {}, [])
        assert again.started_at >= before.started_at

    def test_names_are_those_of_the_selection(self):
        moment = datetime(2026, 1, 1, 6, tzinfo=timezone(timedelta(hours=-6)))

        names = {
            checkpoint_name(self.adapter, None, None),
            checkpoint_name(self.adapter, moment, None),
            checkpoint_name(self.adapter, None, moment),
            checkpoint_name(get_adapter(Order), None, None),
        }

        assert len(names) == 4
        assert "backfill shop.Page since 2026-01-01T12:00:00+00:00" in names

    def test_key_of_a_child(self):
        """A child model's key is the relation to its parent."""
        with suppress_reporting():
            for number in range(4):
                GiftOrder.objects.create(number=str(number))
        orders = GiftOrder.objects.all()
        child = type(get_adapter(Order))(GiftOrder)
        checkpoint = Checkpoint.objects.begin("all")
        run = begin(child, orders=orders, checkpoint=checkpoint, batch_size=3).run()
        next(run)

        list(begin(child, orders=orders, checkpoint=find_checkpoint()).run())

        assert order_ids() == list("0123")


@override_settings(BUTTON_ORDERS=button_settings())
class BackfillTests(TestCase):
    def setUp(self):
        self.adapter = get_adapter(Order)

    def run_through(self, adapter=None, **options):
        backfill = begin(adapter or self.adapter, **options)
        list(backfill.run())
        return backfill

    def test_row_is_like_that_of_a_save(self):
        saved = Order.objects.create(number="saved")
        [found] = make_orders("found")
        self.run_through()

        rows = {row.order_id: row for row in ButtonOrder.objects.all()}

        own = {"id", "order_id", "source_id"}
        moments = {"next_attempt_at", "created_at", "updated_at"}
        for field in ButtonOrder._meta.concrete_fields:
            if field.name not in own | moments:
                assert getattr(rows["saved"], field.attname) == getattr(
                    rows["found"], field.attname
                ), field.name
        assert rows["saved"].get_source() == saved
        assert rows["found"].get_source() == found

    def test_older_than_what_is_saved_meanwhile(self):
        """Each claim reserves room for the newest rows, which must be new orders."""
        make_orders(*range(6))
        checkpoint = Checkpoint.objects.begin("all")
        run = begin(self.adapter, checkpoint=checkpoint, batch_size=3).run()
        next(run)
        create_row(order_id="new")
        list(run)

        [newest] = ButtonOrder.objects.due().order_by("-next_attempt_at", "-pk")[:1]

        assert newest.order_id == "new"
        assert ButtonOrder.objects.due().count() == 7

    def test_older_than_what_was_saved_since_it_began(self):
        make_pages(*range(6))
        adapter = PageAdapter(Page)
        checkpoint = Checkpoint.objects.begin("all")
        next(begin(adapter, checkpoint=checkpoint, batch_size=3).run())
        create_row(order_id="new")
        list(begin(adapter, checkpoint=find_checkpoint(), batch_size=3).run())

        [newest] = ButtonOrder.objects.due().order_by("-next_attempt_at", "-pk")[:1]

        assert newest.order_id == "new"

    def test_row_that_is_there_is_not_changed(self):
        [order] = make_orders("1")
        mark_changed(order)
        ButtonOrder.objects.update(status="reported", next_attempt_at=None)
        before = ButtonOrder.objects.values().get()

        backfill = self.run_through()

        assert ButtonOrder.objects.values().get() == before
        assert backfill.counts == {"already_there": 1}

    def test_two_orders_with_one_id(self):
        make_orders("1", "1")

        backfill = self.run_through()

        assert backfill.counts == {"created": 1, "already_there": 1}

    def test_same_id_in_two_accounts(self):
        make_orders("1")
        make_orders("1", account="uk")

        assert self.run_through().counts == {"created": 2}

    def test_ids_that_are_nearly_the_same(self):
        make_orders("aB", "Ab", "Ab ")

        assert self.run_through().counts == {"created": 3}

    def test_ids_with_signs(self):
        ids = ["100%", "it's", 'a"b', "a\\b", "%s", "{}", "caf\u00e9"]
        make_orders(*ids)

        self.run_through()

        assert set(order_ids()) == set(ids)

    def test_account_that_is_too_long(self):
        make_orders("1", "2")

        class Adapter(type(self.adapter)):
            def get_account(self, order):
                return "x" * 101 if order.number == "1" else "default"

        backfill = self.run_through(Adapter(Order))

        assert backfill.counts == {"created": 1, "invalid": 1}
        assert backfill.errors == [
            "1: Adapter.get_account: Enter at most 100 characters."
        ]

    def test_hook_whose_sql_is_wrong(self):
        make_orders("1", "2")

        class Adapter(type(self.adapter)):
            def is_reportable(self, order):
                if order.number == "1":
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT nonsense FROM shop_order")
                return True

        backfill = self.run_through(Adapter(Order))

        assert backfill.counts == {"created": 1, "invalid": 1}
        (error,) = backfill.errors
        assert error.startswith("1: Adapter.is_reportable raised")

    def test_database_that_fails_once(self):
        make_orders("1")
        failures = [OperationalError("deadlock")]

        with connection.execute_wrapper(self.fail_with(failures)):
            backfill = self.run_through(LinesAdapter(Order))

        assert failures == []
        assert backfill.counts == {"not_reportable": 1}

    def test_database_that_is_away(self):
        """A database that is away says nothing about the orders."""
        make_orders("1")
        failures = [OperationalError("It is gone.") for _ in range(3)]

        with (
            connection.execute_wrapper(self.fail_with(failures)),
            pytest.raises(OperationalError),
        ):
            self.run_through(LinesAdapter(Order))

    def fail_with(self, failures):
        def fail(execute, sql, parameters, many, context):
            if ("orderline" in sql or "buttonorder" in sql) and failures:
                raise failures.pop()
            return execute(sql, parameters, many, context)

        return fail

    def test_unwanted_order_that_is_invalid(self):
        make_orders("1", trouble="is_reportable")
        make_orders("2")

        backfill = self.run_through(order_ids=["2"])

        assert backfill.counts == {"created": 1}

    def test_reads_no_more_than_the_hooks_need(self):
        for order in make_orders(*range(5)):
            OrderLine.objects.bulk_create([OrderLine(order=order, sku="a", price=1)])

        class Adapter(LinesAdapter):
            def is_reportable(self, order):
                return True

        with CaptureQueriesContext(connection) as queries:
            self.run_through(Adapter(Order))

        assert not [query for query in queries if "orderline" in query["sql"]]
        assert len(order_ids()) == 5

    def test_reads_what_the_hooks_need_together(self):
        make_orders(*range(9))

        with CaptureQueriesContext(connection) as queries:
            self.run_through(LinesAdapter(Order), batch_size=3)

        about_lines = [query for query in queries if "orderline" in query["sql"]]
        # One query for each order of the first page, then one for each page.
        assert len(about_lines) == 5

    def test_dates_without_a_field(self):
        with pytest.raises(ValidationError, match="has no date_field"):
            select_orders(PageAdapter(Page), using="default", since=FIRST)


class LockTests(TransactionTestCase):
    """Another transaction has locked what a batch needs."""

    def test_tried_again(self):
        make_orders("1")
        failures = [
            OperationalError("database is locked"),
            OperationalError("deadlock"),
        ]

        def fail(execute, sql, parameters, many, context):
            if sql.startswith("INSERT") and failures:
                raise failures.pop()
            return execute(sql, parameters, many, context)

        backfill = begin(get_adapter(Order), lock_waits=[0, 0])
        with connection.execute_wrapper(fail):
            list(backfill.run())

        assert failures == []
        assert backfill.counts == {"created": 1}

    def test_counts_only_the_try_that_was_committed(self):
        make_orders("1")
        failures = [OperationalError("database is locked")]

        def fail(execute, sql, parameters, many, context):
            if sql.startswith("UPDATE") and "checkpoint" in sql and failures:
                raise failures.pop()
            return execute(sql, parameters, many, context)

        checkpoint = Checkpoint.objects.begin("all")
        backfill = begin(get_adapter(Order), checkpoint=checkpoint, lock_waits=[0])
        with connection.execute_wrapper(fail):
            list(backfill.run())

        assert failures == []
        assert backfill.counts == find_checkpoint().counts == {"created": 1}

    def test_gives_way_to_the_shop(self):
        """A batch that must wait releases its own rows, for which the shop may wait."""
        if connection.vendor != "postgresql":
            self.skipTest("Others have one lock, or look for deadlocks at once.")
        make_orders("1", "2")
        shop = connection.copy()
        self.addCleanup(shop.close)
        backfill = begin(get_adapter(Order), lock_waits=[])
        shop.set_autocommit(False)
        with shop.cursor() as cursor:
            cursor.execute(upsert.insert_sql("default"), ["default", "2", 1, "x"])
            with pytest.raises(OperationalError, match="lock timeout"):
                list(backfill.run())
            # The shop holds one row, and now inserts the other.
            cursor.execute(upsert.insert_sql("default"), ["default", "1", 1, "y"])
        shop.commit()

        backfill = begin(get_adapter(Order))
        list(backfill.run())

        assert backfill.counts == {"already_there": 2}

    def test_does_not_wait_for_rows_that_are_there(self):
        """A worker may have locked one of the rows."""
        if connection.vendor == "sqlite":
            self.skipTest("It has one lock for all.")
        # Ids of no other test: InnoDB also locks the gaps beside the deleted rows
        # of an id, until it has purged them.
        make_orders("not there", "there")
        create_row(order_id="there")
        worker = connection.copy()
        self.addCleanup(worker.close)
        worker.set_autocommit(False)
        with worker.cursor() as cursor:
            cursor.execute(upsert.update_sql("default"), ["default", "there"])

            backfill = begin(get_adapter(Order), lock_waits=[])
            list(backfill.run())
        worker.rollback()

        assert backfill.counts == {"created": 1, "already_there": 1}

    def test_not_without_end(self):
        make_orders("1")

        def fail(execute, sql, parameters, many, context):
            if sql.startswith("INSERT"):
                raise OperationalError("It is gone.")
            return execute(sql, parameters, many, context)

        backfill = begin(get_adapter(Order), lock_waits=[0, 0])
        with connection.execute_wrapper(fail), pytest.raises(OperationalError):
            list(backfill.run())

        assert not ButtonOrder.objects.exists()
