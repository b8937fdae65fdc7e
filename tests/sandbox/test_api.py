from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from tests.sandbox.utils import OK, ORDER, SandboxTestCase

STRANGE_IDS = ("2026/11 #42", "a?b", "50%", "%2F", "a+b", "btn-ref", "a;b=c&d")


class CreateTests(SandboxTestCase):
    def test_answer(self):
        answer = self.create()

        order = answer.json()["object"]
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json()["meta"] == {"status": "ok"}
        assert re.fullmatch(r"btnorder-[0-9a-f]{16}", order.pop("button_order_id"))
        assert order.pop("finalization_date") > ORDER["purchase_date"]
        assert order == {
            **ORDER,
            "btn_ref": None,
            "line_items": [],
            "status": "open",
            "session_id": None,
            "ifa": None,
        }

    def test_what_was_sent_is_held(self):
        values = {
            "btn_ref": "srctok-1",
            "customer": {"id": "u-77"},
            "line_items": [{"identifier": "a", "total": 5400}],
            "finalization_date": "2099-01-01T00:00:00Z",
        }

        order = self.create(**values).json()["object"]

        assert order.items() >= values.items()
        assert self.sandbox.orders["WEB-10042"] == order

    def test_decimals(self):
        body = b"""{"total": 54.10, "total_as_decimal": true, "currency": "USD",
            "order_id": "1", "purchase_date": "2026-03-05T16:20:11Z"}"""

        assert self.post_bytes(body).json()["object"]["total"] == 5410

    def test_more_decimals_than_a_float_has(self):
        body = b"""{"total": 54.1000000000000000001, "total_as_decimal": true,
            "currency": "USD", "order_id": "1",
            "purchase_date": "2026-03-05T16:20:11Z"}"""

        assert self.post_bytes(body).status_code == 400

    def test_twice(self):
        self.create()

        answer = self.create(total=1)

        assert answer.status_code == 409
        assert self.sandbox.orders["WEB-10042"]["total"] == 5400

    def test_bad_order(self):
        answer = self.create(total=-1)

        assert answer.status_code == 400
        assert answer.json() == {
            "meta": {"status": "error"},
            "error": {"message": "total must be from 0 to 2147483647"},
        }
        assert self.sandbox.orders == {}

    def test_bad_bodies(self):
        bodies = [
            b"",
            b"{",
            b"[]",
            b'"a"',
            b"null",
            b'{"total": NaN}',
            b'{"total": -Infinity}',
            b'{"total": 1e400}',
            b'{"total": 1e9999999999999999999}',
            b'{"total": ' + b"9" * 5000 + b"}",
            b'{"order_id": "\\ud800"}',
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"[" * 100_000,
        ]
        for body in bodies:
            with self.subTest(body=body[:20]):
                answer = self.post_bytes(body)

                assert answer.status_code == 400
                assert answer.json()["meta"] == {"status": "error"}

    def test_content_type(self):
        for content_type, status in (
            ("application/json", 200),
            ("Application/JSON; charset=utf-8", 409),
            ("text/json", 400),
            ("application/x-www-form-urlencoded", 400),
        ):
            with self.subTest(content_type=content_type):
                body = b'{"total":1,"currency":"USD","order_id":"1"'
                body += b',"purchase_date":"2026-03-05T16:20:11Z"}'

                assert self.post_bytes(body, content_type).status_code == status


