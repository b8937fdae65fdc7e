from __future__ import annotations

import json
import signal
from datetime import timedelta

from django.test import TestCase, override_settings
from django.utils import timezone

from django_button_orders.models import Difference, Submission
from tests.management.processes import ProcessTestCase
from tests.management.utils import call
from tests.operations.test_retention import create, make_submission, state_of
from tests.utils import button_settings


@override_settings(BUTTON_ORDERS=button_settings())
class PruneTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        self.made = [create(days) for days in (1, 10, 31, 32, 400)]
        create(400, using="archive")

    def prune(self, *arguments):
        return call("button_orders_prune", *arguments)

    def states(self):
        return [state_of(item) for item in self.made]

    def test_as_the_settings_say(self):
        out, err, error = self.prune()

        assert (out, err, error) == (
            "2 bodies emptied, 2 submissions deleted.\n",
            "",
            "",
        )
        assert self.states() == ["whole", "whole", "emptied", "emptied", "deleted"]
        assert not Submission.objects.using("archive").exists()
        assert self.prune() == ("Nothing to do.\n", "", "")

    def test_dry_run(self):
        out, _, _ = self.prune("--dry-run")

        assert out == (
            "Dry run, nothing was changed. Without --dry-run: "
            "2 bodies emptied, 2 submissions deleted.\n"
        )
        assert self.states() == ["whole"] * 5

    def test_days(self):
        self.prune("--bodies-days", "5", "--submissions-days", "31")

        assert self.states() == ["whole", "emptied", "deleted", "deleted", "deleted"]

    def test_json(self):
        out, _, _ = self.prune("--format", "json", "--batch-size", "1")

        assert json.loads(out) == {
            "dry_run": False,
            "bodies_emptied": 2,
            "submissions_deleted": 2,
            "orders_erased": 0,
        }

    def test_bad_options(self):
        for option in (
            "--bodies-days=0",
            "--submissions-days=-1",
            "--batch-size=0",
            "--batch-size=10001",
        ):
            with self.subTest(option=option):
                _, _, error = self.prune(option)

                assert option.partition("=")[2] in error
                assert self.states() == ["whole"] * 5


class DifferenceTests(TestCase):
    databases = {"default", "archive"}

    def test_go_with_the_submissions(self):
        for days in (364, 366):
            Difference.objects.create(
                side="shop",
                kind="changed",
                order_id=f"{days}",
                found_at=timezone.now() - timedelta(days=days),
            )

        call("button_orders_prune")

        assert [item.order_id for item in Difference.objects.all()] == ["364"]


class PruneProcessTests(ProcessTestCase):
    COUNT = 3000

    def test_interrupted_and_run_again(self):
        with override_settings(BUTTON_ORDERS=button_settings()):
            row = create(40).button_order
        Submission.objects.bulk_create(
            make_submission(row, 50) for _ in range(self.COUNT - 1)
        )
        self.publish()
        command = self.arguments("button_orders_prune", "--batch-size", "1")
        process = self.start_logged(*command)
        self.wait_for("the first bodies", lambda: self.left() < self.COUNT)

        assert process.stop(signal.SIGTERM) == 1
        left = self.left()
        assert 0 < left < self.COUNT
        # A file is no terminal: there is no bar.
        assert process.output().splitlines() == [
            f"{self.COUNT - left} bodies emptied.",
            "CommandError: Interrupted. Run the command again for the rest.",
        ]

        assert self.run_command("button_orders_prune") == (
            0,
            f"{left} bodies emptied.\n",
            "",
        )
        assert self.left() == 0

    def left(self):
        self.refresh()
        return Submission.objects.filter(has_bodies=True).count()
