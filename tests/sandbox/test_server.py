from __future__ import annotations

import http.client
import json
import time

import pytest
import requests

from tests.sandbox.utils import ORDER, SandboxTestCase


class ApiTests(SandboxTestCase):
    def test_create(self):
        answer = self.create(btn_ref="srctok-1")

        order = answer.json()["object"]
        assert answer.status_code == 200
        assert answer.json()["meta"] == {"status": "ok"}
        assert order["button_order_id"].startswith("btnorder-")
        assert order["status"] == "open"
        assert order["line_items"] == []
        assert self.sandbox.orders["WEB-10042"]["total"] == 5400

    def test_create_twice(self):
        self.create()

        answer = self.create(total=1)

        assert answer.status_code == 409
        assert self.sandbox.orders["WEB-10042"]["total"] == 5400

    def test_bad_order(self):
        answer = self.create(total=1.5)

        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == "total must be an integer"
        assert self.sandbox.orders == {}

    def test_update_by_either_id(self):
        button_id = self.create().json()["object"]["button_order_id"]
        for total, key in ((60, "WEB-10042"), (70, button_id)):
            answer = self.ask("POST", f"/v1/order/{key}", {"total": total})

            assert answer.status_code == 200
            assert self.sandbox.orders["WEB-10042"]["total"] == total

    def test_cancel(self):
        self.create()

        answer = self.ask("DELETE", "/v1/order/WEB-10042")

        assert answer.json() == {"meta": {"status": "ok"}, "object": None}
        assert self.sandbox.orders["WEB-10042"]["status"] == "deleted"
        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 404
        assert self.ask("POST", "/v1/order/WEB-10042", ORDER).status_code == 404
        assert self.create().status_code == 409

    def test_retrieve(self):
        self.create()

        answer = self.ask("GET", "/v1/order/WEB-10042")

        assert answer.json()["object"]["order_id"] == "WEB-10042"

    def test_retrieve_by_token(self):
        self.create(btn_ref="srctok-1")

        found = self.ask("GET", "/v1/order/btn-ref/srctok-1").json()["objects"]
        assert [order["order_id"] for order in found] == ["WEB-10042"]
        assert self.ask("GET", "/v1/order/btn-ref/other").json()["objects"] == []

    def test_unknown(self):
        for method in ("GET", "POST", "DELETE"):
            body = ORDER if method == "POST" else None
            assert self.ask(method, "/v1/order/none", body).status_code == 404

    def test_strange_ids(self):
        for order_id in ("2026/11 #42", "a?b", "50%", "%2F"):
            with self.subTest(order_id=order_id):
                path = f"/v1/order/{requests.utils.quote(order_id, safe='')}"
                self.create(order_id=order_id)

                assert self.ask("GET", path).json()["object"]["order_id"] == order_id

    def test_finalized(self):
        self.create()
        self.sandbox.finalize("WEB-10042")

        assert self.ask("POST", "/v1/order/WEB-10042", ORDER).status_code == 403
        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 403

    def test_finalization_date_has_passed(self):
        self.create(finalization_date="2020-01-01T00:00:00Z")

        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 403

    def test_credentials(self):
        for auth in (None, ("sk-YYY", ""), ("sk-XXX", "password")):
            with self.subTest(auth=auth):
                self.session.auth = auth

                answer = self.create()

                assert answer.status_code == 401
                assert answer.json()["meta"] == {"status": "error"}

    def test_bad_bodies(self):
        bodies = [b"{", b"[]", b'{"total": NaN}', b"\xff", b"[" * 100_000]
        for body in bodies:
            with self.subTest(body=body[:20]):
                answer = self.session.post(
                    f"{self.sandbox.url}/v1/order",
                    data=body,
                    headers={"Content-Type": "application/json"},
                    timeout=5,
                )

                assert answer.status_code == 400

    def test_form_data(self):
        url = f"{self.sandbox.url}/v1/order"

        assert self.session.post(url, data=ORDER, timeout=5).status_code == 400

    def test_other_methods_and_paths(self):
        assert self.ask("PUT", "/v1/order/1", ORDER).status_code == 405
        assert self.ask("GET", "/v1/order").status_code == 405
        assert self.ask("DELETE", "/v1/order/").status_code == 404
        assert self.ask("GET", "/").status_code == 404

    def test_body_of_unknown_length(self):
        for headers in ({"Content-Length": "x"}, {"Content-Length": "99999999"}):
            connection = http.client.HTTPConnection("127.0.0.1", self.sandbox.port)
            connection.request("POST", "/v1/order", headers=headers)

            assert connection.getresponse().status in (400, 413)
            connection.close()

    def test_requests_are_kept_without_credentials(self):
        self.create()
        self.create()

        first, second = self.sandbox.requests
        assert (first.method, first.path, first.status) == ("POST", "/v1/order", 200)
        assert first.body == ORDER
        assert json.loads(first.raw_body) == ORDER
        assert second.status == 409
        assert "authorization" not in {name.lower() for name in first.headers}


