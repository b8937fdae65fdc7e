from __future__ import annotations

import re

import requests
import responses
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders.delivery.rate_limit import seconds_ahead
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.monitoring.ping import ping
from django_button_orders.sandbox import Sandbox
from tests.utils import BASE_URL, NOT_FOUND, button_settings

ANY_ORDER = re.compile(rf"{BASE_URL}/v1/order/ping-[0-9a-f-]+$")


class RateTests(TestCase):
    @responses.activate
    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.1))
    def test_takes_a_turn(self):
        """A ping takes a turn of the account's rate limit."""
        responses.add("GET", ANY_ORDER, status=404, json=NOT_FOUND)

        assert ping("default").is_ok

        assert 9 < seconds_ahead("default") <= 10


@override_settings(BUTTON_ORDERS=button_settings())
class PingTests(SimpleTestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def answer(self, **answer):
        responses.add("GET", ANY_ORDER, **answer)
        return ping("default")

    def test_good_key(self):
        found = self.answer(status=404, json=NOT_FOUND)

        assert found.is_ok
        assert found.message == "Button accepts the API key."
        assert found.seconds >= 0
        assert [call.request.method for call in responses.calls] == ["GET"]

    def test_another_order_each_time(self):
        self.answer(status=404, json=NOT_FOUND)
        ping("default")

        assert len({call.request.url for call in responses.calls}) == 2

    def test_what_is_not_as_it_should_be(self):
        page = {"body": "<html>Not found</html>", "content_type": "text/html"}
        for message, answer in {
            "Button refuses the API key (401).": {"status": 401},
            "Button does not allow this API key to read orders (403).": {"status": 403},
            "Unexpected answer with status 503.": {"status": 503},
            "Unexpected answer with status 200.": {"json": {}},
            "Unexpected page of HTML with status 404.": {
                "status": 404,
                **page,
            },
            "Unexpected answer with status 404.": {
                "status": 404,
                "body": "default backend - 404",
                "content_type": "text/plain",
            },
        }.items():
            with self.subTest(message=message):
                responses.reset()
                found = self.answer(**answer)

                assert (found.is_ok, found.message) == (False, message)

    def test_unreachable(self):
        found = self.answer(body=requests.ConnectionError("sk-tests"))

        assert not found.is_ok
        assert found.seconds is None
        assert "sk-tests" not in found.message
        assert found.message.endswith(f" BUTTON_ORDERS['BASE_URL'] is '{BASE_URL}'.")

    def test_without_a_key(self):
        for enabled in (True, False):
            settings = button_settings(API_KEY="", ENABLED=enabled)
            with (
                self.subTest(enabled=enabled),
                override_settings(BUTTON_ORDERS=settings),
            ):
                found = ping("default")

                assert found.is_ok is not enabled
                assert found.message == "No call was made: the account has no API_KEY."

    @override_settings(BUTTON_ORDERS=button_settings(BASE_URL="http://button.test"))
    def test_key_is_not_sent_in_the_clear(self):
        found = ping("default")

        assert not found.is_ok
        assert "https://" in found.message
        assert not responses.calls


class SandboxTests(TestCase):
    """The sandbox refuses keys as Button does."""

    def test_keys(self):
        sandbox = Sandbox()
        sandbox.start()
        self.addCleanup(sandbox.stop)
        for key, is_ok in ((sandbox.api_key, True), ("sk-wrong", False)):
            settings = {"API_KEY": key, "BASE_URL": sandbox.url}
            with self.subTest(key=key), override_settings(BUTTON_ORDERS=settings):
                assert ping("default").is_ok is is_ok

        url = f"{sandbox.url}/v1"
        settings = {"API_KEY": sandbox.api_key, "BASE_URL": url}
        with override_settings(BUTTON_ORDERS=settings):
            found = ping("default")

        assert not found.is_ok
        assert found.message == (
            "The server answers, and has no Order API at this address. "
            f"BUTTON_ORDERS['BASE_URL'] is '{url}'."
        )
        assert not ButtonOrder.objects.exists()
        assert not Submission.objects.exists()
