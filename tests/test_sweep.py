from __future__ import annotations

import responses
from django.db import OperationalError, connections
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.sweep import database_aliases, report_due
from django_button_orders.tasks import report_due_orders
from tests.utils import ORDERS_URL, add_answer, button_settings, calls, create_row


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
        assert database_aliases() == ["default", "archive"]

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.NoReplica"])
    def test_not_those_that_a_router_leaves_out(self):
        assert database_aliases() == ["default"]

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


@override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1, BATCH_SIZE=3))
class ReportDueTests(TestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        for number in range(9):
            create_row(order_id=f"{number}")

    def test_outcomes_and_progress(self):
        add_answer("POST")
        seen = []

        outcomes = report_due(using="default", progress=seen.append)

        assert outcomes == {"reported": 9}
        assert seen == ["reported"] * 9

    def test_narrowed(self):
        add_answer("POST")
        rows = ButtonOrder.objects.filter(order_id__in=["1", "2"])

        assert report_due(using="default", rows=rows) == {"reported": 2}

    def test_stopped(self):
        def answer(request):
            stopped.append(True)
            return 200, {}, ""

        stopped = []
        responses.add_callback("POST", ORDERS_URL, answer)

        outcomes = report_due(using="default", is_stopped=lambda: bool(stopped))

        assert len(calls()) == 1
        assert outcomes == {"reported": 1, "release": 2}
        assert ButtonOrder.objects.due().count() == 8
        assert not ButtonOrder.objects.pending().filter(attempts__gt=0).exists()

    def test_time_is_up(self):
        assert report_due(using="default", seconds=0) == {}
        assert ButtonOrder.objects.due().count() == 9

    @override_settings(BUTTON_ORDERS=button_settings(LEASE_SECONDS=34))
    def test_lease_that_is_too_short_does_not_go_on_for_ever(self):
        assert report_due(using="default") == {"release": 9}
        assert calls() == []
