"""``docs/howto/dj-stripe.rst``: dj-stripe's webhooks cause the calls to Button."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from itertools import count

import pytest
import responses
from django.test import TestCase
from django.urls import reverse
from djstripe.models import Account, APIKey, Charge, Refund, WebhookEndpoint
from djstripe.settings import djstripe_settings
from shop.button_orders import minor_units

from django_button_orders import to_minor_units
from django_button_orders.models import ButtonOrder
from django_button_orders.testing import ButtonSandboxMixin

STRIPE = "https://api.stripe.com/v1"
CREATED = 1793534400  # 2026-11-01T12:00:00Z
numbers = count(1)


def charge_of(**values):
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 7000,
        "amount_captured": 7000,
        "amount_refunded": 0,
        "balance_transaction": None,
        "captured": True,
        "created": CREATED,
        "currency": "usd",
        "customer": None,
        "disputed": False,
        "invoice": None,
        "livemode": True,
        "metadata": {"btn_ref": "srctok-1", "net": "5800", "order_number": "1994"},
        "paid": True,
        "payment_intent": None,
        "payment_method": None,
        "refunded": False,
        "source": None,
        "status": "succeeded",
        **values,
    }


def dispute_of(**values):
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": 7000,
        "balance_transactions": [],
        "charge": "ch_1",
        "created": CREATED,
        "currency": "usd",
        "livemode": True,
        "metadata": {},
        "payment_intent": None,
        "status": "needs_response",
        **values,
    }


class StripeTestCase(ButtonSandboxMixin, TestCase):
    """Stripe sends events to dj-stripe's view, which reads the object from Stripe."""

    @classmethod
    def setUpTestData(cls):
        account = Account.objects.create(id="acct_1", livemode=True)
        for secret in (
            djstripe_settings.LIVE_API_KEY,
            djstripe_settings.TEST_API_KEY,
        ):
            key, _ = APIKey.objects.get_or_create_by_api_key(secret)
            key.djstripe_owner_account = account
            key.save()
        cls.endpoint = WebhookEndpoint.objects.create(
            id="we_1",
            livemode=True,
            enabled_events=["*"],
            secret="whsec_1",
            url="https://shop.test/",
        )

    def setUp(self):
        super().setUp()
        self.stripe = responses.RequestsMock(assert_all_requests_are_fired=False)
        self.stripe.add_passthru("http://127.0.0.1")
        self.stripe.start()
        self.addCleanup(self.stripe.stop, allow_assert=False)

    def send(self, name, data):
        """Send an event, while Stripe answers with the same data."""
        url = f"{STRIPE}/{data['object']}s/{data['id']}"
        self.stripe.upsert("GET", url, json=data)
        self.post(name, data)

    def post(self, name, data):
        event = {
            "id": f"evt_{next(numbers)}",
            "object": "event",
            "api_version": djstripe_settings.DEFAULT_STRIPE_API_VERSION,
            "created": CREATED,
            "data": {"object": data},
            "livemode": data["livemode"],
            "request": None,
            "type": name,
        }
        body, now = json.dumps(event), int(time.time())
        signed = hmac.new(b"whsec_1", f"{now}.{body}".encode(), hashlib.sha256)
        response = self.client.post(
            reverse(
                "djstripe:djstripe_webhook_by_uuid", args=[self.endpoint.djstripe_uuid]
            ),
            body,
            content_type="application/json",
            headers={"stripe-signature": f"t={now},v1={signed.hexdigest()}"},
        )
        assert response.status_code == 200

    def report(self):
        """Let a worker report, and return what Button holds of the charge."""
        self.button_sandbox.report()
        return self.button_sandbox.orders.get("ch_1")


