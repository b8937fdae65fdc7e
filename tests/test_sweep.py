from __future__ import annotations

import responses
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connections
from django.test import TestCase, override_settings

from django_button_orders import suppress_reporting
from django_button_orders.delivery import prepare
from django_button_orders.models import ButtonOrder
from django_button_orders.sweep import claim, database_aliases, report_due
from django_button_orders.tasks import report_due_orders
from tests.shop.models import Order
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

    def test_row_that_cannot_be_prepared(self):
        add_answer("POST")
        with suppress_reporting():
            order = Order.objects.create(number="x" * 300, is_cancelled=True)
        ButtonOrder.objects.filter(order_id="0").update(
            order_id="shop.order:1",
            source_type=ContentType.objects.get_for_model(Order),
            source_id=str(order.pk),
        )

        with self.assertLogs("django_button_orders", "ERROR"):
            outcomes = report_due(using="default")

        assert outcomes["reported"] == 8
        assert ButtonOrder.objects.get(order_id="shop.order:1").reason == "invalid"

    def test_slow_adapter_gives_back_what_there_is_no_time_for(self):
        add_answer("POST")
        attempts = claim(ButtonOrder.objects.all(), limit=9)
        ends = attempts[0].lease_ends
        moments = iter([ends - 60, ends - 60, *[ends - 20] * 7])

        prepared = [prepare(item, clock=lambda: next(moments)) for item in attempts]

        released = [item for item in prepared if item.verdict]
        assert len(released) == 7
        assert {item.verdict.outcome.value for item in released} == {"release"}

    @override_settings(BUTTON_ORDERS=button_settings(LEASE_SECONDS=34))
    def test_lease_that_is_too_short_does_not_go_on_for_ever(self):
        assert report_due(using="default") == {"release": 9}
        assert calls() == []
