from __future__ import annotations

import json
import os
import pty
import subprocess
from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from tests.management.processes import ProcessTestCase
from tests.management.utils import call
from tests.utils import button_settings, create_row

SETTINGS = button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})


@override_settings(BUTTON_ORDERS=SETTINGS)
class RetryTests(TestCase):
    databases = {"default", "archive"}

    @classmethod
    def setUpTestData(cls):
        now = timezone.now()
        for order_id, account, status, reason, code, hours in (
            ("1", "default", "failed", "refused", 400, 0),
            ("2", "default", "failed", "exhausted", 500, 5),
            ("3", "eu", "failed", "refused", 422, 1),
            ("4", "default", "dismissed", "refused", 400, 5),
            ("5", "default", "reported", "", 200, 5),
        ):
            row = create_row(order_id=order_id, account=account)
            ButtonOrder.objects.filter(pk=row.pk).update(
                status=status,
                reason=reason,
                last_status_code=code,
                updated_at=now - timedelta(hours=hours),
            )

    def retry(self, *arguments):
        return call("button_orders_retry", *arguments)

    def pending(self):
        rows = ButtonOrder.objects.pending().order_by("order_id")
        return list(rows.values_list("order_id", flat=True))

    def test_selections(self):
        selections = {
            ("--all",): ["1", "2", "3"],
            ("--reason", "refused"): ["1", "3"],
            ("--account", "eu"): ["3"],
            ("--reason", "refused", "--account", "default"): ["1"],
            ("--order-id", "1", "--order-id", "4"): ["1", "4"],
            ("--status-code", "500"): ["2"],
            ("--status-code", "4xx"): ["1", "3"],
            ("--status-code", "4XX", "--account", "eu"): ["3"],
            ("--older-than", "3h"): ["2"],
            ("--newer-than", "4h"): ["1", "3"],
            ("--newer-than", "2d"): ["1", "2", "3"],
            ("--older-than", "30m", "--newer-than", "180m"): ["3"],
            ("--all", "--limit", "2"): ["1", "2"],
            ("--reason", "refused", "--limit", "1"): ["1"],
        }
        for arguments, expected in selections.items():
            with self.subTest(arguments=arguments), transaction.atomic():
                out, err, error = self.retry(*arguments)

                assert (out, err, error) == (f"{len(expected)} retried.\n", "", "")
                assert self.pending() == expected
                transaction.set_rollback(True)

    def test_empty_or_ambiguous_selection(self):
        for arguments in (
            [],
            ["--dry-run"],
            ["--limit", "1"],
            ["--noinput"],
            ["--all", "--reason", "refused"],
            ["--all", "--older-than", "1h"],
            ["--status", "closed"],
        ):
            with self.subTest(arguments=arguments):
                _, _, error = self.retry(*arguments)

                assert error.startswith("Select orders with --order-id")
                assert self.pending() == []

    def test_closed(self):
        """Nobody has to retry these, so a retry of all failed ones leaves them."""
        ButtonOrder.objects.filter(order_id="1").update(
            status="closed", reason="finalized"
        )
        for arguments, expected in {
            ("--all",): ["2", "3"],
            ("--reason", "finalized"): [],
            ("--all", "--status", "closed"): ["1"],
            ("--reason", "finalized", "--status", "closed"): ["1"],
            ("--reason", "refused", "--status", "failed"): ["3"],
            ("--order-id", "1"): ["1"],
        }.items():
            with self.subTest(arguments=arguments), transaction.atomic():
                self.retry(*arguments)

                assert self.pending() == expected
                transaction.set_rollback(True)

    def test_named_order_with_another_status(self):
        _, _, error = self.retry("--order-id", "1", "--status", "closed")

        assert error.endswith("It is unknown or not closed.")
        assert self.pending() == []

    def test_dry_run(self):
        out, _, _ = self.retry("--all", "--dry-run")

        assert out == "Dry run, nothing was changed. Without --dry-run: 3 retried.\n"
        assert self.pending() == []

    def test_json(self):
        out, _, _ = self.retry("--all", "--format", "json")

        assert json.loads(out) == {"dry_run": False, "retried": 3}

    def test_what_has_not_failed(self):
        """The others are retried."""
        out, _, error = self.retry(
            *("--order-id", "5", "--order-id", "1", "--order-id", "moon")
        )

        assert out == "1 retried.\n"
        assert error.startswith("These orders cannot be retried: 5, moon.")
        assert self.pending() == ["1"]

    def test_one_that_has_not_failed(self):
        assert self.retry("--order-id", "5") == (
            "Nothing to do.\n",
            "",
            "This order cannot be retried: 5. It is unknown or not failed.",
        )

    def test_unknown_words(self):
        for arguments in (
            ["--reason", "bad luck"],
            ["--account", "moon"],
            ["--status-code", "6xx"],
            ["--status-code", "50"],
            ["--status-code", "5x"],
            ["--status-code", "٥٠٣"],
            ["--older-than", "3"],
            ["--older-than", "0h"],
            ["--newer-than", "-3h"],
            ["--newer-than", "1.5h"],
            ["--newer-than", "36501d"],
            ["--newer-than", "999999999w"],
            ["--limit", "0"],
        ):
            with self.subTest(arguments=arguments):
                _, _, error = self.retry("=".join(arguments))

                assert arguments[1] in error
                assert self.pending() == []

    def test_impossible(self):
        for arguments, complaint in (
            (
                ["--older-than", "3h", "--newer-than", "180m"],
                "--older-than must be less",
            ),
            (["--order-id", ""], "--order-id must not be empty."),
        ):
            with self.subTest(arguments=arguments):
                _, _, error = self.retry(*arguments)

                assert error.startswith(complaint)

    def test_every_database(self):
        row = create_row(order_id="6", using="archive")
        ButtonOrder.objects.using("archive").filter(pk=row.pk).update(status="failed")

        assert self.retry("--all", "--limit", "2")[0] == "2 retried.\n"
        assert self.retry("--all", "--limit", "2")[0] == "2 retried.\n"
        assert ButtonOrder.objects.using("archive").pending().count() == 1

    def test_pages(self):
        ButtonOrder.objects.bulk_create(
            ButtonOrder(order_id=f"A{number}", status="failed")
            for number in range(1001)
        )

        with self.assertNumQueries(8):
            # If the table is there, the keys, and for each of three pages whom to
            # ring for and the UPDATE.
            out, _, _ = self.retry("--all", "--limit", "1002")

        assert out == "1002 retried.\n"
        assert ButtonOrder.objects.failed().count() == 2


