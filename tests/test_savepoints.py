from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test import TransactionTestCase

from django_button_orders.savepoints import LazySavepoint, execute, takes_many
from tests.shop.models import Page


def read(number):
    return execute("SELECT %s", [number], using="default").rows


def fail():
    execute("SELECT * FROM nowhere WHERE id = %s", [1], using="default")


class ExecuteTests(TransactionTestCase):
    def test_in_a_transaction(self):
        with transaction.atomic():
            assert read(7) == [(7,)]

    def test_outside(self):
        with self.assertNumQueries(1):
            assert read(7) == [(7,)]

    def test_trips(self):
        with (
            transaction.atomic(),
            self.assertNumQueries(1 if takes_many("default") else 3),
        ):
            read(7)

    def test_failure_leaves_the_transaction_as_it_was(self):
        with transaction.atomic():
            Page.objects.create(title="Before")
            for _ in range(2):
                with pytest.raises(DatabaseError):
                    fail()
            Page.objects.create(title="After")

        assert Page.objects.count() == 2

    def test_failure_outside(self):
        with pytest.raises(DatabaseError):
            fail()

        assert read(7) == [(7,)]

    def test_within_savepoints(self):
        with transaction.atomic():
            with transaction.atomic():
                Page.objects.create(title="One")
                with pytest.raises(DatabaseError):
                    fail()
            with transaction.atomic():
                Page.objects.create(title="Other")
                assert read(7) == [(7,)]
                transaction.set_rollback(True)

        assert [page.title for page in Page.objects.all()] == ["One"]

    def test_rolled_back_with_the_transaction(self):
        table = Page._meta.db_table
        with transaction.atomic():
            sql = f"INSERT INTO {table} (title) VALUES (%s)"  # noqa: S608
            execute(sql, ["x"], using="default")
            assert Page.objects.exists()
            transaction.set_rollback(True)

        assert not Page.objects.exists()

    def test_refused_before_the_database_hears_of_it(self):
        def refuse(*args):
            raise OperationalError("Not today.")

        with transaction.atomic():
            Page.objects.create(title="Before")
            with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
                read(7)
            Page.objects.create(title="After")

        assert Page.objects.count() == 2


class LazySavepointTests(TransactionTestCase):
    def ask_for_nonsense(self):
        with LazySavepoint("default"):
            Page.objects.create(title="In it")
            connection.cursor().execute("SELECT nonsense FROM nowhere")

    def test_nothing_is_asked(self):
        with transaction.atomic(), self.assertNumQueries(0), LazySavepoint("default"):
            pass

    def test_something_is(self):
        with (
            transaction.atomic(),
            self.assertNumQueries(4),
            LazySavepoint("default"),
        ):
            Page.objects.exists()
            Page.objects.exists()

    def test_outside_a_transaction(self):
        with self.assertNumQueries(1), LazySavepoint("default"):
            Page.objects.exists()

    def test_failure_leaves_the_transaction_as_it_was(self):
        with transaction.atomic():
            with pytest.raises(DatabaseError):
                self.ask_for_nonsense()
            Page.objects.create(title="After")

        assert [page.title for page in Page.objects.all()] == ["After"]

    def test_savepoint_is_refused(self):
        def refuse(*args):
            raise OperationalError("Not today.")

        with transaction.atomic():
            with (
                pytest.raises(OperationalError),
                connection.execute_wrapper(refuse),
                LazySavepoint("default"),
            ):
                Page.objects.exists()
            Page.objects.create(title="After")

        assert Page.objects.exists()
        assert not connection.execute_wrappers

    def test_what_is_kept(self):
        with transaction.atomic(), LazySavepoint("default"), transaction.atomic():
            Page.objects.create(title="In it")

        assert Page.objects.exists()
        assert not connection.execute_wrappers
