from __future__ import annotations

from datetime import datetime, timezone

import pytest
import requests
import responses
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.test import TestCase, override_settings

from django_button_orders.delivery.ask import retrieve
from django_button_orders.delivery.rate_limit import reserve_turns, seconds_ahead
from django_button_orders.models import (
    ButtonOrder,
    PausedAccount,
    Submission,
    as_aware,
)
from django_button_orders.models.clock import from_now
from tests.utils import (
    BASE_URL,
    NOT_FOUND,
    OK,
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
)

INSECURE = "http://button.test"


@override_settings(BUTTON_ORDERS=button_settings())
class RetrieveTestCase(TestCase):
    def setUp(self):
        self.row = create_row(customer={"id": "customer-1"})
        self.before = list(ButtonOrder.objects.values())

    def ask(self, **answer):
        add_answer("GET", order_url(self.row.order_id), **answer)
        return retrieve(self.row, trigger="admin", user_id="7")

    def check_row_is_as_before(self):
        assert list(ButtonOrder.objects.values()) == self.before


@override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.1))
class RateTests(RetrieveTestCase):
    """It counts as one of the calls of its account."""

    @responses.activate
    def test_takes_a_turn(self):
        self.ask()

        assert 9 < seconds_ahead("default") <= 10

    @responses.activate
    def test_nobody_waits_for_long(self):
        reserve_turns("default")

        message = "allows no call for this account within 5 seconds"
        with pytest.raises(ValidationError, match=message):
            self.ask()

        assert calls() == []
        assert seconds_ahead("default") <= 10


class WindowTests(RetrieveTestCase):
    END = "2096-12-01T12:00:00Z"

    def end_after(self, **answer):
        self.ask(json={**OK, "object": {"finalized_date": self.END}}, **answer)
        self.row.refresh_from_db()
        return as_aware(self.row.finalizes_at)

    @responses.activate
    def test_end(self):
        ButtonOrder.objects.update(reported_revision=1)
        self.row.refresh_from_db()

        assert self.end_after() == datetime(2096, 12, 1, 12, tzinfo=timezone.utc)
        assert self.row.revision == 1

    @responses.activate
    def test_order_of_another_shop(self):
        """Nobody has acknowledged this one."""
        assert self.end_after() is None


class RecordTests(RetrieveTestCase):
    @responses.activate
    def test_known(self):
        submission = self.ask()

        assert calls() == ["GET /v1/order/1994"]
        assert submission == Submission.objects.get()
        submission.refresh_from_db()
        assert submission.operation == "retrieve"
        assert submission.trigger == "admin"
        assert submission.user_id == 7
        assert submission.outcome == "succeeded"
        assert submission.error == ""
        assert submission.status_code == 200
        assert submission.method == "GET"
        assert submission.url == f"{BASE_URL}/v1/order/1994"
        assert "btnorder-1" in submission.response_body
        assert submission.request_body == ""
        assert submission.button_order == self.row

    @responses.activate
    def test_each_answer(self):
        answers = [
            (
                {"status": 404, "json": NOT_FOUND},
                "succeeded",
                "404 to retrieve: No such",
            ),
            ({"status": 401}, "failed", "Button answered 401 to retrieve"),
            ({"status": 403}, "failed", "Button answered 403 to retrieve"),
            ({"status": 500}, "failed", "Button answered 500 to retrieve"),
            ({"status": 302, "headers": {"Location": "/"}}, "failed", "a redirect"),
            ({"body": "<html>"}, "failed", "a proxy answered, not Button"),
            (
                {"status": 404, "body": "<html>"},
                "failed",
                "a proxy answered, not Button",
            ),
            (
                {"status": 404, "body": "Not here"},
                "failed",
                "404 to retrieve: Not here",
            ),
            ({"json": {"meta": {"status": "error"}}}, "failed", "Button answered 200"),
            ({"body": TimeoutError()}, "failed", "did not answer in time"),
            ({"body": requests.ConnectionError()}, "failed", "connection to Button"),
        ]
        for answer, outcome, error in answers:
            with self.subTest(**answer):
                responses.reset()
                Submission.objects.all().delete()

                self.ask(**answer)

                submission = Submission.objects.get()
                assert submission.outcome == outcome
                assert error in submission.error
                assert len(calls()) == 1
                self.check_row_is_as_before()
                assert not PausedAccount.objects.exists()

    @responses.activate
    def test_words_about_the_customer(self):
        error = {"meta": {"status": "error"}, "error": {"message": "Hi customer-1!"}}

        assert "Hi [customer]!" in self.ask(status=400, json=error).error

    @responses.activate
    def test_customer_that_is_none(self):
        ButtonOrder.objects.update(customer=["customer-1"])
        self.row.refresh_from_db()

        assert "No such order" in self.ask(status=404, json=NOT_FOUND).error

    @responses.activate
    def test_lease_of_a_worker(self):
        rows = ButtonOrder.objects.all()
        [claimed] = rows.claim(limit=1, lease_seconds=60)
        rows.update(lease_expires_at=from_now(60))
        self.before = list(rows.values())

        self.ask()

        self.check_row_is_as_before()
        assert claimed.lease_token == rows.get().lease_token

    @responses.activate
    def test_pause_is_not_lifted(self):
        PausedAccount.objects.all().pause("default", seconds=300, error="401")

        self.ask()

        assert PausedAccount.objects.exists()

    @responses.activate
    def test_deleted_meanwhile(self):
        def delete(request):
            ButtonOrder.objects.all().delete()
            return 200, {"Content-Type": "application/json"}, '{"meta": {}}'

        responses.add_callback("GET", order_url(), delete)

        retrieve(self.row, trigger="admin")

        assert not Submission.objects.exists()


class RefusedTests(RetrieveTestCase):
    @responses.activate
    def check(self, error, text, **values):
        settings = override_settings(BUTTON_ORDERS=button_settings(**values))
        with settings, pytest.raises(error, match=text):
            retrieve(self.row, trigger="admin")

        assert calls() == []
        assert not Submission.objects.exists()

    def test_settings(self):
        for values in ({"ENABLED": False}, {"API_KEY": ""}, {"BASE_URL": INSECURE}):
            with self.subTest(**values):
                [name] = values
                self.check(ImproperlyConfigured, name, **values)

    def test_unknown_account(self):
        self.row.account = "gone"

        self.check(ImproperlyConfigured, "gone")

    def test_id_that_names_something_else(self):
        for order_id in ("btn-ref", "..", ""):
            with self.subTest(order_id=order_id):
                self.row.order_id = order_id

                self.check(ValidationError, "Enter another ID|This field|required")


class AccountTests(RetrieveTestCase):
    @responses.activate
    def test_key_of_the_account(self):
        ButtonOrder.objects.update(account="eu")
        self.row.refresh_from_db()
        accounts = {"eu": {"API_KEY": "sk-eu"}}

        with override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS=accounts)):
            self.ask(json=OK)

        assert responses.calls[0].request.headers["Authorization"] == "Basic c2stZXU6"
