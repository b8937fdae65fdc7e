from __future__ import annotations

import re

import pytest
import requests

from tests.sandbox.utils import OK, ORDER, SandboxTestCase

SCRIPT = "<script>alert(1)</script>"


class PageTests(SandboxTestCase):
    def get_page(self):
        answer = requests.get(f"{self.sandbox.url}/sandbox", timeout=5)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        return answer.text

    def test_nothing_yet(self):
        assert "It has 0 orders and received 0 requests." in self.get_page()

    def test_one_of_each(self):
        self.create()

        assert "It has 1 order and received 1 request." in self.get_page()

    def test_orders_and_requests(self):
        self.create(btn_ref="srctok-1")
        self.create()

        page = self.get_page()

        for text in ("WEB-10042", "5400", "USD", "srctok-1", "btnorder-", "409"):
            assert text in page
        assert "The order exists already." in page
        assert "POST /v1/order" in page
        assert "sk-XXX" not in page
        assert "c2stWFhY" not in page

    def test_dropped(self):
        self.sandbox.misbehave(drop="before")
        with pytest.raises(requests.ConnectionError):
            self.create()

        assert "connection dropped" in self.get_page()

    def test_escapes_what_came_in(self):
        self.create(order_id=SCRIPT, customer_order_id=SCRIPT)
        self.create(order_id=SCRIPT, **{SCRIPT: SCRIPT})
        self.post_bytes(SCRIPT)
        self.sandbox.misbehave(body=SCRIPT)
        self.create(order_id="2")
        self.ask_raw(f"GET /v1/{SCRIPT} HTTP/1.1\r\n\r\n".encode())

        page = self.get_page()

        assert "&lt;script&gt;" in page
        assert "<script>" not in page

    def test_half_a_character(self):
        self.post_bytes(b'{"order_id": "\\ud800"}')

        assert "/v1/order" in self.get_page()

    def forms(self):
        """Return the URLs to which the page's buttons send, and their token."""
        page = self.get_page()
        [token] = set(re.findall(r'name="token" value="([^"]+)"', page))
        return re.findall(r'method="post" action="([^"]+)"', page), token

    def press(self, path, **data):
        url = f"{self.sandbox.url}{path}"
        return requests.post(url, data=data, timeout=5, allow_redirects=False)

    def test_buttons(self):
        self.create(order_id="a/b?<")
        for path, status in (
            ("/sandbox/finalize/a%2Fb%3F%3C", "finalized"),
            ("/sandbox/reopen/a%2Fb%3F%3C", "open"),
            ("/sandbox/finalize-all", "finalized"),
        ):
            paths, token = self.forms()
            assert path in paths
            answer = self.press(path, token=token)

            assert (answer.status_code, answer.headers["Location"]) == (303, "/sandbox")
            assert self.sandbox.orders["a/b?<"]["status"] == status
        self.sandbox.reopen("a/b?<")
        self.ask("DELETE", "/v1/order/a%2Fb%3F%3C")
        assert self.forms()[0] == ["/sandbox/finalize-all"]

    def test_forms_of_other_pages(self):
        self.create()
        for data in ({}, {"token": ""}, {"token": "guess"}, {"other": "x"}):
            answer = self.press("/sandbox/finalize/WEB-10042", **data)
            assert answer.status_code == 415
        assert self.sandbox.orders["WEB-10042"]["status"] == "open"

    def test_long_body(self):
        self.post_bytes(b"x" * 9000)

        assert len(self.get_page()) < 9000


