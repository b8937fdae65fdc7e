from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test import TransactionTestCase

from django_button_orders.outbox.savepoints import (
    LazySavepoint,
    execute_in_savepoint,
    takes_many_statements,
)
from tests.shop.models import Page


def read(number):
    return execute_in_savepoint("SELECT %s", [number], using="default").rows


def fail():
    execute_in_savepoint("SELECT * FROM nowhere WHERE id = %s", [1], using="default")


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
            self.assertNumQueries(1 if takes_many_statements("default") else 3),
        ):
            read(7)

    def test_trips_of_what_not_all_encodings_have(self):
        """A database in Latin-1 would refuse the savepoint, too."""
        with transaction.atomic(), self.assertNumQueries(3):
            execute_in_savepoint("SELECT %s", ["\u2116 1"], using="default")

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
            execute_in_savepoint(sql, ["x"], using="default")
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

    def test_release_is_refused(self):
        """PostgreSQL refuses it if the code within has caught an error of a query."""
        refused = []

        def refuse(execute, sql, *args):
            if sql.startswith("RELEASE") and not refused:
                refused.append(sql)
                raise OperationalError("Not today.")
            return execute(sql, *args)

        with transaction.atomic():
            with (
                pytest.raises(OperationalError),
                connection.execute_wrapper(refuse),
                LazySavepoint("default"),
            ):
                Page.objects.create(title="Undone")
            Page.objects.create(title="After")

        assert [page.title for page in Page.objects.all()] == ["After"]

    def test_blocks_without_savepoints_of_their_own(self):
        """bulk_create() and delete() open such blocks."""

        def find():
            with transaction.atomic(savepoint=False):
                Page.objects.get(title="nowhere")

        def fill():
            Page.objects.bulk_create([Page(pk=1), Page(pk=1)])

        def fail_at_once():
            with transaction.atomic(savepoint=False):
                raise Page.DoesNotExist

        def undo():
            with transaction.atomic(savepoint=False):
                Page.objects.create(title="Undone")
                transaction.set_rollback(True)
            raise Page.DoesNotExist

        for ask in (find, fill, fail_at_once, undo):
            with self.subTest(ask=ask.__name__):
                Page.objects.all().delete()
                with transaction.atomic():
                    Page.objects.create(title="Before")
                    with (
                        pytest.raises((Page.DoesNotExist, DatabaseError)),
                        LazySavepoint("default"),
                    ):
                        ask()
                    Page.objects.create(title="After")

                titles = Page.objects.values_list("title", flat=True)
                assert sorted(titles) == ["After", "Before"]

    def test_transaction_that_was_broken_before(self):
        with transaction.atomic():
            Page.objects.create(title="Before")
            transaction.set_rollback(True)
            with (
                pytest.raises(transaction.TransactionManagementError),
                LazySavepoint("default"),
            ):
                Page.objects.exists()
            assert transaction.get_rollback()

        assert not Page.objects.exists()

    def test_what_was_to_follow_the_commit_of_what_is_undone(self):
        told = []

        def fail():
            Page.objects.create(title="Undone")
            transaction.on_commit(lambda: told.append("undone"))
            raise Page.DoesNotExist

        with transaction.atomic():
            transaction.on_commit(lambda: told.append("before"))
            with pytest.raises(Page.DoesNotExist), LazySavepoint("default"):
                fail()
            with LazySavepoint("default"):
                Page.objects.exists()
                transaction.on_commit(lambda: told.append("kept"))

        assert told == ["before", "kept"]

    def test_blocks_of_their_own_outside_a_transaction(self):
        def write():
            for title in ("One", "Other"):
                with transaction.atomic(durable=True):
                    Page.objects.create(title=title)
            raise Page.DoesNotExist

        with pytest.raises(Page.DoesNotExist), LazySavepoint("default"):
            write()

        assert Page.objects.count() == 2

    def test_what_is_kept(self):
        with transaction.atomic(), LazySavepoint("default"), transaction.atomic():
            Page.objects.create(title="In it")

        assert Page.objects.exists()
        assert not connection.execute_wrappers
