from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
import requests
import responses
from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder, Submission
from tests.management.utils import call
from tests.utils import (
    LONG_AGO,
    NOT_FOUND,
    OK,
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
)

SETTINGS = button_settings(ACCOUNTS={"eu": {"API_KEY": "sk-eu"}})


@override_settings(BUTTON_ORDERS=SETTINGS)
class ExplainTests(TestCase):
    databases = {"default", "archive"}

    def create_reported(self, **values):
        row = create_row(**values)
        ButtonOrder.objects.using(row._state.db).filter(pk=row.pk).update(
            status="reported",
            reported_revision=1,
            reported_btn_ref="srctok-1",
            created_at=LONG_AGO,
        )
        return row

    def explain(self, *arguments):
        return call("button_orders_explain", *arguments)

    def test_text(self):
        row = self.create_reported()
        self.add_create(row)

        out, err, error = self.explain("1994")

        assert (err, error) == ("", "")
        assert out.splitlines() == [
            "Order 1994 of the account default: Reported",
            "2019-12-31 18:00:00 CST: The app recorded the order.",
            "2026-11-01 06:00:00 CST: The customer placed the order.",
            "2026-11-01 07:00:40 CST: The order was reported with the token srctok-1. "
            "Button accepted it. The total was 70.00 USD.",
            "Now: The order has the token srctok-1.",
            "Now: Button ties the token srctok-1 to it, from the first report.",
            "For the publisher's support: It was reported with its token on "
            "Nov. 1, 2026 and has been unchanged since. The commission is "
            "Button's to say.",
        ]

    def test_json(self):
        row = self.create_reported()
        self.add_create(row)

        out, _, error = self.explain("1994", "--format", "json")

        assert error == ""
        found = json.loads(out)
        assert found["order_id"] == "1994"
        assert found["account"] == "default"
        assert (found["status"], found["reason"]) == ("reported", "")
        assert found["events"][2]["at"] == "2026-11-01T07:00:40-06:00"
        assert found["events"][-1]["at"] is None
        assert found["conclusion"]["audience"] == "publisher"
        assert found["conclusion"]["text"].startswith("It was reported with its token")

    def add_create(self, row):
        Submission.objects.create(
            button_order=row,
            operation="create",
            trigger="sweep",
            revision=1,
            started_at=datetime(2026, 11, 1, 13, 0, 40, tzinfo=timezone.utc),
            duration_ms=1,
            method="POST",
            url=order_url(),
            request_body='{"total": 7000, "currency": "USD", "btn_ref": "srctok-1"}',
            status_code=200,
            outcome="succeeded",
        )

    def test_reason(self):
        create_row()
        ButtonOrder.objects.update(status="failed", reason="refused")

        out, _, error = self.explain("1994")

        assert error == ""
        assert "account default: Failed (Button refused it)" in out
        assert "For the shop: Button has not acknowledged a report of it." in out

    @override_settings(LANGUAGE_CODE="de")
    def test_in_english(self):
        self.create_reported()

        out, _, _ = self.explain("1994")

        assert "account default: Reported" in out

    def test_customer_order_id(self):
        self.create_reported(customer_order_id="A-7")
        self.create_reported(order_id="A-8", customer_order_id="1994")

        assert "Order 1994 of" in self.explain("A-7")[0]
        # An order ID comes first.
        assert "Order 1994 of" in self.explain("1994")[0]

    def test_unknown_order(self):
        self.create_reported(account="eu")
        for arguments, words in (
            (["7"], "No Button order has the ID '7', so"),
            ([""], "No Button order has the ID '', so"),
            (["1994", "--account", "default"], "order of the account 'default' has"),
            (["1994", "--database", "archive"], "No Button order has the ID '1994'"),
        ):
            with self.subTest(arguments=arguments):
                out, _, error = self.explain(*arguments)

                assert out == ""
                assert words in error
                assert "button_orders_backfill" in error

    def test_several_orders(self):
        self.create_reported()
        self.create_reported(account="eu")
        self.create_reported(using="archive")
        out, _, error = self.explain("1994")
        assert out == ""
        assert error.startswith(
            "Several Button orders match '1994': 1994 (account 'default', database "
            "'default'), 1994 (account 'eu', database 'default'), 1994 (account "
            "'default', database 'archive'). Name one by"
        )

        out, _, error = self.explain("1994", "--account", "eu")
        assert error == ""
        assert "of the account eu:" in out

        out, _, error = self.explain("1994", "--database", "archive")
        assert error == ""

    def test_many_orders(self):
        for number in range(12):
            self.create_reported(order_id=f"{number}", customer_order_id="A-7")

        _, _, error = self.explain("A-7")

        assert error.count("(account") == 10
        assert " and others." in error

    def test_mistakes(self):
        for arguments, words in (
            (["1994", "--account", "us"], "'us'"),
            (["1994", "--database", "us"], "DATABASES has no 'us'"),
        ):
            assert words in self.explain(*arguments)[2]
        with pytest.raises(CommandError, match="ORDER"):
            call_command("button_orders_explain")

    @responses.activate
    def test_ask(self):
        self.create_reported()
        shown = {"total": 6500, "currency": "USD", "status": "open", "btn_ref": None}
        add_answer("GET", order_url(), json={**OK, "object": shown})

        out, _, error = self.explain("1994", "--ask")

        assert error == ""
        assert calls() == ["GET /v1/order/1994"]
        submission = Submission.objects.get()
        assert (submission.operation, submission.trigger) == ("retrieve", "command")
        assert (
            "Button was asked, and has the order. It is open there: it can be changed. "
            "The total is 65.00 USD there, and 70.00 USD in the shop now. It shows no "
            "token. A command started this." in out
        )
        assert "but Button shows no token for it" in out

    @responses.activate
    def test_ask_about_an_unknown_order(self):
        self.create_reported()
        add_answer("GET", order_url(), status=404, json=NOT_FOUND)

        out, _, error = self.explain("1994", "--ask")

        assert error == ""
        assert "Button was asked, and does not have the order." in out

    @responses.activate
    def test_ask_without_an_answer(self):
        """The record is explained, and the exit status says that Button is not."""
        self.create_reported()
        for answer, words in (
            ({"body": requests.ReadTimeout()}, "No answer came."),
            ({"status": 401, "json": NOT_FOUND}, "Button answered 401."),
        ):
            with self.subTest(words=words):
                responses.reset()
                Submission.objects.all().delete()
                add_answer("GET", order_url(), **answer)

                out, _, error = self.explain("1994", "--ask")

                assert f"Button was asked about the order. {words}" in out
                assert "For the publisher's support:" in out
                assert error.startswith("Asking Button failed: ")

    @responses.activate
    def test_ask_is_not_allowed(self):
        self.create_reported()
        with self.settings(BUTTON_ORDERS={**SETTINGS, "ENABLED": False}):
            out, _, error = self.explain("1994", "--ask")

        assert "For the publisher's support:" in out
        assert "ENABLED" in error
        assert calls() == []

    @responses.activate
    def test_id_that_cannot_be_asked_about(self):
        self.create_reported(order_id=".")

        _, _, error = self.explain(".", "--ask")

        assert error.startswith("Asking Button failed: ")
        assert calls() == []