class ControlTests(SandboxTestCase):
    def test_orders_and_requests(self):
        self.create()

        orders = self.ask("GET", "/sandbox/orders").json()
        received = self.ask("GET", "/sandbox/requests").json()

        assert orders == self.sandbox.orders
        assert received[0]["body"] == ORDER
        assert received[0]["order_id"] == "WEB-10042"
        assert len(self.sandbox.requests) == 1

    def test_counts(self):
        assert self.ask("GET", "/sandbox/counts").json() == {"orders": 0, "requests": 0}
        self.create()
        self.create()

        counts = self.ask("GET", "/sandbox/counts").json()

        assert counts == self.sandbox.counts == {"orders": 1, "requests": 2}

    def test_requests_that_json_cannot_hold(self):
        self.post_bytes(b'{"total": 1e400}')
        self.post_bytes(b'{"total": NaN}')
        self.post_bytes(b"\xff")

        received = self.ask("GET", "/sandbox/requests").json()

        assert [item["body"] for item in received] == [None, None, None]

    def test_misbehave_and_clear(self):
        options = {"status": 503, "times": 2, "headers": {"Retry-After": "1"}}
        answer = self.ask("POST", "/sandbox/misbehave", options)
        assert answer.json() == OK
        assert self.create().status_code == 503

        self.ask("POST", "/sandbox/clear", {})

        assert self.create().status_code == 200

    def test_finalize_and_reset(self):
        self.create(order_id="a/b")
        assert self.ask("POST", "/sandbox/finalize/a%2Fb", {}).status_code == 200
        assert self.sandbox.orders["a/b"]["status"] == "finalized"

        self.ask("POST", "/sandbox/reset", {})

        assert self.sandbox.orders == {}
        assert self.sandbox.requests == []

    def test_finalize_all_and_reopen(self):
        self.create(order_id="1")
        self.create(order_id="2")
        self.create(order_id="3")
        self.ask("DELETE", "/v1/order/3")

        answer = self.ask("POST", "/sandbox/finalize-all", {}).json()

        assert answer == {**OK, "finalized": 2}
        assert self.ask("POST", "/sandbox/reopen/1", {}).status_code == 200
        assert self.ask("POST", "/sandbox/reopen/1", {}).status_code == 404
        statuses = [order["status"] for order in self.sandbox.orders.values()]
        assert statuses == ["open", "finalized", "deleted"]

    def test_finalize_twice(self):
        self.create()
        statuses = [
            self.ask("POST", "/sandbox/finalize/WEB-10042", {}).status_code
            for _ in range(2)
        ]

        assert statuses == [200, 404]

    def test_nonsense(self):
        for method, path, body, status in (
            ("GET", "/sandbox/none", None, 404),
            ("POST", "/sandbox/none", {}, 404),
            ("POST", "/sandbox/finalize/none", {}, 404),
            ("POST", "/sandbox/finalize/", {}, 404),
            ("POST", "/sandbox/finalize/a/b", {}, 404),
            ("POST", "/sandbox/reopen/none", {}, 404),
            ("POST", "/sandbox/reopen/", {}, 404),
            ("GET", "/sandbox/orders/1", None, 404),
            ("GET", "/sandbox/counts/1", None, 404),
            ("POST", "/sandbox/counts", {}, 405),
            ("POST", "/sandbox/misbehave", [], 400),
            ("GET", "/sandbox/reset", None, 405),
            ("DELETE", "/sandbox/orders", None, 405),
        ):
            with self.subTest(method=method, path=path):
                assert self.ask(method, path, body).status_code == status

    def test_slash_at_the_end(self):
        assert self.ask("GET", "/sandbox/").status_code == 200
        assert self.ask("GET", "/sandbox/orders/").json() == {}

    def test_form(self):
        """A web page can send forms to the sandbox, and no JSON."""
        url = f"{self.sandbox.url}/sandbox/reset"
        self.create()

        assert requests.post(url, data={}, timeout=5).status_code == 415
        assert requests.post(url, data="{}", timeout=5).status_code == 415

        assert len(self.sandbox.orders) == 1

    def test_hosts(self):
        for host, is_ours in (
            ("localhost", True),
            ("LOCALHOST:80", True),
            ("127.0.0.1", True),
            ("127.8.8.8:1", True),
            ("[::1]:8010", True),
            ("", False),
            ("evil.test:80", False),
            ("127.0.0.1.evil.test", False),
            ("localhost@evil.test", False),
            ("[::1", False),
            ("10.0.0.1", False),
        ):
            headers = {"Host": host, "Content-Type": "application/json"}
            with self.subTest(host=host):
                answers = [
                    self.ask("POST", "/sandbox/clear", {}, headers=headers),
                    self.ask("GET", "/sandbox", headers=headers),
                    self.ask("GET", "/sandbox/orders", headers=headers),
                ]

                statuses = {answer.status_code for answer in answers}
                assert statuses == ({200} if is_ours else {403})