class OrderTests(SandboxTestCase):
    def test_update_by_either_id(self):
        button_id = self.create().json()["object"]["button_order_id"]
        for total, key in ((60, "WEB-10042"), (70, button_id)):
            answer = self.ask("POST", f"/v1/order/{key}", {"total": total})

            assert answer.status_code == 200
            assert answer.json()["object"]["total"] == total
            assert self.sandbox.orders["WEB-10042"]["total"] == total

    def test_update_keeps_what_is_not_sent(self):
        self.create(btn_ref="srctok-1", customer={"id": "u"})

        order = self.ask(
            "POST", "/v1/order/WEB-10042", {**ORDER, "total": 60, "line_items": []}
        ).json()["object"]

        assert order["btn_ref"] == "srctok-1"
        assert order["customer"] == {"id": "u"}

    def test_bad_updates(self):
        self.create()
        for body in ({"total": -1}, {"order_id": "other"}, {"total": None}, [], "a"):
            with self.subTest(body=body):
                answer = self.ask("POST", "/v1/order/WEB-10042", body)

                assert answer.status_code == 400
        assert self.sandbox.orders["WEB-10042"]["total"] == 5400

    def test_cancel(self):
        self.create()

        answer = self.ask("DELETE", "/v1/order/WEB-10042")

        assert answer.json() == {**OK, "object": None}
        assert self.sandbox.orders["WEB-10042"]["status"] == "deleted"

    def test_cancelled(self):
        self.create()
        self.ask("DELETE", "/v1/order/WEB-10042")

        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 404
        assert self.ask("POST", "/v1/order/WEB-10042", ORDER).status_code == 404
        assert self.create().status_code == 409
        order = self.ask("GET", "/v1/order/WEB-10042").json()["object"]
        assert order["status"] == "deleted"

    def test_retrieve(self):
        button_id = self.create().json()["object"]["button_order_id"]
        for key in ("WEB-10042", button_id, "WEB-10042?pretty=1"):
            with self.subTest(key=key):
                order = self.ask("GET", f"/v1/order/{key}").json()["object"]

                assert order == self.sandbox.orders["WEB-10042"]

    def test_retrieve_by_token(self):
        self.create(btn_ref="srctok-1")
        self.create(order_id="2", btn_ref="srctok-1")
        self.create(order_id="3")

        found = self.ask("GET", "/v1/order/btn-ref/srctok-1").json()["objects"]

        assert [order["order_id"] for order in found] == ["WEB-10042", "2"]
        assert self.ask("GET", "/v1/order/btn-ref/other").json()["objects"] == []

    def test_unknown(self):
        for method in ("GET", "POST", "DELETE"):
            body = ORDER if method == "POST" else None
            assert self.ask(method, "/v1/order/none", body).status_code == 404

    def test_strange_ids(self):
        for order_id in STRANGE_IDS:
            with self.subTest(order_id=order_id):
                path = f"/v1/order/{quote(order_id, safe='')}"
                self.create(order_id=order_id)

                assert self.ask("POST", path, {"total": 1}).status_code == 200
                order = self.ask("GET", path).json()["object"]
                assert (order["order_id"], order["total"]) == (order_id, 1)
                assert self.ask("DELETE", path).status_code == 200
                assert self.sandbox.orders[order_id]["status"] == "deleted"

    def test_dots_and_letters_beyond_ascii(self):
        self.create(order_id="..")
        for path, status in (
            (b"%2E%2E", 200),
            (b"..", 200),
            (b"%C3%A9", 404),
            (b"%FF", 404),
            (b"\xc3\xa9", 404),
            (b"%zz", 404),
        ):
            with self.subTest(path=path):
                answer = self.ask_raw(
                    b"GET /v1/order/" + path + b" HTTP/1.1\r\n"
                    b"Authorization: Basic c2stWFhYOg==\r\n\r\n"
                )

                assert answer.status == status

    def test_finalized(self):
        self.create()
        self.sandbox.finalize("WEB-10042")

        assert self.ask("POST", "/v1/order/WEB-10042", ORDER).status_code == 403
        assert self.ask("DELETE", "/v1/order/WEB-10042").status_code == 403
        assert self.sandbox.orders["WEB-10042"]["status"] == "finalized"

    def test_finalization_date_has_passed(self):
        now = datetime.now(timezone.utc)
        for date in ("2020-01-01", "2020-01-01T00:00:00.123456789Z", now.isoformat()):
            with self.subTest(date=date):
                self.create(order_id=date, finalization_date=date)

                answer = self.ask("GET", f"/v1/order/{quote(date)}")
                assert answer.json()["object"]["status"] == "finalized"
                answer = self.ask("DELETE", f"/v1/order/{quote(date)}")
                assert answer.status_code == 403
                assert self.sandbox.orders[date]["status"] == "finalized"

    def test_finalization_date_is_to_come(self):
        date = (datetime.now(timezone.utc) + timedelta(minutes=1)).isoformat()
        self.create(finalization_date=date)

        assert self.sandbox.orders["WEB-10042"]["status"] == "open"


class CredentialsTests(SandboxTestCase):
    def authorize(self, authorization):
        self.session.auth = None
        return self.ask("GET", headers={"Authorization": authorization}).status_code

    def test_wrong(self):
        for auth in (None, ("sk-YYY", ""), ("sk-XXX", "password"), ("", "sk-XXX")):
            with self.subTest(auth=auth):
                self.session.auth = auth

                answer = self.create()

                assert answer.status_code == 401
                assert answer.json() == {
                    "meta": {"status": "error"},
                    "error": {"message": "Invalid api_key"},
                }
                assert self.sandbox.orders == {}

    def test_header(self):
        for authorization, status in (
            ("Basic c2stWFhYOg==", 405),
            ("basic c2stWFhYOg==", 405),
            ("Bearer c2stWFhYOg==", 401),
            ("Basic c2stWFhYOg", 401),
            ("Basic c2stWFhY", 401),
            ("Basic \xe9", 401),
            ("Basic", 401),
            ("sk-XXX", 401),
        ):
            with self.subTest(authorization=authorization):
                assert self.authorize(authorization.encode("latin-1")) == status


class PathTests(SandboxTestCase):
    def test_other_methods(self):
        for method, path, allowed in (
            ("GET", "/v1/order", "POST"),
            ("DELETE", "/v1/order", "POST"),
            ("PUT", "/v1/order/1", "GET, POST, DELETE"),
            ("PATCH", "/v1/order/1", "GET, POST, DELETE"),
            ("HEAD", "/v1/order/1", "GET, POST, DELETE"),
            ("BREW", "/v1/order/1", "GET, POST, DELETE"),
            ("POST", "/v1/order/btn-ref/a", "GET"),
        ):
            with self.subTest(method=method, path=path):
                answer = self.ask(method, path)

                assert answer.status_code == 405
                assert answer.headers["Allow"] == allowed

    def test_other_paths(self):
        for path in (
            "/",
            "/v1/order/",
            "/v1/order/btn-ref/",
            "/v1/order/a/b",
            "/v1/customers",
            "/sandboxes",
        ):
            with self.subTest(path=path):
                assert self.ask("GET", path).status_code == 404
                assert self.ask("DELETE", path).status_code == 404
