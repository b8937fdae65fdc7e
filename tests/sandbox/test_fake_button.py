from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

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

    def test_finalize_sets_the_date(self):
        self.create()
        self.sandbox.finalize("WEB-10042")

        end = datetime.fromisoformat(self.end_of("WEB-10042"))
        assert timedelta() <= datetime.now(timezone.utc) - end < timedelta(seconds=60)

    def test_finalize_all(self):
        self.create(order_id="1")
        self.create(order_id="2")
        self.sandbox.finalize("1")

        assert self.sandbox.finalize_all() == 1
        assert self.sandbox.finalize_all() == 0
        assert self.ask("DELETE", "/v1/order/2").status_code == 403

    def test_reopen(self):
        self.create()
        with pytest.raises(LookupError, match=r"'WEB-10042' is finalized: .* is open"):
            self.sandbox.reopen("WEB-10042")
        with pytest.raises(LookupError, match="'none'"):
            self.sandbox.reopen("none")
        self.sandbox.finalize("WEB-10042")

        self.sandbox.reopen("WEB-10042")

        assert self.sandbox.orders["WEB-10042"]["status"] == "open"
        answer = self.ask("POST", "/v1/order/WEB-10042", {"total": 1})
        assert answer.status_code == 200
        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 200
        with pytest.raises(LookupError, match="deleted"):
            self.sandbox.reopen("WEB-10042")

    def end_of(self, order_id):
        return self.sandbox.orders[order_id]["finalization_date"].replace("Z", "+00:00")

    def test_listener_is_told_before_the_client(self):
        told = []
        self.sandbox.listener = told.append

        self.create()

        assert told == self.sandbox.requests


class WindowTests(SandboxTestCase):
    def shown(self, method="GET"):
        answer = self.ask(method, "/v1/order/WEB-10042", ORDER)
        return answer.json()["object"]

    def test_field(self):
        self.create(btn_ref="srctok-1")
        end = self.sandbox.orders["WEB-10042"]["finalization_date"]
        for field, other in (
            ("finalization_date", "finalized_date"),
            ("finalized_date", "finalization_date"),
        ):
            self.sandbox.window.field = field
            listed = self.ask("GET", "/v1/order/btn-ref/srctok-1").json()["objects"]
            for order in (self.shown(), self.shown("POST"), *listed):
                assert order[field] == end
                assert other not in order

    def test_no_date(self):
        self.sandbox.window.field = ""
        created = self.create().json()["object"]

        for order in (created, self.shown(), self.shown("POST")):
            assert not {"finalization_date", "finalized_date", ""} & order.keys()
        self.sandbox.finalize("WEB-10042")
        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 403

    def test_days(self):
        self.sandbox.window.days = 0.5
        self.create()
        self.sandbox.reset()
        self.create()

        end = self.sandbox.orders["WEB-10042"]["finalization_date"]
        left = datetime.fromisoformat(end.replace("Z", "+00:00")) - datetime.now(
            timezone.utc
        )
        assert timedelta(hours=11) < left <= timedelta(hours=12)

    def test_days_have_passed(self):
        self.sandbox.window.days = 1e-9
        self.create()

        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 403


class OptionTests(SimpleTestCase):
    def test_bad_window(self):
        for days in (0, -1, True, "7", None, float("nan"), float("inf"), 36501):
            with self.subTest(days=days), pytest.raises(ValueError, match="_days must"):
                Sandbox(finalization_days=days)
        with pytest.raises(ValueError, match="finalization_field must be"):
            Sandbox(finalization_field="finalised_date")

    def test_bad_keys(self):
        for api_key in ("", "a:b", "a b", "ü", "a\n"):
            with self.subTest(api_key=api_key), pytest.raises(ValueError, match="key"):
                Sandbox(api_key=api_key)
