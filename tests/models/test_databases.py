from __future__ import annotations

from contextlib import suppress

import pytest
from django.db import OperationalError, connections
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders.models.databases import (
    borrowed_connection,
    database_aliases,
)
from tests.utils import button_settings, refuse_query


@override_settings(BUTTON_ORDERS=button_settings())
class DatabaseTests(TestCase):
    databases = {"default", "archive"}

    def test_all_that_have_the_table(self):
        assert list(database_aliases()) == ["default", "archive"]

    @override_settings(DATABASE_ROUTERS=["tests.utils.NoArchiveRouter"])
    def test_not_those_that_a_router_leaves_out(self):
        assert list(database_aliases()) == ["default"]

    def test_one_that_does_not_answer_is_no_empty_one(self):
        """An error is raised. Finding no rows would look like success."""
        with (
            connections["default"].execute_wrapper(refuse_query),
            pytest.raises(OperationalError),
        ):
            list(database_aliases())


class Connection:
    """A connection that can only be opened and closed."""

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
