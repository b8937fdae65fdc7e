from __future__ import annotations

import json

import pytest
from django.test import SimpleTestCase

from django_button_orders.sandbox import Sandbox
from tests.sandbox.utils import ORDER, SandboxTestCase


class FakeButtonTests(SandboxTestCase):
    def test_requests_are_kept_without_credentials(self):
        self.create()
        self.create()

        first, second = self.sandbox.requests
        assert (first.method, first.path, first.status) == ("POST", "/v1/order", 200)
        assert first.body == ORDER
        assert json.loads(first.raw_body) == ORDER
        assert first.order_id == "WEB-10042"
        assert first.headers["Content-Type"] == "application/json"
        assert second.status == 409
        assert first.at <= second.at
        assert "authorization" not in {name.lower() for name in first.headers}

    def test_copies(self):
        self.create()

        self.sandbox.orders["WEB-10042"]["total"] = 1
        self.sandbox.orders.clear()
        self.sandbox.requests.clear()

        assert self.sandbox.orders["WEB-10042"]["total"] == 5400
        assert len(self.sandbox.requests) == 1

    def test_finalize_unknown(self):
        with pytest.raises(LookupError, match="'none'"):
            self.sandbox.finalize("none")

    def test_listener_is_told_before_the_client(self):
        told = []
        self.sandbox.listener = told.append

        self.create()

        assert told == self.sandbox.requests


class OptionTests(SimpleTestCase):
    def test_bad_keys(self):
        for api_key in ("", "a:b", "a b", "ü", "a\n"):
            with self.subTest(api_key=api_key), pytest.raises(ValueError, match="key"):
                Sandbox(api_key=api_key)
