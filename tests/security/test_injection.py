"""An id, a token or a header never changes another part of a request."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError

from django_button_orders import OrderReport
from django_button_orders.models import ButtonOrder
from tests.security.utils import EndToEndTestCase, Wiretap
from tests.utils import PURCHASED, create_row
from tests.wire import answer

SMUGGLED = "1\r\nX-Injected: 1\r\n\r\nDELETE /v1/order/1995 HTTP/1.1\r\nHost: a\r\n\r\n"
# Odd but valid order ids: all characters are printable.
STRANGE_IDS = (
    "../../v1/user",
    "/../../v1/user",
    "a/b",
    "a/../b",
    "..\\..\\v1",
    "%2e%2e",
    "%00",
    "%0d%0aX-Injected: 1",
    "?x=1",
    "#",
    "//button.test/v1",
    "https://button.test/",
    "user:password@host",
    "X-Injected: 1",
    " HTTP/1.1",
    "'\"<>\\^`{|}",
    "x" * 255,
)
UNPRINTABLE_IDS = (
    SMUGGLED,
    "a\r\nX-Injected: 1",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x7fb",
    "caf\u00e9",
    "a\u2028b",
    # The low byte of these characters is a line break.
    "a\u010d\u010aX-Injected: 1",
    "a\u560d\u560aX-Injected: 1",
)
# In a path, each of these would name another resource.
RESERVED_IDS = (".", "..", "btn-ref")


class InjectionTestCase(EndToEndTestCase):
    def tap(self, data=None):
        server = Wiretap(answer() if data is None else data)
        self.addCleanup(server.stop)
        return server

    def requests(self, row, **values):
        """Make an attempt at a row, and return the requests as bytes."""
        server = self.tap()
        self.report(row, server, **values)
        return server.requests()

    def usual(self, operation, **values):
        """Return the requests for an order with a plain id."""
        return self.requests(self.create_for(operation), **values)

    def check(self, requests, usual):
        """Assert that number and header lines of the requests are as usual."""
        names = [request.names for request in requests]
        assert names == [request.names for request in usual]

    def check_not_sent(self, row, **values):
        assert self.requests(row, **values) == []
        assert (row.status, row.reason) == ("failed", "invalid")


class OrderIdTests(InjectionTestCase):
    def test_in_the_path(self):
        for operation in ("update", "cancel", "retrieve"):
            usual = self.usual(operation)
            for order_id in STRANGE_IDS:
                with self.subTest(operation=operation, order_id=order_id):
                    row = self.create_for(operation, order_id=order_id)

                    requests = self.requests(row)

                    self.check(requests, usual)
                    for request in requests:
                        path = request.line.decode().split(" ")[1]
                        assert re.fullmatch(r"/v1/order/[A-Za-z0-9._~%-]+", path)
                        assert unquote(path.removeprefix("/v1/order/")) == order_id

    def test_in_the_body(self):
        usual = self.usual("create")
        for order_id in STRANGE_IDS:
            with self.subTest(order_id=order_id):
                row = self.create_for("create", order_id=order_id)

                requests = self.requests(row)

                self.check(requests, usual)
                assert requests[0].line == b"POST /v1/order HTTP/1.1"
                assert json.loads(requests[0].body)["order_id"] == order_id

    def test_unprintable(self):
        for operation in ("create", "update"):
            for order_id in UNPRINTABLE_IDS:
                with self.subTest(operation=operation, order_id=order_id):
                    row = self.create_for(operation, order_id=order_id)

                    self.check_not_sent(row)

    def test_unprintable_and_cancelled(self):
        """A call about an id that Button cannot have keeps the id in its place."""
        usual = [request.names for request in self.usual("cancel")]
        for order_id in UNPRINTABLE_IDS:
            with self.subTest(order_id=order_id):
                row = self.create_for("cancel", order_id=order_id)

                requests = self.requests(row)

                assert [request.names for request in requests] in ([], usual)

    def test_reserved(self):
        for operation in ("create", "update", "cancel", "retrieve"):
            for order_id in RESERVED_IDS:
                with self.subTest(operation=operation, order_id=order_id):
                    row = self.create_for(operation, order_id=order_id)

                    self.check_not_sent(row)

    def test_never_saved(self):
        for order_id in ("a\0b", "a\ud800b"):
            with self.subTest(order_id=order_id), pytest.raises(ValidationError):
                create_row(order_id=order_id)

    def test_validation(self):
        for order_id in (*UNPRINTABLE_IDS, *RESERVED_IDS, "a\0b", "a\ud800b"):
            row = ButtonOrder(
                order_id=order_id, total=1, currency="USD", purchase_date=PURCHASED
            )
            with self.subTest(order_id=order_id):
                with pytest.raises(ValidationError):
                    row.full_clean()
                with pytest.raises(ValidationError):
                    OrderReport(
                        order_id=order_id,
                        total=1,
                        currency="USD",
                        purchase_date=PURCHASED,
                    )


class TokenTests(InjectionTestCase):
    tokens = (*UNPRINTABLE_IDS, "a b", "a&b=c", "a%0d%0aX-Injected", "a;b", "a/b")

    def test_refused(self):
        for btn_ref in self.tokens:
            with self.subTest(btn_ref=btn_ref):
                row = self.create_for("create", btn_ref=btn_ref)

                with pytest.raises(ValidationError, match="URL-safe"):
                    row.full_clean()
                self.check_not_sent(row)

    def test_other_texts(self):
        """Other texts go into JSON, which escapes line breaks."""
        usual = self.usual("create")
        texts = {
            "customer_order_id": SMUGGLED,
            "customer": {"id": SMUGGLED, "device_id": "caf\u00e9\u2028\u560d\u560a"},
            "line_items": [
                {"identifier": SMUGGLED, "total": 1, "attributes": {"a": SMUGGLED}}
            ],
        }

        requests = self.requests(self.create_for("create", **texts))

        self.check(requests, usual)
        assert json.loads(requests[0].body)["customer_order_id"] == SMUGGLED


class AccountTests(InjectionTestCase):
    def test_name_of_an_account(self):
        usual = self.usual("create")
        for name in ("caf\u00e9", "../../etc"):
            with self.subTest(name=name):
                row = self.create_for("create", account=name)

                requests = self.requests(row, ACCOUNTS={name: {"API_KEY": "sk-tests"}})

                self.check(requests, usual)

    def test_name_that_no_account_may_have(self):
        row = self.create_for("create", account=SMUGGLED[:100])

        with pytest.raises(ImproperlyConfigured):
            self.requests(row, ACCOUNTS={SMUGGLED[:100]: {}})

    def test_unknown(self):
        row = self.create_for("create", account=SMUGGLED[:100])

        self.check_not_sent(row)


class SettingTests(InjectionTestCase):
    values = (
        "x\r\nX-Injected: 1",
        "x\n",
        "\rx",
        "x\0",
        "caf\u00e9",
        "x\u010d\u010aX-Injected",
        "x\ud800",
        " x",
    )

    def check_refused(self, **values):
        row = self.create_for("create")
        server = self.tap()
        with self.button_at(server, **values), pytest.raises(ImproperlyConfigured):
            self.report(row, server, **values)

        row.refresh_from_db()
        assert server.raw == b""
        assert (row.status, row.attempts) == ("pending", 0)

    def test_key(self):
        for value in self.values:
            with self.subTest(value=value):
                self.check_refused(API_KEY=value)

    def test_version(self):
        for value in self.values:
            with self.subTest(value=value):
                self.check_refused(API_VERSION=value)

    def test_address(self):
        for value in self.values:
            with self.subTest(value=value):
                self.check_refused(BASE_URL=f"http://127.0.0.1:1/{value}")

    def test_account_of_another_order(self):
        """A mistake in one account's settings is found before any account is used."""
        for name in ("API_KEY", "API_VERSION", "BASE_URL"):
            with self.subTest(name=name):
                self.check_refused(ACCOUNTS={"eu": {name: "x\r\nX-Injected: 1"}})

    def test_all_that_is_printable(self):
        usual = self.usual("create", API_VERSION="2018-02-13")
        printable = "".join(map(chr, range(33, 127)))
        row = self.create_for("create")

        requests = self.requests(
            row, API_KEY=printable.replace(":", ""), API_VERSION=printable
        )

        self.check(requests, usual)
        version = f"X-Button-API-Version: {printable}".encode()
        assert version in requests[0].headers


class RetryAfterTests(InjectionTestCase):
    values = (
        b"5\r\nX-Injected: 1",
        b"5\r\n X-Injected: 1",
        b"5\0",
        b"5\rX-Injected: 1",
        "\uff15".encode(),
        b"\xb2",
        b"-5",
        b"1e9",
        b"inf",
        b"nan",
        b"0x10",
        b"9" * 5000,
        b"Fri, 31 Dec 9999 23:59:59 GMT",
        b"Thu, 01 Jan 99999 00:00:00 GMT",
        b"%0d%0aX-Injected: 1",
        b"<script>alert(1)</script>",
    )

    def test_nothing_but_a_wait(self):
        usual = self.usual("retrieve")
        for value in self.values:
            with self.subTest(value=value):
                data = (
                    b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: %b\r\n\r\n"
                )
                row = self.create_for("create")

                self.report(row, self.tap(data % value), RETRY_AFTER_MAX=600)

                assert (row.status, row.reason) == ("pending", "unavailable")
                assert (
                    row.last_error == "Button answered 503 to create: without a message"
                )
                self.check(self.requests(row), usual)
