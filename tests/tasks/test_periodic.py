from __future__ import annotations

import pytest
import responses
from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError, connections
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.tasks import report_due_orders
from django_button_orders.tasks.periodic import in_each_database
from tests.utils import add_answer, button_settings, create_row, refuse_query


@override_settings(BUTTON_ORDERS=button_settings())
class EachDatabaseTests(TestCase):
    databases = {"default", "archive"}

    @responses.activate
    def test_one_that_is_away_does_not_stop_the_others(self):
        add_answer("POST")
        create_row(order_id="2", using="archive")

        with (
            connections["default"].execute_wrapper(refuse_query),
            self.assertLogs("django_button_orders", "WARNING"),
        ):
            report_due_orders()

        assert ButtonOrder.objects.using("archive").get().status == "reported"

    @override_settings(DATABASE_ROUTERS=["tests.utils.NoArchiveRouter"])
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

    @responses.activate
    def test_one_that_goes_away_meanwhile(self):
        add_answer("POST")
        create_row(order_id="2", using="archive")

        def away_for_claims(execute, sql, params, many, context):
            if "FROM" in sql and "buttonorder" in sql:
                return refuse_query()
            return execute(sql, params, many, context)

        with (
            connections["default"].execute_wrapper(away_for_claims),
            self.assertLogs("django_button_orders", "ERROR"),
        ):
            report_due_orders()

        assert ButtonOrder.objects.using("archive").get().status == "reported"
