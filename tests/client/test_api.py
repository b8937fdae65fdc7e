from __future__ import annotations

import base64
import gzip
import json
import logging

import pytest
from django.test import SimpleTestCase

from django_button_orders import __version__
from django_button_orders.client import (
    ButtonClient,
    ButtonError,
    NotSentError,
    cancel_order,
    create_order,
    retrieve_order,
    update_order,
)
from django_button_orders.client.api import encode
from tests.client.utils import (
    CANCEL,
    CREATE,
    PAYLOAD,
    RETRIEVE,
)
from tests.wire import (
    BASIC,
    WireTestCase,
    answer,
    replies,
    replies_and_closes,
)


class RequestTests(SimpleTestCase):
    def test_operations(self):
        body = b'{"order_id":"1994","total":7000}'

        assert create_order(PAYLOAD) == ("POST", "/v1/order", body)
        assert update_order("1994", PAYLOAD) == ("POST", "/v1/order/1994", body)
        assert cancel_order("1994") == ("DELETE", "/v1/order/1994", None)
        assert retrieve_order("1994") == ("GET", "/v1/order/1994", None)

    def test_body_is_ascii(self):
        body = encode({"id": "é\U0001f600"})

        assert body.isascii()
        assert json.loads(body) == {"id": "é\U0001f600"}

    def test_body_is_json(self):
        for number in (float("nan"), float("inf")):
            with self.subTest(number=number), pytest.raises(ValueError, match="JSON"):
                create_order({"total": number})


class PathTests(WireTestCase):
    table = {
        "1994": "1994",
        "2026/11 #42": "2026%2F11%20%2342",
        "a?b%2F": "a%3Fb%252F",
        "..a": "..a",
        "a/../b": "a%2F..%2Fb",
        "/../": "%2F..%2F",
        "...": "...",
        "%2e%2e": "%252e%252e",
        "a+b&c=d;e": "a%2Bb%26c%3Dd%3Be",
        "a:b@c": "a%3Ab%40c",
        "\\": "%5C",
        "~-._": "~-._",
        '"<>[]^`{|}': "%22%3C%3E%5B%5D%5E%60%7B%7C%7D",
        " ": "%20",
        "x" * 255: "x" * 255,
    }

    def test_encoded(self):
        """requests and urllib3 rewrite paths, so the test looks at the wire."""
        server = self.serve()
        client = self.button(server)
        for make in (cancel_order, retrieve_order, lambda at: update_order(at, {})):
            for order_id, path in self.table.items():
                with self.subTest(order_id=order_id):
                    client.send(make(order_id))

                    assert server.received[-1].target == f"/v1/order/{path}"

    def test_base_url(self):
        server = self.serve()
        for suffix in ("", "/", "//"):
            with self.subTest(suffix=suffix):
                self.button(server.url + suffix).send(CREATE)

                assert server.received[-1].target == "/v1/order"

    def test_prefix(self):
        server = self.serve()

        self.button(f"{server.url}/proxy/").send(CREATE)

        assert server.received[0].target == "/proxy/v1/order"

    def test_url(self):
        assert (
            ButtonClient(api_key="").url(CREATE).startswith("https://api.usebutton.com")
        )


class HeaderTests(WireTestCase):
    def headers(self, request=CREATE, **values):
        server = self.serve()
        self.button(server, **values).send(request)
        return server.received[0].headers

    def test_all(self):
        headers = self.headers()

        name, *others = headers.pop("user-agent").split()
        assert name == f"django-button-orders/{__version__}"
        assert [other.partition("/")[0] for other in others] == ["requests", "python"]
        assert headers.pop("host").startswith("127.0.0.1:")
        assert headers == {
            "authorization": f"Basic {BASIC}",
            "accept": "application/json, text/plain",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "content-length": "32",
        }

    def test_key_of_all_characters(self):
        key = "".join(map(chr, range(33, 127))).replace(":", "")

        scheme, credentials = self.headers(api_key=key)["authorization"].split()

        assert scheme == "Basic"
        assert base64.b64decode(credentials).decode() == f"{key}:"

    def test_content_type_only_with_a_body(self):
        for request in (CANCEL, RETRIEVE):
            with self.subTest(request=request):
                assert "content-type" not in self.headers(request)

    def test_version(self):
        headers = self.headers(api_version="2018-02-13")

        assert headers["x-button-api-version"] == "2018-02-13"
        assert "x-button-api-version" not in self.headers()

    def test_body(self):
        server = self.serve()

        self.button(server).send(CREATE)

        assert server.received[0].method == "POST"
        assert json.loads(server.received[0].body) == PAYLOAD

    def test_no_cookies(self):
        server = self.serve(answer(set_cookie="session=1; Path=/"))
        client = self.button(server)

        client.send(CREATE)
        client.send(CREATE)

        assert len(server.received) == 2
        assert "cookie" not in server.received[1].headers


