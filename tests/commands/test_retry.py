from __future__ import annotations

import json

from django.db import transaction
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from tests.commands.utils import call
from tests.utils import button_settings, create_row

SETTINGS = button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})


@override_settings(BUTTON_ORDERS=SETTINGS)
class RetryTests(TestCase):
    databases = {"default", "archive"}

    @classmethod
    def setUpTestData(cls):
        for order_id, account, status, reason in (
            ("1", "default", "failed", "refused"),
            ("2", "default", "failed", "exhausted"),
            ("3", "eu", "failed", "refused"),
            ("4", "default", "dismissed", "refused"),
            ("5", "default", "reported", ""),
        ):
            row = create_row(order_id=order_id, account=account)
            ButtonOrder.objects.filter(pk=row.pk).update(status=status, reason=reason)

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
        }
        for arguments, expected in selections.items():
            with self.subTest(arguments=arguments), transaction.atomic():
                out, err, error = self.retry(*arguments)

                assert (out, err, error) == (f"{len(expected)} retried.\n", "", "")
                assert self.pending() == expected
                transaction.set_rollback(True)

    def test_empty_or_ambiguous_selection(self):
        for arguments in ([], ["--dry-run"], ["--all", "--reason", "refused"]):
            with self.subTest(arguments=arguments):
                _, _, error = self.retry(*arguments)

                assert error.startswith("Say what to retry")
                assert self.pending() == []

    def test_dry_run(self):
        out, _, _ = self.retry("--all", "--dry-run")

        assert out == "Dry run, nothing was changed. Would be: 3 retried.\n"
        assert self.pending() == []

    def test_json(self):
        out, _, _ = self.retry("--all", "--format", "json")

        assert json.loads(out) == {"dry_run": False, "retried": 3}

    def test_what_has_not_failed(self):
        _, _, error = self.retry("--order-id", "5")

        assert error.startswith("Only 0 of these orders can be retried.")
        assert self.pending() == []

    def test_unknown_words(self):
        for arguments in (["--reason", "bad luck"], ["--account", "moon"]):
            with self.subTest(arguments=arguments):
                _, _, error = self.retry(*arguments)

                assert arguments[1] in error
