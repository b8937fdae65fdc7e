from __future__ import annotations

import time
from contextlib import suppress

import pytest
import requests

from django_button_orders.sandbox.misbehaviour import Misbehaviour, Plan
from tests.sandbox.utils import OK, ORDER, SandboxTestCase

NONSENSE = (
    {"drop": "sometimes"},
    {"times": -1},
    {"times": 1.5},
    {"times": True},
    {"delay": -1},
    {"chance": 0},
    {"chance": 1.5},
    {"chance": True},
    {"delay": "1"},
    {"delay": 10**9},
    {"status": 199},
    {"status": 600},
    {"status": "503"},
    {"body": 0},
    {"method": None},
    {"order_id": 1},
    {"apply": "yes"},
    {"content_type": None},
    {"headers": ["a"]},
    {"headers": {"a": 1}},
    {"headers": {"a": "b\r\nc: d"}},
    {"headers": {"a b": "c"}},
    {"headers": {"Content-Length": "1"}},
    {"drop": "before", "apply": True},
    {"drop": "after", "apply": False},
    {"apply": False},
    {"speed": 1},
)


class MisbehaviourTests(SandboxTestCase):
    def is_held(self):
        return "WEB-10042" in self.sandbox.orders

    def test_status(self):
        self.sandbox.misbehave(status=503, times=2)

        answers = [self.create() for _ in range(3)]

        assert [answer.status_code for answer in answers] == [503, 503, 200]
        assert answers[0].json()["meta"] == {"status": "error"}
        assert answers[0].json()["error"]["message"]
        assert [item.status for item in self.sandbox.requests] == [503, 503, 200]

    def test_body_and_headers(self):
        self.sandbox.misbehave(
            status=429,
            body="slow ü",
            content_type="text/html; charset=utf-8",
            headers={"Retry-After": "9", "date": "today"},
        )

        answer = self.create()

        assert answer.text == "slow ü"
        assert answer.headers["Retry-After"] == "9"
        assert answer.headers["Date"] == "today"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"

    def test_body_alone(self):
        self.sandbox.misbehave(body="{")

        answer = self.create()

        assert (answer.status_code, answer.text) == (200, "{")
        assert self.is_held()

    def test_headers_alone(self):
        self.sandbox.misbehave(headers={"X-Button-Limit-Remaining": "0"})

        answer = self.create()

        assert answer.headers["X-Button-Limit-Remaining"] == "0"
        assert answer.json()["object"]["order_id"] == "WEB-10042"

    def test_accepted_without_object(self):
        self.sandbox.misbehave(status=202)

        answer = self.create()

        assert answer.status_code == 202
        assert answer.json() == OK
        assert self.is_held()

    def test_empty_answers(self):
        for status in (204, 304):
            with self.subTest(status=status):
                self.sandbox.misbehave(status=status)

                answer = self.create()

                assert (answer.status_code, answer.content) == (status, b"")

    def test_status_without_a_name(self):
        self.sandbox.misbehave(status=599)

        assert self.create().status_code == 599

    def test_plain_text(self):
        for status, text in ((200, "Accepted"), (500, "Error")):
            self.sandbox.misbehave(status=status, content_type="text/plain")

            answer = self.create()

            assert answer.text == text
            assert answer.headers["Content-Type"] == "text/plain"
        assert self.is_held()

    def test_dropped(self):
        for drop, is_held in (("before", False), ("after", True)):
            with self.subTest(drop=drop):
                self.sandbox.reset()
                self.sandbox.misbehave(drop=drop)

                with pytest.raises(requests.ConnectionError):
                    self.create()

                assert self.is_held() is is_held
                assert self.sandbox.requests[0].status is None
                assert self.sandbox.requests[0].body == ORDER

    def test_applied_in_spite_of_the_status(self):
        self.sandbox.misbehave(status=500, apply=True)

        assert self.create().status_code == 500
        assert self.is_held()

    def test_not_applied_in_spite_of_the_status(self):
        self.sandbox.misbehave(status=200, apply=False)
        self.sandbox.misbehave(body="{}", apply=False)

        assert self.create().json() == OK
        assert self.create().status_code == 200
        assert not self.is_held()

    def test_delay(self):
        self.sandbox.misbehave(delay=0.05)
        start = time.monotonic()

        assert self.create().status_code == 200
        assert time.monotonic() - start >= 0.05

    def test_client_that_does_not_wait(self):
        self.sandbox.misbehave(delay=30)
        url = f"{self.sandbox.url}/v1/order"

        with pytest.raises(requests.ReadTimeout):
            self.session.post(url, json=ORDER, timeout=0.05)

        server = self.sandbox.server
        self.sandbox.stop()
        deadline = time.monotonic() + 5
        while server.connections and time.monotonic() < deadline:
            time.sleep(0.001)
        assert server.connections == set()
        assert self.sandbox.orders == {}

    def test_others_do_not_wait(self):
        self.sandbox.misbehave(delay=30, order_id="slow")
        url = f"{self.sandbox.url}/v1/order/slow"
        with pytest.raises(requests.ReadTimeout):
            self.session.get(url, timeout=0.05)

        assert self.create().status_code == 200

    def test_only_some_requests(self):
        self.sandbox.misbehave(status=503, method="post", order_id="2")

        assert self.create(order_id="1").status_code == 200
        assert self.ask("GET", "/v1/order/2").status_code == 404
        assert self.create(order_id="2").status_code == 503

    def test_order_by_button_s_id(self):
        button_id = self.create().json()["object"]["button_order_id"]
        self.sandbox.misbehave(status=503, order_id="WEB-10042")

        assert self.ask("GET", f"/v1/order/{button_id}").status_code == 503

    def test_one_after_another(self):
        self.sandbox.misbehave(status=503)
        self.sandbox.misbehave(status=429)

        answers = [self.create().status_code for _ in range(3)]

        assert answers == [503, 429, 200]

    def test_no_times(self):
        self.sandbox.misbehave(status=503)
        self.sandbox.misbehave(status=429, times=0)

        assert [self.create().status_code for _ in range(2)] == [503, 200]

    def test_a_part_of_the_requests(self):
        numbers = iter([0.5, 0.1, 0.4, 0.39])
        plan = Plan(rng=lambda: next(numbers))
        plan.add(Misbehaviour(status=503, times=9, chance=0.4))

        taken = [plan.pop_matching("POST", "1").status for _ in range(4)]

        assert taken == [None, 503, None, 503]

    def test_chances_of_a_sandbox(self):
        numbers = iter([0.5, 0.1, 0.5])
        self.sandbox.rng = lambda: next(numbers)
        self.sandbox.clear_misbehaviour()
        self.sandbox.misbehave(status=503, times=9, chance=0.4)

        answers = [self.create().status_code for _ in range(3)]

        assert answers == [200, 503, 409]

    def test_what_was_applied(self):
        for options, is_applied in (
            ({}, True),
            ({"status": 500}, False),
            ({"status": 500, "apply": True}, True),
            ({"status": 200, "apply": False}, False),
            ({"drop": "before"}, False),
            ({"drop": "after"}, True),
        ):
            with self.subTest(options=options):
                self.sandbox.reset()
                if options:
                    self.sandbox.misbehave(**options)

                with suppress(requests.ConnectionError):
                    self.create()

                assert self.sandbox.requests[-1].is_applied is is_applied

    def test_what_is_refused_is_not_applied(self):
        self.create(total=-1)

        assert not self.sandbox.requests[-1].is_applied

    def test_cleared(self):
        self.sandbox.misbehave(status=503, times=9)
        self.sandbox.clear_misbehaviour()

        assert self.create().status_code == 200

    def test_nonsense(self):
        for options in NONSENSE:
            with self.subTest(options=options):
                with pytest.raises((TypeError, ValueError)):
                    self.sandbox.misbehave(**options)
                answer = self.ask("POST", "/sandbox/misbehave", options)
                assert answer.status_code == 400
        assert self.create().status_code == 200
