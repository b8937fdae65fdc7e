from __future__ import annotations

from contextlib import suppress

import pytest
import responses
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connections
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.models.databases import (
    borrowed_connection,
    database_aliases,
    in_each_database,
)
from django_button_orders.tasks import report_due_orders
from tests.utils import add_answer, button_settings, create_row


class NoReplica:
    """A router that keeps the app's tables away from one database."""

    def allow_migrate(self, db, app_label, **hints):
        return db != "archive"


def away(execute, sql, params, many, context):
    raise OperationalError("The server went away.")


@override_settings(BUTTON_ORDERS=button_settings())
class DatabaseTests(TestCase):
    databases = {"default", "archive"}

    def test_all_that_have_the_table(self):
        assert list(database_aliases()) == ["default", "archive"]

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.NoReplica"])
    def test_not_those_that_a_router_leaves_out(self):
        assert list(database_aliases()) == ["default"]

    @responses.activate
    def test_one_that_is_away_does_not_stop_the_others(self):
        add_answer("POST")
        create_row(order_id="2", using="archive")

        with (
            connections["default"].execute_wrapper(away),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            report_due_orders()

        assert ButtonOrder.objects.using("archive").get().status == "reported"

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.NoReplica"])
    def test_what_fails_in_one_is_done_in_the_others(self):
        done = []

        def do(alias):
            done.append(alias)
            raise error

        for error in (OperationalError(), InterfaceError(), KeyError("jane")):
            with (
                self.subTest(error=error),
                self.assertLogs("django_button_orders", "ERROR") as logs,
            ):
                in_each_database(do)

            assert done.pop() == "default"
            assert f"Database default: {type(error).__name__}" in logs.output[0]
            assert "jane" not in logs.output[0]

    def test_time_that_is_over_is_over_for_all(self):
        def do(alias):
            raise SoftTimeLimitExceeded

        with pytest.raises(SoftTimeLimitExceeded):
            in_each_database(do)

    def test_one_that_does_not_answer_is_no_empty_one(self):
        """Whoever asks for the rows is told, and not that there are none."""
        with (
            connections["default"].execute_wrapper(away),
            pytest.raises(OperationalError),
        ):
            list(database_aliases())

    @responses.activate
    def test_one_that_goes_away_meanwhile(self):
        add_answer("POST")
        create_row(order_id="2", using="archive")

        def away_for_claims(execute, sql, params, many, context):
            if "FROM" in sql and "buttonorder" in sql:
                return away(execute, sql, params, many, context)
            return execute(sql, params, many, context)

        with (
            connections["default"].execute_wrapper(away_for_claims),
            self.assertLogs("django_button_orders", "ERROR"),
        ):
            report_due_orders()

        assert ButtonOrder.objects.using("archive").get().status == "reported"


class Connection:
    """As much of a connection as it takes to open and close one."""

    connection = None

    def connect(self):
        self.connection = object()

    def close(self):
        self.connection = None


class BorrowedConnectionTests(SimpleTestCase):
    def setUp(self):
        self.connection = connections["borrowed"] = Connection()
        self.addCleanup(connections.__delitem__, "borrowed")

    def test_closed_afterwards(self):
        with borrowed_connection("borrowed"):
            self.connection.connect()

        assert self.connection.connection is None

    def test_closed_after_an_error(self):
        with suppress(OperationalError), borrowed_connection("borrowed"):
            self.connection.connect()
            raise OperationalError

        assert self.connection.connection is None

    def test_left_open_where_it_was(self):
        self.connection.connect()

        with borrowed_connection("borrowed"):
            pass

        assert self.connection.connection is not None
