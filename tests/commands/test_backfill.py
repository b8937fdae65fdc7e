from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import responses
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from tests.commands.utils import call
from tests.shop.models import Order, OrderLine
from tests.utils import NOT_FOUND, ORDERS_URL, add_answer, button_settings, calls

FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)


@override_settings(BUTTON_ORDERS=button_settings())
class BackfillTests(TestCase):
    databases = {"default", "archive"}

    @classmethod
    def setUpTestData(cls):
        Order.objects.bulk_create(
            Order(number=f"{number}", placed_at=FIRST + timedelta(days=number))
            for number in range(10)
        )

    def backfill(self, *arguments):
        return call("button_orders_backfill", *arguments)

    def order_ids(self):
        return sorted(ButtonOrder.objects.values_list("order_id", flat=True))

    def test_marks_rows_due(self):
        out, err, error = self.backfill()

        assert (out, err, error) == ("10 created.\n", "", "")
        assert ButtonOrder.objects.due().count() == 10
        assert ButtonOrder.objects.first().get_source().number in self.order_ids()

    def test_twice(self):
        self.backfill()
        ButtonOrder.objects.update(status="reported")

        out, _, error = self.backfill()

        assert (out, error) == ("10 already there.\n", "")
        assert ButtonOrder.objects.filter(status="reported").count() == 10

    def test_small_batches(self):
        self.backfill("--batch-size", "3")

        assert ButtonOrder.objects.count() == 10

    def test_dry_run(self):
        out, _, error = self.backfill("--dry-run")

        assert out == "Dry run, nothing was changed. Would be: 10 created.\n"
        assert error == ""
        assert not ButtonOrder.objects.exists()

    def test_since_until(self):
        self.backfill("--since", "2026-01-03T00:00:00Z", "--until", "2026-01-05T00:00Z")

        assert self.order_ids() == ["2", "3"]

    def test_dates_are_days_of_the_project(self):
        # Midnight in Chicago is six hours after midnight in UTC.
        self.backfill("--since", "2026-01-09")

        assert self.order_ids() == ["9"]

    def test_bad_date(self):
        for text in ("soon", "2026-13-01", "2026-02-30"):
            with self.subTest(text=text):
                _, _, error = self.backfill("--since", text)

                assert text in error

    def test_order_id(self):
        out, _, error = self.backfill("--order-id", "3", "--order-id", "7")

        assert (out, error) == ("2 created.\n", "")
        assert self.order_ids() == ["3", "7"]

    def test_unknown_order_id(self):
        _, _, error = self.backfill("--order-id", "3", "--order-id", "4711")

        assert error == "No order to report has the id: 4711."
        assert self.order_ids() == ["3"]

    def test_limit(self):
        self.backfill("--limit", "4", "--batch-size", "3")

        assert len(self.order_ids()) == 4

    def test_bad_limit(self):
        for limit in ("0", "-1", "many"):
            with self.subTest(limit=limit):
                _, _, error = self.backfill(f"--limit={limit}")

                assert "not an integer above 0" in error

    def test_model(self):
        out, _, error = self.backfill("--model", "shop.Order")

        assert (out, error) == ("10 created.\n", "")

    def test_unknown_model(self):
        for label in ("shop.Page", "shop.Nothing", "nonsense"):
            with self.subTest(label=label):
                _, _, error = self.backfill("--model", label)

                assert error == (
                    f"'{label}' is not a registered model. Known are: shop.Order."
                )

    def test_database(self):
        Order.objects.using("archive").bulk_create([Order(number="old")])

        self.backfill("--database", "archive")

        assert ButtonOrder.objects.using("archive").get().order_id == "old"
        assert not ButtonOrder.objects.exists()

    def test_not_reportable(self):
        Order.objects.filter(number__in=["1", "2"]).update(is_paid=False)

        out, _, error = self.backfill()

        assert (out, error) == ("8 created, 2 not reportable.\n", "")

    def test_hook_that_raises(self):
        Order.objects.filter(number="1").update(trouble="is_reportable")

        out, err, error = self.backfill()

        assert "9 created" in out
        assert "1 invalid" in out
        assert err.startswith("1: ShopOrderAdapter.is_reportable raised TroubleError")
        assert error == "1 orders could not be identified."

    def test_json(self):
        out, _, _ = self.backfill("--format", "json", "--dry-run")

        summary = json.loads(out)
        assert summary["dry_run"] is True
        assert summary["created"] == 10

    def test_dry_run_and_now(self):
        _, _, error = self.backfill("--dry-run", "--now")

        assert error == "Choose one of --dry-run and --now."

    @responses.activate
    def test_now(self):
        add_answer("POST")
        OrderLine.objects.bulk_create(
            [OrderLine(order=Order.objects.get(number="1"), sku="a", price=1)]
        )

        out, _, error = self.backfill("--now", "--batch-size", "3")

        assert (out, error) == ("10 created, 10 reported.\n", "")
        assert len(calls()) == 10
        row = ButtonOrder.objects.get(order_id="1")
        assert row.status == "reported"
        assert row.line_items[0]["identifier"] == "a"
        assert row.submissions.get().trigger == "backfill"

    @responses.activate
    def test_now_takes_up_what_was_left(self):
        add_answer("POST")
        self.backfill()

        out, _, _ = self.backfill("--now")

        assert out == "10 already there, 10 reported.\n"

    @responses.activate
    def test_now_leaves_other_rows_alone(self):
        add_answer("POST")
        ButtonOrder.objects.create(order_id="direct")

        self.backfill("--now", "--order-id", "3")

        assert len(calls()) == 1
        assert ButtonOrder.objects.get(order_id="direct").status == "pending"

    @responses.activate
    def test_now_with_failures(self):
        responses.add("POST", ORDERS_URL, status=400, json=NOT_FOUND)

        out, _, error = self.backfill("--now", "--limit", "2")

        assert out == "2 created, 2 failed.\n"
        assert error.startswith("2 failed and need a person, 0 will be tried again.")
