from __future__ import annotations

import json
import os
import signal
import threading
from datetime import timedelta

import responses
from django.db import ProgrammingError, connection, transaction
from django.test import TestCase, override_settings
from django.utils import timezone

from django_button_orders.management.base import stop_on_signals
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot
from tests.faults.processes import wait_for
from tests.management.processes import ProcessTestCase
from tests.management.utils import call
from tests.utils import (
    NOT_FOUND,
    add_answer,
    button_settings,
    calls,
    create_row,
    refuse_query,
)

# With up to a fifth more, it is still said to be one minute.
IN_A_MINUTE = button_settings(RETRY_SCHEDULE=[60], BATCH_SIZE=5, CONCURRENCY=1)
REFUSED_KEY = (
    "account default is paused because Button refuses its API key. Correct API_KEY "
    "and restart the workers. They test the key every 5 minutes. To resume at "
    "once, use the admin or 'manage.py button_orders_retry --account default --resume'."
)


@override_settings(BUTTON_ORDERS=button_settings(SITE="staging"))
class SiteTests(TestCase):
    """Nothing is sent for an order that another site has reported."""

    LEFT = (
        "1 pending order in the database default is not reported: it belongs to the "
        "site live, and SITE is staging here."
    )
    databases = {"default", "archive"}

    def setUp(self):
        create_row(order_id="1")
        ButtonOrder.objects.update(site="live")

    def report(self, *arguments):
        with responses.RequestsMock():
            return call("button_orders_report", *arguments)

    def test_sweep(self):
        for arguments in ([], ["--all"], ["--account", "default"]):
            with self.subTest(arguments=arguments):
                out, err, error = self.report(*arguments)

                assert out.startswith(f"Nothing was sent.\n{self.LEFT}")
                assert (err, error) == ("", "")

    def test_named(self):
        out, _, error = self.report("--order-id", "1")

        assert out == "Nothing was sent.\n"
        assert error == (
            "1 order is not reported: SITE is not 'live' here. Run the command where "
            "SITE is 'live'."
        )

    def test_dry_run(self):
        out, _, _ = self.report("--all", "--dry-run")

        assert out == "Dry run: nothing to do.\n"

    def test_json(self):
        out, _, _ = self.report("--format", "json")

        assert json.loads(out) == {"of_other_sites": 1}


