from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone

import requests
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from django_button_orders import OrderAdapter, register
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.monitoring.explain.chain import find_chain
from django_button_orders.outbox.adapters import unregister
from tests.delivery.utils import DeliveryTestCase
from tests.shop.models import Order, Page
from tests.utils import (
    LONG_AGO,
    OK,
    add_answer,
    button_settings,
    create_row,
    make_due,
    order_url,
)

NOW = datetime.now(timezone.utc)


class ChainTestCase(DeliveryTestCase):
    def chain(self, row):
        with translation.override("en"):
            return find_chain(ButtonOrder.objects.get(pk=row.pk))

    def texts(self, row):
        return [event.text for event in self.chain(row).events]

    def facts(self, row):
        """Return what holds now."""
        return [event.text for event in self.chain(row).events if not event.moment]

    def find(self, row, beginning):
        """Return the one text that begins with some words."""
        [text] = [text for text in self.texts(row) if text.startswith(beginning)]
        return text

    def put(self, row, **values):
        ButtonOrder.objects.filter(pk=row.pk).update(**values)


class CallTests(ChainTestCase):
    def test_report_update_and_cancellation(self):
        row = self.create_acknowledged()
        add_answer("POST", order_url())
        row.total = 6500
        row.save()
        self.report(row)
        row.customer_order_id = "A-7"
        row.save()
        self.report(row)
        row.cancel()
        add_answer("DELETE", order_url())
        self.report(row)

        texts = self.texts(row)

        assert texts[0] == "The customer placed the order."
        assert texts[1] == "The app recorded the order."
        accepted = [text for text in texts if "Button accepted it" in text]
        assert accepted == [
            "The order was reported with the token srctok-1. Button accepted it. The "
            "total was 70.00 USD.",
            "An update was sent, and Button accepted it. The total changed from 70.00 "
            "USD to 65.00 USD.",
            "An update was sent, and Button accepted it. The total stayed 65.00 USD.",
            "A cancellation was sent, and Button accepted it.",
        ]
        assert "Somebody requested the cancellation here." in texts

    def test_dates_are_in_order(self):
        row = self.create_acknowledged()
        self.put(row, finalizes_at=NOW + timedelta(days=7))

        moments = [event.moment for event in self.chain(row).events]

        dated = [moment for moment in moments if moment]
        assert dated == sorted(dated)
        assert moments[len(dated) :] == [None] * (len(moments) - len(dated))
        assert len(dated) == 4

    def test_token_in_the_answer(self):
        for shown, text in (
            ("srctok-1", "Button's answer has the same token."),
            ("srctok-2", "Button's answer has the token srctok-2."),
            (None, "Button's answer has no token."),
        ):
            with self.subTest(shown=shown):
                ButtonOrder.objects.all().delete()
                row = create_row()
                add_answer("POST", json={**OK, "object": {"btn_ref": shown}})
                self.report(row)

                assert text in self.find(row, "The order was reported")

    def test_report_without_a_token(self):
        row = self.create_acknowledged(btn_ref="")

        assert self.find(row, "The order was reported").startswith(
            "The order was reported without a token. Button accepted it."
        )

    def test_pruned_bodies(self):
        row = self.create_acknowledged()
        add_answer("POST", order_url())
        row.total = 6500
        row.save()
        self.report(row)
        row.submissions.update(request_body="", response_body="")

        texts = self.texts(row)
        assert (
            "The order was reported, and Button accepted it. The report is no longer "
            "kept." in texts
        )
        assert (
            "An update was sent, and Button accepted it. The update is no longer kept."
            in texts
        )

    def test_bodies_that_are_strange(self):
        row = self.create_acknowledged()
        add_answer("POST", order_url())
        row.total = 6500
        row.save()
        self.report(row)
        for body in (
            "[]",
            "{",
            "{}",
            '{"total": true, "btn_ref": []}',
            '{"total": "x", "currency": 7}',
            '{"total": "x", "currency": "USD"}',
            '{"object": {"total": {}, "btn_ref": 1}}',
        ):
            with self.subTest(body=body):
                row.submissions.update(request_body=body, response_body=body)

                assert self.chain(row).conclusion.audience == "publisher"

    @override_settings(BUTTON_ORDERS=button_settings(TOTAL_AS_DECIMAL=True))
    def test_total_as_decimal(self):
        row = self.create_acknowledged()

        assert "The total was 70.00 USD." in self.find(row, "The order was reported")

    def test_calls_that_were_not_accepted(self):
        row = create_row()
        for _ in range(3):
            add_answer("POST", status=503, json={})
            make_due()
            add_answer("GET", order_url(), body=requests.ReadTimeout())
            self.report(row)

        assert "A first report was sent. Button answered 503." in self.texts(row)
        asked = self.find(row, "Button was asked about the order. No answer came.")
        assert "The same happened 1 more time, on 20" in asked

    def test_who_started_a_call(self):
        row = self.create_acknowledged()
        for trigger, text in (
            ("admin", "An operator started this in the admin."),
            ("command", "A command started this."),
            ("backfill", "A backfill started this."),
        ):
            row.submissions.update(trigger=trigger)

            assert self.find(row, "The order was reported").endswith(text)

    def test_many_calls(self):
        """The first, the last and the accepted ones are shown; others are counted."""
        row = create_row(btn_ref="")
        calls = [
            Submission(
                button_order=row,
                operation="update",
                trigger="sweep",
                revision=1,
                started_at=LONG_AGO + timedelta(minutes=number),
                duration_ms=1,
                method="POST",
                url=order_url(),
                # Each is another one, so that none has the same kind as the next.
                status_code=500 + number % 2,
                outcome="will_retry",
            )
            for number in range(1000)
        ]
        create, update = calls[300], calls[600]
        create.operation, create.outcome = "create", "succeeded"
        create.request_body = json.dumps({"total": 1, "currency": "USD"})
        update.outcome = "succeeded"
        Submission.objects.bulk_create(calls)
        self.put(row, status="reported", reported_revision=1, reported_btn_ref="")

        with CaptureQueriesContext(connection) as queries:
            texts = self.texts(row)

        # Of the row, the calls, the account and the shop's order.
        assert len(queries) <= 10
        assert len(texts) < 50
        assert "The order was reported without a token. Button accepted it. The " in (
            " ".join(texts)
        )
        assert "958 calls are left out here." in texts
        last = LONG_AGO + timedelta(minutes=999)
        assert last in [event.moment for event in self.chain(row).events]