class ChargeTests(StripeTestCase):
    def test_paid(self):
        self.send("charge.succeeded", charge_of())

        order = self.report()

        assert (order["total"], order["currency"]) == (5800, "USD")
        assert order["customer_order_id"] == "1994"
        assert order["purchase_date"] == "2026-11-01T12:00:00Z"
        assert order["btn_ref"] == "srctok-1"

    def test_without_metadata(self):
        self.send("charge.succeeded", charge_of(metadata={}))

        assert self.report()["total"] == 7000

    def test_event_that_changes_nothing(self):
        self.send("charge.succeeded", charge_of())
        self.report()
        self.send("charge.updated", charge_of(receipt_email="ada@example.com"))

        self.report()

        assert len(self.button_sandbox.requests) == 1

    def test_failed(self):
        unpaid = {"amount_captured": 0, "captured": False, "paid": False}
        self.send("charge.failed", charge_of(status="failed", **unpaid))

        assert self.report() is None
        assert not ButtonOrder.objects.exists()

    def test_captured_later_and_in_part(self):
        self.send("charge.succeeded", charge_of(captured=False, amount_captured=0))
        assert self.report() is None

        self.send(
            "charge.captured", charge_of(amount_captured=3500, amount_refunded=3500)
        )

        assert self.report()["total"] == 2900

    def test_test_mode(self):
        self.send("charge.succeeded", charge_of(livemode=False))

        assert Charge.objects.filter(livemode=False).exists()
        assert self.report() is None
        assert not ButtonOrder.objects.exists()

    def test_webhook_that_fails(self):
        """The charge is saved, then dj-stripe raises: a refund lacks its amount."""
        refund = {"id": "re_1", "object": "refund", "charge": "ch_1", "currency": "usd"}
        refunds = {"object": "list", "data": [refund], "has_more": False, "url": "/"}

        with pytest.raises(Refund.DoesNotExist):
            self.send("charge.succeeded", charge_of(refunds=refunds))

        assert not Charge.objects.exists()
        assert not ButtonOrder.objects.exists()


class RefundTests(StripeTestCase):
    def setUp(self):
        super().setUp()
        self.send("charge.succeeded", charge_of())
        self.report()

    def test_part(self):
        self.send("charge.refunded", charge_of(amount_refunded=1750))

        assert self.report()["total"] == 4350

    def test_all(self):
        self.send("charge.refunded", charge_of(amount_refunded=7000, refunded=True))

        assert self.report()["status"] == "deleted"

    def test_refund_that_failed(self):
        self.send("charge.refunded", charge_of(amount_refunded=1750))
        self.report()
        self.stripe.upsert("GET", f"{STRIPE}/charges/ch_1", json=charge_of())

        refund = {"id": "re_1", "object": "refund", "charge": "ch_1", "livemode": True}
        self.post("refund.failed", refund)

        assert self.report()["total"] == 5800

    def test_dispute(self):
        self.send("charge.dispute.created", dispute_of())
        assert self.report()["status"] == "open"

        self.send("charge.dispute.closed", dispute_of(status="lost", amount=3500))

        assert self.report()["total"] == 2900

    def test_dispute_about_everything(self):
        self.send("charge.dispute.created", dispute_of())
        self.send("charge.dispute.closed", dispute_of(status="lost"))

        assert self.report()["status"] == "deleted"


class MoneyTests(StripeTestCase):
    def total(self, amount, currency):
        metadata = {"btn_ref": "srctok-1"}
        data = charge_of(amount=amount, currency=currency, metadata=metadata)
        self.send("charge.succeeded", data)
        return self.report()["total"]

    def test_no_decimals(self):
        assert self.total(500, "jpy") == 500

    def test_three_decimals(self):
        assert self.total(5120, "kwd") == 5120

    def test_two_decimals_of_stripe_and_none_by_iso_4217(self):
        assert self.total(50000, "isk") == 500

    def test_no_decimals_of_stripe_and_two_by_iso_4217(self):
        assert self.total(500, "mga") == 50000

    def test_all_currencies_without_decimals_that_dj_stripe_knows(self):
        for code in djstripe_settings.ZERO_DECIMAL_CURRENCIES:
            currency = code.upper()
            with self.subTest(currency=currency):
                assert minor_units(5, currency) == to_minor_units(5, currency)