@override_settings(BUTTON_ORDERS=button_settings())
class ReportTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def report(self, *arguments):
        return call("button_orders_report", *arguments)

    def test_once(self):
        add_answer("POST")
        create_row(order_id="1")
        create_row(order_id="2", using="archive")

        assert self.report() == ("2 reported.\n", "", "")

        submission = ButtonOrder.objects.get().submissions.get()
        assert submission.trigger == "command"

    def test_nothing_due(self):
        assert self.report() == ("Nothing to do.\n", "", "")
        out, _, _ = self.report("--dry-run")
        assert out == "Dry run: nothing to do.\n"

    def test_sweep_is_recorded(self):
        self.report("--account", "default")
        assert not Snapshot.objects.exists()

        self.report()

        assert Snapshot.objects.exists()
        assert Snapshot.objects.using("archive").exists()

    def test_sweep_that_cannot_be_recorded(self):
        def refuse(execute, sql, *arguments):
            if Snapshot._meta.db_table in sql:
                raise ProgrammingError("There is no such table.")
            return execute(sql, *arguments)

        add_answer("POST")
        create_row()

        with (
            connection.execute_wrapper(refuse),
            self.assertLogs("django_button_orders", "ERROR") as logs,
        ):
            out, _, error = self.report()

        assert (out, error) == ("1 reported.\n", "")
        assert "recording the sweep failed: ProgrammingError" in logs.output[0]

    def test_order_id(self):
        add_answer("POST")
        create_row(order_id="1")
        create_row(order_id="2")

        self.report("--order-id", "2")

        assert ButtonOrder.objects.get(status="reported").order_id == "2"

    def test_unknown_order_id(self):
        _, _, error = self.report("--order-id", "4711")

        assert error.startswith("No Button order exists for: 4711.")

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {}}))
    def test_account(self):
        create_row()

        assert self.report("--account", "eu")[0] == "Nothing to do.\n"
        assert calls() == []

    def test_unknown_account(self):
        _, _, error = self.report("--account", "moon")

        assert error == (
            "BUTTON_ORDERS['ACCOUNTS'] has no account 'moon'. Known accounts: default."
        )

    def create_waiting(self):
        """Create orders that wait, one that is due, and one that has failed."""
        for order_id, code, hours in (("1", 503, 5), ("2", 503, 1), ("3", 429, 1)):
            row = create_row(order_id=order_id)
            ButtonOrder.objects.filter(pk=row.pk).update(
                reason="unavailable",
                last_status_code=code,
                updated_at=timezone.now() - timedelta(hours=hours),
                next_attempt_at=timezone.now() + timedelta(hours=1),
            )
        create_row(order_id="due")
        failed = create_row(order_id="failed")
        ButtonOrder.objects.filter(pk=failed.pk).update(status="failed")

    def test_selections(self):
        """What is selected is reported at once, also where it waits."""
        add_answer("POST")
        self.create_waiting()
        selections = {
            (): ["due"],
            ("--limit", "1"): ["due"],
            ("--order-id", "1"): ["1"],
            ("--reason", "unavailable"): ["1", "2", "3"],
            ("--reason", "unavailable", "--limit", "2"): ["1", "2"],
            ("--status-code", "503"): ["1", "2"],
            ("--status-code", "4xx"): ["3"],
            ("--older-than", "3h"): ["1"],
            ("--account", "default", "--newer-than", "2h"): ["2", "3", "due"],
            ("--all",): ["1", "2", "3", "due"],
        }
        for arguments, expected in selections.items():
            with self.subTest(arguments=arguments), transaction.atomic():
                summary = f"{len(expected)} attempted.\n"
                out, _, _ = self.report(*arguments, "--dry-run")
                assert (
                    out == f"Dry run, nothing was changed. Without --dry-run: {summary}"
                )
                assert calls() == []

                out, err, error = self.report(*arguments)

                assert (out, err, error) == (f"{len(expected)} reported.\n", "", "")
                reported = ButtonOrder.objects.filter(status="reported")
                ids = reported.order_by("order_id").values_list("order_id", flat=True)
                assert list(ids) == expected
                transaction.set_rollback(True)
            responses.calls.reset()

    def test_in_flight(self):
        """Somebody else is at it."""
        create_row()
        ButtonOrder.objects.claim(limit=1, lease_seconds=60)

        assert self.report("--all") == ("Nothing to do.\n", "", "")
        assert calls() == []

    def test_failed_ones_are_told(self):
        add_answer("POST")
        self.create_waiting()

        out, _, error = self.report("--order-id", "1", "--order-id", "failed")

        assert out == "1 reported.\n"
        assert error == (
            "This order has failed: failed. Retry it with button_orders_retry."
        )
        ButtonOrder.objects.filter(order_id="1").update(status="failed")
        _, _, error = self.report("--order-id", "1", "--order-id", "failed")
        assert error == (
            "These orders have failed: 1, failed. Retry them with button_orders_retry."
        )

    def test_what_fails_again_is_tried_once(self):
        add_answer("POST", status=503)
        self.create_waiting()

        out, _, _ = self.report("--all")

        assert out == "4 to be retried.\n"
        assert len(calls()) == 4

    def test_ambiguous(self):
        for arguments, complaint in (
            (["--all", "--order-id", "1"], "--all and a selection cannot be combined."),
            (["--loop", "--all"], "--loop cannot be combined"),
            (["--loop", "--order-id", "1"], "--loop cannot be combined"),
            (["--loop", "--limit", "1"], "--loop cannot be combined"),
            (["--loop", "--dry-run"], "--loop cannot be combined"),
            (["--interval", "3"], "--interval needs --loop."),
            (["--order-id", ""], "--order-id must not be empty."),
        ):
            with self.subTest(arguments=arguments):
                _, _, error = self.report(*arguments)

                assert error.startswith(complaint)
                assert calls() == []

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS={"eu": {"API_KEY": "k"}}))
    def test_loop_for_an_account(self):
        self.end_during_the_call()
        create_row(order_id="1")
        create_row(order_id="2", account="eu")

        assert self.report("--loop", "--account", "eu")[0] == "1 reported.\n"
        assert ButtonOrder.objects.get(status="reported").account == "eu"

    def test_failure(self):
        add_answer("POST", status=400, json={})
        create_row()

        out, _, error = self.report("--format", "json")

        assert json.loads(out) == {"failed": 1}
        assert error == (
            "1 order failed and needs attention: "
            "1 refused (order 1994: Button answered 400 to create: {})."
        )

    @override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1))
    def test_many_failures(self):
        """The error of the shop's code may quote a customer, so it is left out."""
        add_answer("POST", status=400, body="Too old\x1b[2J.")
        for number in range(1200):
            create_row(order_id=f"{number}", **({} if number else {"currency": "usd"}))

        out, _, error = self.report()

        assert out == "1200 failed.\n"
        assert error == (
            "1,200 orders failed and need attention: 1,199 refused (such as order 1: "
            R"Button answered 400 to create: Too old\x1b[2J), 1 invalid (order 0). "
            "The page of an invalid order in the admin shows its error. Correct the "
            "adapter or the order, then run button_orders_retry --reason invalid."
        )

    def test_sweep_is_recorded_whatever_becomes_of_the_orders(self):
        add_answer("POST", status=400)
        create_row()

        self.report()

        assert Snapshot.objects.exists()

    def test_paused_account(self):
        """Orders that wait for the key are not nothing to do."""
        PausedAccount.objects.pause("default", seconds=60, error="401")
        create_row(order_id="1")
        create_row(order_id="2")
        for arguments, count in (
            ((), 2),
            (("--all",), 2),
            (("--limit", "1"), 1),
            (("--order-id", "2"), 1),
        ):
            with self.subTest(arguments=arguments):
                _, _, error = self.report(*arguments)

                orders = "1 order is" if count == 1 else f"{count} orders are"
                assert error == f"{orders} not reported: {REFUSED_KEY}"

    @override_settings(BUTTON_ORDERS=button_settings(API_KEY=""))
    def test_no_key(self):
        row = create_row()

        _, _, error = self.report()

        assert "1 order is not reported: account default has no API_KEY" in error
        row.refresh_from_db()
        assert (row.status, row.attempts) == ("pending", 0)

    def test_refused_key(self):
        """It is told at once, and as long as an order waits for it."""
        add_answer("POST", status=401, json=NOT_FOUND)
        create_row()
        still = f"1 order is not reported: {REFUSED_KEY}"

        out, _, error = self.report()

        assert out == "1 waiting for the API key.\n"
        assert error == (
            "1 order will be retried, in 5 minutes: 1 unauthorized (order 1994: "
            f"Button answered 401 to create: No such order). {still}"
        )
        assert self.report() == ("Nothing was sent.\n", "", still)
        assert len(calls()) == 1

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_account_that_is_switched_off(self):
        """That is as it should be, except for orders that somebody names."""
        create_row()

        why = "1 order is not reported: ENABLED is False for account default."
        assert self.report() == (f"Nothing was sent. {why}\n", "", "")
        out, _, error = self.report("--order-id", "1994")

        assert (out, error) == ("Nothing was sent.\n", why)
        assert calls() == []

    @override_settings(BUTTON_ORDERS=IN_A_MINUTE)
    def test_will_retry(self):
        add_answer("POST", status=503, body="Down.")
        create_row()

        _, _, error = self.report()

        assert error == (
            "Button is not available: Button answered 503 to create: Down. 1 order "
            "will be retried, in 1 minute."
        )

    @override_settings(BUTTON_ORDERS=IN_A_MINUTE)
    def test_some_will_retry(self):
        add_answer("POST", status=400, json=NOT_FOUND)
        responses.add("POST", "https://button.test/v1/order", status=503)
        for number in range(3):
            create_row(order_id=f"{number}")

        _, err, error = self.report()

        assert err == ""
        assert error.endswith(
            "attention: 1 refused (order 0: Button answered 400 to create: No such "
            "order). 2 orders will be retried, the first in 1 minute: "
            "2 unavailable (such as order 1: Button answered 503 to create: without a "
            "message)."
        )

    def test_orders_that_wait(self):
        self.create_waiting()
        ButtonOrder.objects.filter(order_id="due").delete()
        ButtonOrder.objects.pending().update(next_attempt_at=from_now(8000))
        out = "Nothing is due. {} next attempt, {}in 2 hours.\n"
        many = out.format("3 orders wait for their", "the first ")

        assert self.report() == (many, "", "")
        ButtonOrder.objects.exclude(order_id="1").delete()
        assert self.report() == (out.format("1 order waits for its", ""), "", "")
        assert self.report("--format", "json")[0] == "{}\n"

    @override_settings(BUTTON_ORDERS={**IN_A_MINUTE, "CONCURRENCY": 2})
    def test_button_is_away(self):
        """It is told at once, and nothing more is tried while nothing gets through."""
        add_answer("POST", body=TimeoutError())
        for number in range(50):
            create_row(order_id=f"{number}")
        away = "Button cannot be reached: Button did not answer in time."
        for arguments in ((), ("--all",)):
            with self.subTest(arguments=arguments), transaction.atomic():
                out, err, error = self.report(*arguments)

                tried = len(calls())
                # With 2 connections, a few more may be under way.
                assert 5 <= tried <= 10
                assert out == f"{tried} to be retried.\n"
                assert err == f"{away}\n"
                assert error == (
                    f"{away} {tried} orders will be retried, the first in "
                    f"1 minute. {50 - tried} orders were not attempted. The next "
                    "sweep reports them, or run the command again."
                )
                assert ButtonOrder.objects.due().count() == 50 - tried
                transaction.set_rollback(True)
            responses.calls.reset()

    def test_last_attempts(self):
        """An order that has used up its attempts has failed."""
        add_answer("POST", status=503)
        create_row()
        ButtonOrder.objects.update(attempts=13)

        out, _, error = self.report()

        assert out == "1 failed.\n"
        assert error.startswith("1 order failed and needs attention: 1 exhausted")

    def test_database_that_is_away(self):
        with connection.execute_wrapper(refuse_query):
            out, _, error = self.report()

        assert out == ""
        assert error.startswith("The database failed: ")
        assert "The server went away" in error

    def end_during_the_call(self):
        told = threading.Lock()

        def answer(request):
            # Once: a second signal would end the tests.
            if told.acquire(blocking=False):
                os.kill(os.getpid(), signal.SIGTERM)
            # Noted, the signal is the system's again.
            wait_for(
                "the signal",
                lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
                60,
                every=0.01,
            )
            return 200, {}, ""

        responses.add_callback("POST", "https://button.test/v1/order", answer)

    def test_loop_ends_with_a_signal(self):
        before = signal.getsignal(signal.SIGTERM)
        self.end_during_the_call()
        create_row()

        assert self.report("--loop", "--interval", "1") == ("1 reported.\n", "", "")
        assert Snapshot.objects.exists()
        assert signal.getsignal(signal.SIGTERM) is before

    @override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1))
    def test_run_ends_with_a_signal(self):
        """What has begun is finished, the rest given back."""
        self.end_during_the_call()
        for number in range(60):
            create_row(order_id=f"{number}")

        out, _, error = self.report()

        left = ButtonOrder.objects.due().filter(attempts=0).count()
        assert left
        assert f"{left} not attempted" in out
        assert error == (
            f"{left} orders were not attempted. The next sweep reports them, "
            "or run the command again."
        )

    def test_called_in_another_thread(self):
        """Signals belong to the main one."""
        found = []

        def note():
            with stop_on_signals():
                found.append(signal.getsignal(signal.SIGTERM))

        before = signal.getsignal(signal.SIGTERM)
        thread = threading.Thread(target=note)
        thread.start()
        thread.join()

        assert found == [before]


class ReportProcessTests(ProcessTestCase):
    def test_piped(self):
        with override_settings(BUTTON_ORDERS=button_settings()):
            for order_id in ("1", "2"):
                create_row(order_id=order_id)
        self.sandbox.misbehave(status=400, times=1)
        self.publish()

        status, out, err = self.run_command("button_orders_report", "--format", "json")

        assert status == 1
        assert json.loads(out) == {"reported": 1, "failed": 1}
        # There is no bar, because nobody would see it move.
        [line] = err.splitlines()
        assert line.startswith(
            "CommandError: 1 order failed and needs attention: 1 refused (order "
        )
        assert self.run_command("button_orders_report")[0] == 0
