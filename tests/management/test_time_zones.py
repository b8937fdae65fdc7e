"""The commands in a project without ``USE_TZ``."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import responses
from django.test import TestCase, override_settings

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.reconcile.recent import compare_recent
from tests.management.utils import call
from tests.shop.models import Order
from tests.utils import (
    LONG_AGO,
    NOT_FOUND,
    add_answer,
    button_settings,
    create_row,
    order_url,
)

COLUMNS = {"new": {"Order ID": "order_id"}, "changes": {"Order ID": "order_id"}}
# Twice half past one in the morning in Chicago, an hour apart.
EARLY = datetime(2026, 11, 1, 6, 30, tzinfo=timezone.utc)
LATE = EARLY + timedelta(hours=1)
BETWEEN = "2026-11-01T07:00Z"


@override_settings(
    USE_TZ=False,
    BUTTON_ORDERS=button_settings(BATCH_FILE_BRAND="SHOP", BATCH_FILE_COLUMNS=COLUMNS),
)
class WithoutTimeZonesTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        add_answer("POST")

    def create_rows(self):
        create_row(order_id="early", purchase_date=EARLY)
        create_row(order_id="late", purchase_date=LATE)

    def place_orders(self):
        Order.objects.create(number="october", placed_at=datetime(2026, 10, 31, 12))
        Order.objects.create(number="november", placed_at=datetime(2026, 11, 1, 12))

    def order_ids(self):
        return sorted(ButtonOrder.objects.values_list("order_id", flat=True))

    def test_backfill(self):
        self.place_orders()
        ButtonOrder.objects.all().delete()

        out, _, error = call(
            *("button_orders_backfill", "--since", "2026-10-31"),
            *("--until", "2026-11-01"),
        )

        assert (out, error) == ("1 created.\n", "")
        assert self.order_ids() == ["october"]

    def test_reconcile_shop(self):
        self.place_orders()
        ButtonOrder.objects.all().delete()

        call("button_orders_reconcile", "shop", "--since", "2026-11-01")

        assert Difference.objects.get().order_id == "november"

    def test_reconcile_button(self):
        self.create_rows()
        report_due(using="default")
        ButtonOrder.objects.update(reported_at=LONG_AGO)
        for order_id in ("early", "late"):
            add_answer("GET", order_url(order_id), status=404, json=NOT_FOUND)

        for option, order_id in (("--since", "late"), ("--until", "early")):
            with self.subTest(option=option):
                call("button_orders_reconcile", "button", option, BETWEEN)

                found = Difference.objects.values_list("order_id", flat=True)
                assert list(found) == [order_id]
                Difference.objects.all().delete()

    def test_recent_orders(self):
        day = timedelta(days=1)
        Order.objects.create(number="today")
        Order.objects.create(number="old", placed_at=datetime.now() - 30 * day)
        ButtonOrder.objects.all().delete()

        compare_recent(using="default", seconds=60)

        assert self.order_ids() == ["today"]

    def test_export(self):
        self.create_rows()

        for since, until, order_id in (
            ("2026-11-01", BETWEEN, "early"),
            (BETWEEN, "2026-11-02", "late"),
        ):
            out, _, error = call(
                *("button_orders_export", "--kind", "new", "--since", since),
                *("--until", until),
            )

            assert (out.split()[-1], error) == (order_id, "")

    def test_status(self):
        self.create_rows()
        call("button_orders_report")

        out, _, _ = call("button_orders_status", "--format", "json")

        found = json.loads(out)["databases"][0]
        assert found["last_sweep_seconds"] < 60
        assert found["calls"]["24h"]["succeeded"] == 2

    def test_report_and_retry(self):
        self.create_rows()
        ButtonOrder.objects.update(status="failed", reason="refused")

        out, _, error = call("button_orders_retry", "--newer-than", "1h", "--noinput")

        assert (error, ButtonOrder.objects.due().count()) == ("", 2), out
        call("button_orders_report")
        assert set(ButtonOrder.objects.values_list("status", flat=True)) == {"reported"}

    def test_prune(self):
        self.create_rows()
        call("button_orders_report")

        out, _, error = call("button_orders_prune")

        assert error == "", out