class SecretTests(WireTestCase):
    """The API key is in no repr, no exception, no log, and no answer."""

    key = "sk-0123456789abcdef"
    basic = base64.b64encode(b"sk-0123456789abcdef:").decode()

    def secure_client(self, server, **values):
        return self.button(server, api_key=self.key, **values)

    def check(self, *things):
        for thing in things:
            for text in (str(thing), repr(thing)):
                assert self.key not in text
                assert self.basic not in text

    def test_repr(self):
        client = self.secure_client("http://127.0.0.1:1")

        self.check(client, CREATE, client.url(CREATE))

    def test_exceptions(self):
        errors = []
        for script in (lambda sock, received: False, b"x", replies_and_closes(b"x")):
            with pytest.raises(ButtonError) as caught:
                self.secure_client(self.serve(script), deadline=0.3).send(CREATE)
            errors.append(caught.value)

        self.check(*errors)
        for error in errors:
            assert error.__cause__ is None
            assert error.__suppress_context__
            assert len(error.args) == 1

    def test_logs(self):
        server = self.serve(
            replies(answer(), answer(status=500), answer(b"x" * 70_000))
        )
        loggers = [
            logging.getLogger(name)
            for name in ("", "urllib3", "requests", "django_button_orders")
        ]
        levels = [logger.level for logger in loggers]
        with self.assertLogs(level="DEBUG") as logs:
            for logger in loggers:
                logger.setLevel("DEBUG")
            for _ in range(3):
                self.secure_client(server).send(CREATE)
            with pytest.raises(NotSentError):
                self.secure_client("http://127.0.0.1:1").send(CREATE)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

        assert logs.output
        self.check(*logs.output)

    def echo(self, template, **values):
        body = template.replace("KEY", self.key).replace("BASIC", self.basic).encode()
        server = self.serve(answer(body, **values))
        return self.secure_client(server).send(CREATE)

    def test_echoed_in_the_body(self):
        for template in ("Bad key KEY!", "Authorization: Basic BASIC", "KEYKEY BASIC"):
            with self.subTest(template=template):
                found = self.echo(template, status=401, content_type="text/plain")

                assert "[API key]" in found.body
                self.check(found, found.body)

    def test_echoed_in_json(self):
        for template in (
            '{"error": {"message": "Invalid api_key KEY"}}',
            '{"error": "Basic BASIC"}',
            '{"meta": {"status": "ok"}, "object": {"button_order_id": "KEY"}}',
            '{"error": {"message": "no", "details": {"KEY": ["BASIC"]}}}',
        ):
            with self.subTest(template=template):
                found = self.echo(template, status=401)

                self.check(found, found.body, found.message, found.order, found.data)

    def test_echoed_in_escaped_json(self):
        key = "sk-???"
        client = self.button(self.serve(), api_key=key)
        basic = client.headers()["Authorization"]
        assert "/" in basic
        body = json.dumps({"error": {"message": f"Bad {basic}"}}).replace("/", r"\/")

        server = self.serve(answer(body.encode(), status=401))
        found = self.button(server, api_key=key).send(CREATE)

        secret = basic.removeprefix("Basic ")
        assert secret not in found.message
        assert secret.replace("/", r"\/") not in found.body

    def test_echoed_in_a_compressed_body(self):
        body = gzip.compress(self.key.encode())
        server = self.serve(answer(body, status=401, content_encoding="gzip"))

        found = self.secure_client(server).send(CREATE)

        assert found.body == "[API key]"

    def test_echoed_across_the_cut(self):
        for secret in (self.key, self.basic):
            body = b"x" * (1000 - len(secret) + 1) + secret.encode()
            server = self.serve(answer(body, status=401, content_type="text/plain"))
            with self.subTest(secret=secret):
                found = self.secure_client(server, max_response_bytes=1000).send(CREATE)

                assert secret[:-1] not in found.body

    def test_without_a_key(self):
        server = self.serve(answer(b"abc", status=401, content_type="text/plain"))

        assert self.button(server, api_key="").send(CREATE).body == "abc"
