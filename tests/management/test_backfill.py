from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime, timedelta, timezone

import responses
from django.test import TestCase, override_settings

from django_button_orders import OrderAdapter
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.outbox.adapters import register, unregister
from tests.faults.processes import wait_for
from tests.management.test_report import REFUSED_KEY
from tests.management.utils import call, has_checkpoints
from tests.shop.models import Blob, ChildOfBlob, Order, OrderLine, Tenant
from tests.utils import (
    NOT_FOUND,
    OK,
    ORDERS_URL,
    add_answer,
    button_settings,
    calls,
)

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

    def test_model_whose_key_is_not_supported(self):
        """It has no table here, so a query would fail."""
        for model in (Tenant, Blob, ChildOfBlob):
            register(model)(OrderAdapter)
            self.addCleanup(unregister, model)

        assert self.backfill() == ("10 created.\n", "", "")
        _, _, error = self.backfill("--model", "shop.Blob")
        assert "The primary key of 'shop.Blob' is not supported." in error

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

        assert out == "Dry run, nothing was changed. Without --dry-run: 10 created.\n"
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

        assert error == "No reportable order has the ID: 4711."
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
                    f"'{label}' is not a registered model. Registered models: "
                    "shop.Order."
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
        """What it says may be about a customer, so only its place is printed."""
        Order.objects.filter(number="1").update(trouble="is_reportable", email="Jane")

        out, err, error = self.backfill()

        assert "9 created" in out
        assert "1 invalid" in out
        assert err.startswith("1: ShopOrderAdapter.is_reportable raised TroubleError")
        assert "No luck" not in err
        assert error == "1 order is invalid. The reason is above."

    def test_json(self):
        out, _, _ = self.backfill("--format", "json", "--dry-run")

        summary = json.loads(out)
        assert summary["dry_run"] is True
        assert summary["created"] == 10

    def test_dry_run_and_now(self):
        _, _, error = self.backfill("--dry-run", "--now")

        assert error == "--dry-run and --now cannot be combined."

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

    def test_now_while_the_account_is_paused(self):
        PausedAccount.objects.pause("default", seconds=60, error="401")

        out, _, error = self.backfill("--now", "--batch-size", "3")

        assert out == "10 created.\n"
        assert error == f"10 orders are not reported: {REFUSED_KEY}"

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_now_while_the_account_is_switched_off(self):
        for arguments, orders in (
            (("--order-id", "3"), "1 order is"),
            ((), "10 orders are"),
        ):
            with self.subTest(arguments=arguments):
                _, _, error = self.backfill("--now", *arguments)

                assert error == (
                    f"{orders} not reported: ENABLED is False for account default."
                )

    @responses.activate
    @override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1))
    def test_now_with_failures(self):
        responses.add("POST", ORDERS_URL, status=400, json=NOT_FOUND)

        out, _, error = self.backfill("--now", "--limit", "2")

        assert out == "2 created, 2 failed.\n"
        first = ButtonOrder.objects.earliest("next_attempt_at", "pk").order_id
        assert error == (
            "2 orders failed and need attention: 2 refused (such as order "
            f"{first}: Button answered 400 to create: No such order)."
        )

    @responses.activate
    @override_settings(
        BUTTON_ORDERS=button_settings(CONCURRENCY=1, RETRY_SCHEDULE=[60])
    )
    def test_now_while_button_is_away(self):
        """All rows are made, but only a few calls are tried."""
        responses.add("POST", ORDERS_URL, body=TimeoutError())

        out, err, error = self.backfill("--now", "--batch-size", "2")

        away = "Button cannot be reached: Button did not answer in time."
        tried = len(calls())
        # The next call may be under way when the last one that is needed ends.
        assert tried in (5, 6)
        assert out == f"10 created, {tried} to be retried.\n"
        assert err == f"{away}\n"
        assert error == (
            f"{away} {tried} orders will be retried, the first in 1 minute. "
            f"{10 - tried} orders were not attempted. The next sweep reports them, "
            "or run the command again."
        )
        assert ButtonOrder.objects.due().count() == 10 - tried

    @responses.activate
    @override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1))
    def test_told_to_end_while_it_reports(self):
        told = []

        def answer(request):
            if not told:
                told.append(os.kill(os.getpid(), signal.SIGTERM))
                # Once it is noted, the next one would end the process.
                wait_for(
                    "the signal",
                    lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
                    60,
                    every=0.01,
                )
            return 200, {}, json.dumps(OK)

        responses.add_callback("POST", ORDERS_URL, answer)

        _, _, error = self.backfill("--now", "--batch-size", "4")

        assert error.startswith("Interrupted after 4 orders.")
        assert ButtonOrder.objects.count() == 4
        assert ButtonOrder.objects.filter(status="reported").count() == 1
        assert ButtonOrder.objects.due().count() == 3

        responses.replace("POST", ORDERS_URL, json=OK)
        out, _, error = self.backfill("--now", "--resume")

        assert error == ""
        assert out == "10 created, 9 reported.\n"

    def test_rate(self):
        begin = time.monotonic()
        self.backfill("--rate", "100", "--batch-size", "4")

        # No more than that is certain on a busy machine.
        assert time.monotonic() - begin >= 0.1

    def test_rate_of_what_is_new(self):
        self.backfill()

        # What is there already is not waited for, or this would take hours.
        self.backfill("--rate", "0.001")

    def test_bad_rate(self):
        for rate in ("0", "-1", "nan", "inf", "fast"):
            with self.subTest(rate=rate):
                _, _, error = self.backfill(f"--rate={rate}")

                assert f"'{rate}' is not a number above 0" in error

    def test_limit_and_resume(self):
        """A part each day, and in the end all of it."""
        for _ in range(3):
            self.backfill("--limit", "4", "--resume")

        assert len(self.order_ids()) == 10
        # Those that it has looked at once more have not used up the limit.
        assert not has_checkpoints()

    def test_resume_without_an_interruption(self):
        out, err, error = self.backfill("--resume")

        assert (out, err, error) == ("10 created.\n", "", "")

    def test_resume_of_another_selection(self):
        self.backfill("--limit", "4", "--since", "2026-01-02")

        out, _, _ = self.backfill("--resume", "--format", "json")

        summary = json.loads(out)
        assert (summary["created"], summary["already_there"]) == (6, 4)

    def test_resume_and_order_id(self):
        _, _, error = self.backfill("--resume", "--order-id", "3")

        assert error == "--resume and --order-id cannot be combined."

    def test_time_without_orders(self):
        for until in ("2026-01-01", "2026-02-01"):
            with self.subTest(until=until):
                _, _, error = self.backfill("--since", "2026-02-01", "--until", until)

                assert error == "--since must be before --until."

    def test_unknown_order_id_in_a_dry_run(self):
        _, _, error = self.backfill("--dry-run", "--order-id", "4711")

        assert error == "No reportable order has the ID: 4711."

    def test_unknown_database(self):
        _, _, error = self.backfill("--database", "nowhere")

        assert error == "DATABASES has no 'nowhere'. Known databases: default, archive."

    def test_json_tells_all_counts_and_the_first_reasons(self):
        Order.objects.update(trouble="is_reportable")
        Order.objects.bulk_create(
            Order(number=f"more-{number}", trouble="get_order_id")
            for number in range(5)
        )

        out, _, error = self.backfill("--format", "json")

        summary = json.loads(out)
        assert len(summary.pop("errors")) == 10
        assert summary == {
            "dry_run": False,
            "created": 0,
            "already_there": 0,
            "not_reportable": 0,
            "invalid": 15,
            "interrupted": False,
        }
        assert error == "15 orders are invalid. The reasons are above."

    def test_reasons_do_nothing_to_a_terminal(self):
        Order.objects.update(trouble="is_reportable", number="\x1b[2J")

        _, err, _ = self.backfill()

        assert "[2J" in err
        assert "\x1b" not in err

    def test_reasons_show_no_customer(self):
        Order.objects.update(trouble="is_reportable", email="Jane")

        out, err, error = self.backfill("--format", "json")

        assert "TroubleError" in out
        assert "Jane" not in out + err + error