class QuestionTests(ChainTestCase):
    def ask(self, row, **values):
        Submission.objects.create(
            button_order=row,
            operation="retrieve",
            trigger="admin",
            revision=1,
            started_at=NOW,
            duration_ms=1,
            method="GET",
            url=order_url(),
            **{"status_code": 200, "outcome": "succeeded", **values},
        )
        return self.find(row, "Button was asked")

    def shown(self, **values):
        return json.dumps({"meta": {"status": "ok"}, "object": values})

    def test_what_button_holds(self):
        row = self.create_acknowledged()
        for shown, text in (
            (
                {"total": 7000, "status": "open", "btn_ref": "srctok-1"},
                "It is open there: it can be changed. The total is 70.00 USD there. It "
                "shows the token srctok-1.",
            ),
            (
                {"total": 6500, "status": "finalized", "btn_ref": None},
                "It is finalized there: it cannot be changed. The total is 65.00 USD "
                "there, and 70.00 USD in the shop now. It shows no token.",
            ),
            (
                {"status": "deleted", "total": 0},
                "It is deleted there: it was cancelled. The total is 0.00 USD there, "
                "and 70.00 USD in the shop now.",
            ),
            ({"status": ["open"]}, ""),
        ):
            with self.subTest(shown=shown):
                row.submissions.filter(operation="retrieve").delete()
                found = self.ask(row, response_body=self.shown(**shown))

                expected = f"Button was asked, and has the order. {text}".strip()
                assert found == f"{expected} An operator started this in the admin."

    def test_nothing_is_shown(self):
        row = self.create_acknowledged()
        assert "and does not have the order." in self.ask(row, status_code=404)
        row.submissions.all().delete()
        assert "and its answer is not kept." in self.ask(row)