@override_settings(BUTTON_ORDERS=SETTINGS)
class ResumeTests(TransactionTestCase):
    databases = {"default", "archive"}

    def pause(self, account="eu", *, using="default", orders=2):
        PausedAccount.objects.using(using).all().pause(
            account, seconds=300, error="Button answered 401."
        )
        for number in range(orders):
            create_row(order_id=f"{account} {number}", account=account, using=using)
        waiting = ButtonOrder.objects.using(using).filter(order_id=f"{account} 0")
        waiting.update(
            reason="unauthorized", last_status_code=401, next_attempt_at=from_now(300)
        )

    def resume(self, *arguments, account="eu"):
        return call("button_orders_retry", "--account", account, "--resume", *arguments)

    def paused(self):
        return set(PausedAccount.objects.values_list("account", flat=True))

    def test_resumed(self):
        self.pause()
        self.pause("default")
        create_row(order_id="cancelled", account="eu", status="cancelled")

        assert self.resume() == (
            "Account 'eu' is resumed: 2 orders are due again.\n",
            "",
            "",
        )
        assert self.paused() == {"default"}
        assert ButtonOrder.objects.filter(account="eu").due().count() == 2
        assert not LogEntry.objects.exists()

    def test_one_order_and_none(self):
        self.pause(orders=1)
        assert self.resume()[0] == "Account 'eu' is resumed: 1 order is due again.\n"

        self.pause(orders=0)
        ButtonOrder.objects.all().delete()
        assert self.resume()[0] == "Account 'eu' is resumed: 0 orders are due again.\n"

    def test_not_paused(self):
        self.pause("default")

        assert self.resume() == ("Account 'eu' is not paused.\n", "", "")
        assert self.paused() == {"default"}

    def test_every_database(self):
        self.pause(orders=1)
        self.pause(using="archive")

        assert "3 orders are due" in self.resume()[0]
        assert not PausedAccount.objects.using("archive").exists()

    def test_json(self):
        self.pause()

        for resumed, due in ((True, 2), (False, 0)):
            out, _, _ = self.resume("--format", "json")
            assert json.loads(out) == {"account": "eu", "resumed": resumed, "due": due}

    def test_others_do_not_fit(self):
        self.pause()
        for arguments in (
            ["--resume"],
            ["--resume", "--all"],
            *(
                ["--resume", "--account", "eu", *more]
                for more in (
                    ["--order-id", "eu 0"],
                    ["--reason", "unauthorized"],
                    ["--status-code", "401"],
                    ["--older-than", "1h"],
                    ["--newer-than", "1h"],
                    ["--limit", "1"],
                    ["--all"],
                    ["--dry-run"],
                )
            ),
        ):
            with self.subTest(arguments=arguments):
                out, _, error = call("button_orders_retry", *arguments)

                assert error == (
                    "--resume needs --account, and cannot be combined with --dry-run "
                    "or another selection."
                )
                assert (out, self.paused()) == ("", {"eu"})

    def test_unknown_account(self):
        assert "has no account 'moon'." in self.resume(account="moon")[2]


class RetryProcessTests(ProcessTestCase):
    def setUp(self):
        super().setUp()
        with override_settings(BUTTON_ORDERS=button_settings()):
            create_row()
        ButtonOrder.objects.update(status="failed", reason="refused")
        self.publish()

    def answer(self, text):
        """Run it on a terminal, and return what it wrote and its exit status."""
        terminal, other = pty.openpty()
        command = ("button_orders_retry", "--all", "--no-color")
        process = self.start(*command, stdin=other, stderr=subprocess.STDOUT)
        os.write(terminal, text.encode())
        status, out, _ = self.finish(process)
        os.close(terminal)
        os.close(other)
        return out, status

    def test_question_on_a_terminal(self):
        question = "Retry 1 failed order? [y/N] "
        assert self.answer("\n") == (
            f"{question}CommandError: Nothing was changed.\n",
            1,
        )
        assert self.answer("y\n") == (f"{question}1 retried.\n", 0)
        self.refresh()
        assert ButtonOrder.objects.pending().count() == 1

    def test_no_question_without_a_terminal(self):
        done = self.run_command("button_orders_retry", "--all")

        assert done == (0, "1 retried.\n", "")

    def test_exit_status(self):
        for arguments in ([], ["--order-id", "moon"], ["--reason", "moon"]):
            status, _, _ = self.run_command("button_orders_retry", *arguments)

            assert status != 0