class MisbehaviourTests(SandboxTestCase):
    def test_status(self):
        self.sandbox.misbehave(status=503, times=2)

        assert [self.create().status_code for _ in range(3)] == [503, 503, 200]

    def test_body_and_headers(self):
        self.sandbox.misbehave(
            status=429,
            body="slow",
            content_type="text/html",
            headers={"Retry-After": "9"},
        )

        answer = self.create()

        assert answer.text == "slow"
        assert answer.headers["Retry-After"] == "9"
        assert answer.headers["Content-Type"] == "text/html"

    def test_accepted_without_object(self):
        self.sandbox.misbehave(status=202)

        answer = self.create()

        assert answer.status_code == 202
        assert answer.json() == {"meta": {"status": "ok"}}
        assert "WEB-10042" in self.sandbox.orders

    def test_plain_text(self):
        self.sandbox.misbehave(status=200, content_type="text/plain")

        assert self.create().text == "Accepted"
        assert "WEB-10042" in self.sandbox.orders

    def test_dropped(self):
        for drop, is_held in (("before", False), ("after", True)):
            with self.subTest(drop=drop):
                self.sandbox.reset()
                self.sandbox.misbehave(drop=drop)

                with pytest.raises(requests.ConnectionError):
                    self.create()

                assert ("WEB-10042" in self.sandbox.orders) is is_held
                assert self.sandbox.requests[0].status is None

    def test_applied_in_spite_of_the_status(self):
        self.sandbox.misbehave(status=500, apply=True)

        assert self.create().status_code == 500
        assert "WEB-10042" in self.sandbox.orders

    def test_delay(self):
        self.sandbox.misbehave(delay=0.05)
        start = time.monotonic()

        assert self.create().status_code == 200
        assert time.monotonic() - start >= 0.05

    def test_only_some_requests(self):
        self.sandbox.misbehave(status=503, method="POST", order_id="2")

        assert self.create(order_id="1").status_code == 200
        assert self.ask("GET", "/v1/order/2").status_code == 404
        assert self.create(order_id="2").status_code == 503

    def test_cleared(self):
        self.sandbox.misbehave(status=503, times=9)
        self.sandbox.clear_misbehaviour()

        assert self.create().status_code == 200

    def test_nonsense(self):
        for options in ({"drop": "sometimes"}, {"times": -1}, {"speed": 1}):
            with self.subTest(options=options), pytest.raises((TypeError, ValueError)):
                self.sandbox.misbehave(**options)


class ControlTests(SandboxTestCase):
    def test_page_escapes_what_came_in(self):
        self.create(order_id="<script>alert(1)</script>")

        page = self.ask("GET", "/sandbox").text

        assert "&lt;script&gt;" in page
        assert "<script>" not in page

    def test_orders_and_requests(self):
        self.create()

        orders = self.ask("GET", "/sandbox/orders").json()
        requests_ = self.ask("GET", "/sandbox/requests").json()

        assert orders["WEB-10042"]["total"] == 5400
        assert requests_[0]["body"] == ORDER
        assert len(self.sandbox.requests) == 1

    def test_misbehave_and_clear(self):
        self.ask("POST", "/sandbox/misbehave", {"status": 503, "times": 2})
        assert self.create().status_code == 503

        self.ask("POST", "/sandbox/clear", {})

        assert self.create().status_code == 200

    def test_finalize_and_reset(self):
        self.create(order_id="a/b")
        assert self.ask("POST", "/sandbox/finalize/a%2Fb", {}).status_code == 200
        assert self.sandbox.orders["a/b"]["status"] == "finalized"

        self.ask("POST", "/sandbox/reset", {})

        assert self.sandbox.orders == {}

    def test_nonsense(self):
        assert self.ask("GET", "/sandbox/none").status_code == 404
        assert self.ask("POST", "/sandbox/none", {}).status_code == 404
        assert self.ask("POST", "/sandbox/finalize/none", {}).status_code == 404
        assert self.ask("POST", "/sandbox/misbehave", {"speed": 1}).status_code == 400

    def test_web_page_cannot_reach_it(self):
        url = f"{self.sandbox.url}/sandbox/reset"
        headers = {"Host": "evil.test:80", "Content-Type": "application/json"}

        assert requests.post(url, data={}, timeout=5).status_code == 400
        assert (
            requests.post(url, json={}, headers=headers, timeout=5).status_code == 403
        )