class FactTests(ChainTestCase):
    def test_tokens(self):
        row = self.create_acknowledged()
        assert self.facts(row) == [
            "The order has the token srctok-1.",
            "Button ties the token srctok-1 to it, from the first report.",
            "Button last acknowledged a total of 70.00 USD.",
        ]

        self.put(row, btn_ref="", reported_btn_ref="", reported_total=None)
        assert self.facts(row) == [
            "The order has no token.",
            "Button ties no token to it: the first report had none.",
        ]

        self.put(row, erased_at=NOW, reported_total=None)
        assert self.facts(row) == []
        self.find(row, "The personal data was erased here, with the token.")

    def test_cancelled_order_has_no_total(self):
        row = self.create_acknowledged()
        add_answer("DELETE", order_url())
        row.cancel()
        self.report(row)

        assert row.status == "cancelled"
        assert self.facts(row) == [
            "The order has the token srctok-1.",
            "Button ties the token srctok-1 to it, from the first report.",
        ]

    def test_order_that_no_worker_has_read(self):
        Order.objects.create(number="1994")

        assert self.facts(ButtonOrder.objects.get()) == [
            "No worker has read the order yet, so its token is not known."
        ]

    def test_late_tokens(self):
        row = self.create_acknowledged(btn_ref="")
        self.put(row, late_token_at=NOW)
        self.find(row, "The app saw a token, after the first report.")

        self.put(row, reported_btn_ref="srctok-2")
        self.find(row, "The app saw another token than that of the first report.")

    def test_token_of_the_shop(self):
        order = Order.objects.create(number="1994", token_came_at=LONG_AGO)
        row = ButtonOrder.objects.get()
        events = self.chain(row).events
        assert events[0] == (LONG_AGO, "The shop got the attribution token.")

        # An order that is gone has no date.
        order.delete()
        assert "The shop got" not in " ".join(self.texts(row))

    def create_page(self, adapter):
        """Return the row of an order with an adapter for this test."""
        register(Page)(adapter)
        self.addCleanup(unregister, Page)
        page = Page.objects.create(title="A page")
        row = create_row()
        kind = ContentType.objects.get_for_model(Page)
        self.put(row, source_type=kind, source_id=str(page.pk))
        return row

    def test_hook_that_breaks_the_transaction(self):
        """PostgreSQL refuses all queries after an error, up to a savepoint."""

        class PageAdapter(OrderAdapter):
            def get_btn_ref_date(self, order):
                with connection.cursor() as cursor:
                    cursor.execute("SELECT nothing_of_this_name")

        row = self.create_page(PageAdapter)

        assert "get_btn_ref_date() failed" in self.facts(row)[-1]

    def test_hook_that_returns_no_moment(self):
        for value in ("2026-11-03", datetime(2026, 11, 3), date(2026, 11, 3), 7):
            with self.subTest(value=value):
                ButtonOrder.objects.all().delete()
                unregister(Page)

                class PageAdapter(OrderAdapter):
                    came = value

                    def get_btn_ref_date(self, order):
                        return self.came

                row = self.create_page(PageAdapter)

                assert "is not a datetime with a time zone" in self.facts(row)[-1]

    def test_window(self):
        row = self.create_acknowledged()
        self.put(row, finalizes_at=NOW + timedelta(days=1))
        self.find(row, "Button stops accepting changes of the order.")

        self.put(row, finalizes_at=LONG_AGO)
        self.find(row, "Button stopped accepting changes of the order.")

        self.put(row, status="cancelled")
        assert "accepting changes" not in " ".join(self.texts(row))

    def test_paused_account(self):
        row = create_row()
        PausedAccount.objects.pause("default", seconds=300, error="No.")

        self.find(row, "Button refused the API key, so the account default was paused.")

    def test_first_report_was_pruned(self):
        row = self.create_acknowledged()
        row.submissions.all().delete()

        assert self.facts(row)[-1] == (
            "The first report is not on record here: it was pruned, or Button had the "
            "order already."
        )

    @override_settings(USE_TZ=False)
    def test_without_time_zones(self):
        row = self.create_acknowledged()

        assert self.chain(row).conclusion.audience == "publisher"
