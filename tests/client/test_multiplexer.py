from __future__ import annotations

import errno
import gc
import json
import logging
import os
import random
import selectors
import sys
import threading
import time
from contextlib import ExitStack
from unittest.mock import patch

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.test import TestCase, override_settings

from django_button_orders.client import api, connection, nonblocking
from django_button_orders.conf import get_settings
from django_button_orders.delivery import attempt, call, calls, prepare, sweep
from django_button_orders.delivery.attempt import client_for
from django_button_orders.delivery.calls import Multiplexer
from django_button_orders.delivery.claims import Claims
from django_button_orders.delivery.prepare import prepare_all
from django_button_orders.delivery.record import record_all
from django_button_orders.delivery.sweep import SweepLimits, report_due
from django_button_orders.models import ButtonOrder
from django_button_orders.signals import call_ended
from tests.utils import button_settings, create_row
from tests.wire import JSON, WireTestCase, answer, close_connections

HERE = "here"
REFUSED = answer(b'{"error": {"message": "exists"}}', status=409, content_type=JSON)


def answered(order_id):
    body = {"meta": {"status": "ok"}, "object": {"order_id": order_id}}
    return answer(json.dumps(body).encode())


def wait_until(is_true):
    ends = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < ends
        time.sleep(0.005)


class MultiplexerTestCase(WireTestCase, TestCase):
    """Orders are answered as ``special`` says for their id, or at once."""

    def setUp(self):
        super().setUp()
        self.special = {}
        self.threads = {}
        self.server = self.serve(self.script)
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)
        self.set_settings()
        call_ended.connect(self.note_thread)
        self.addCleanup(call_ended.disconnect, self.note_thread)

    def set_settings(self, **values):
        values = {"TIMEOUT": (2, 2), "DEADLINE": 5, "CONCURRENCY": 3, **values}
        values = button_settings(BASE_URL=self.server.url, API_KEY="sk-XXX", **values)
        self.stack.enter_context(override_settings(BUTTON_ORDERS=values))
        client = client_for(get_settings())
        self.stack.callback(close_connections, client)

    def script(self, sock, received):
        order_id = json.loads(received.body)["order_id"]
        special = self.special.get(order_id)
        if special is not None:
            return special(sock, order_id)
        return sock.sendall(answered(order_id))

    def note_thread(self, *, order_id, **kwargs):
        name = threading.current_thread().name
        is_ours = name.startswith("button-orders-sender-")
        self.threads.setdefault(order_id, []).append("thread" if is_ours else HERE)

    def claim(self, *order_ids):
        """Return attempts at new orders, ready to be sent."""
        for order_id in order_ids:
            create_row(order_id=order_id)
        claims = Claims(ButtonOrder.objects.all())
        return list(prepare_all(claims.take(len(order_ids))))

    def open_connections(self, count=3):
        """Have so many connections that were used."""
        barrier = threading.Barrier(count)

        def wait(sock, order_id):
            barrier.wait(5)
            sock.sendall(answered(order_id))

        names = [f"first {number}" for number in range(count)]
        self.special = dict.fromkeys(names, wait)
        with self.multiplexer(count) as calls:
            self.run_all(calls, self.claim(*names))
        self.special.clear()
        assert self.server.connections == count

    def multiplexer(self, count=3, **values):
        values = {
            "is_stopped": lambda attempt: False,
            "on_end": lambda attempt: None,
            **values,
        }
        return Multiplexer(count, **values)

    def run_all(self, calls, attempts):
        for one in attempts:
            calls.put(one)
        return self.take_all(calls)

    def take_all(self, calls, count=None):
        """Return the ids of those that are done, in their order."""
        done = []
        ends = time.monotonic() + 30
        while calls.in_flight and (count is None or len(done) < count):
            done += calls.take(5)
            assert time.monotonic() < ends
        list(record_all(done))
        return [attempt.row.order_id for attempt in done]


class CallTests(MultiplexerTestCase):
    def test_who_makes_the_calls(self):
        """Threads open connections; all else is done here."""
        self.open_connections()
        with self.multiplexer() as calls:
            self.run_all(calls, self.claim(*"123456789"))

        assert self.threads == {
            **{f"first {number}": ["thread"] for number in range(3)},
            **{number: [HERE] for number in "123456789"},
        }
        assert self.server.connections == 3
        assert ButtonOrder.objects.filter(status="reported").count() == 12

    def test_no_more_calls_than_told(self):
        self.open_connections()
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def wait(sock, order_id):
            go_on.wait(5)
            sock.sendall(answered(order_id))

        self.special = dict.fromkeys("1234", wait)
        with self.multiplexer(2) as calls:
            for attempt in self.claim(*"1234"):
                calls.put(attempt)
            wait_until(lambda: len(self.server.received) == 3 + 2)
            calls.take(0.2)
            assert (calls.active, calls.in_flight) == (2, 4)
            assert len(self.server.received) == 3 + 2
            go_on.set()

            assert sorted(self.take_all(calls)) == ["1", "2", "3", "4"]

    def test_slow_answer_holds_up_no_other(self):
        self.open_connections()
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def drip(sock, order_id):
            whole = answered(order_id)
            sock.sendall(whole[:20])
            go_on.wait(5)
            sock.sendall(whole[20:])

        self.special = {"slow": drip}
        attempts = self.claim("slow", *"12345678")
        with self.multiplexer() as calls:
            for attempt in attempts:
                calls.put(attempt)

            assert sorted(self.take_all(calls, 8)) == list("12345678")
            # What has come of it is left to a thread.
            wait_until(lambda: calls.look(0) or calls.senders.in_flight)
            go_on.set()
            assert self.take_all(calls) == ["slow"]

        assert self.threads["slow"] == ["thread"]
        assert self.server.connections == 3

    def test_new_connection_holds_up_no_other(self):
        """Of three calls at once, two have to be connected for."""
        self.open_connections(1)
        with self.multiplexer(3) as calls:
            assert len(self.run_all(calls, self.claim(*"12345678"))) == 8

        assert ButtonOrder.objects.filter(status="reported").count() == 9
        assert self.server.connections <= 3

    def test_two_calls_for_one_order(self):
        """Button has it already, so it is told of the change."""
        self.open_connections()
        answers = iter([REFUSED, answered("old")])
        self.special = {"old": lambda sock, _: sock.sendall(next(answers))}
        [attempt] = self.claim("old")
        with self.multiplexer() as calls:
            self.run_all(calls, [attempt])

        operations = [exchange.operation for exchange in attempt.exchanges]
        assert operations == ["create", "update"]
        assert self.threads["old"] == [HERE, HERE]
        assert ButtonOrder.objects.get(order_id="old").status == "reported"

    def test_no_answer_in_time(self):
        self.set_settings(TIMEOUT=(2, 1.5))
        self.open_connections()
        self.special = {"lost": lambda sock, order_id: None}
        with self.multiplexer() as calls:
            self.run_all(calls, self.claim("lost", "1", "2", "3"))

        row = ButtonOrder.objects.get(order_id="lost")
        assert (row.status, row.reason) == ("pending", "unavailable")
        assert row.last_error == "Button did not answer in time."
        assert row.unanswered == 1
        assert self.threads["lost"] == [HERE]
        assert ButtonOrder.objects.filter(status="reported").count() == 3 + 3

    def test_connection_that_is_lost(self):
        self.open_connections()
        self.special = {"lost": lambda sock, order_id: False}
        with self.multiplexer() as calls:
            self.run_all(calls, self.claim("lost", "1"))

        row = ButtonOrder.objects.get(order_id="lost")
        assert row.last_error == "The connection to Button was lost before its answer."
        assert ButtonOrder.objects.get(order_id="1").status == "reported"

    def test_woken_by_a_thread(self):
        start = time.monotonic()
        with self.multiplexer(1) as calls:
            for attempt in self.claim("1"):
                calls.put(attempt)

            [attempt] = calls.take(60)

        assert attempt.row.order_id == "1"
        assert time.monotonic() - start < 30

    def test_does_not_wait_longer_than_told(self):
        self.open_connections()
        self.special = {"1": lambda sock, order_id: None}
        with self.multiplexer() as calls:
            for attempt in self.claim("1"):
                calls.put(attempt)

            assert calls.take(0.01) == []
            assert calls.in_flight == 1

    def test_turn_that_has_not_come(self):
        """It is waited for by a thread, not here."""
        self.open_connections()
        [early, other] = self.claim("early", "other")
        early.not_before = time.monotonic() + 1.5
        with self.multiplexer() as calls:
            assert self.run_all(calls, [early, other]) == ["other", "early"]

        assert self.threads["early"] == ["thread"]


class EndTests(MultiplexerTestCase):
    def test_stopped(self):
        """What has begun is done, and the rest is given back."""
        self.open_connections(1)
        ended = []
        with self.multiplexer(
            1,
            is_stopped=lambda attempt: attempt.row.order_id != "1",
            on_end=ended.append,
        ) as calls:
            attempts = self.claim(*"123")
            self.run_all(calls, attempts)

        assert ended == attempts
        assert list(self.threads) == ["first 0", "1"]
        pending = ButtonOrder.objects.filter(status="pending", attempts=0)
        assert pending.count() == 2

    def test_all_calls_are_over_at_the_end(self):
        self.open_connections()
        release = threading.Timer(0.2, lambda: None)

        def late(sock, order_id):
            release.join()
            sock.sendall(answered(order_id))

        self.special = dict.fromkeys("123", late)
        attempts = self.claim(*"12345")
        release.start()
        with self.multiplexer() as calls:
            for attempt in attempts:
                calls.put(attempt)

        verdicts = [attempt.verdict is not None for attempt in attempts]
        assert verdicts == [True, True, True, False, False]

    def test_time_limit_while_calls_are_under_way(self):
        """Nothing is lost of what was sent, and the rest is given back."""
        self.open_connections()
        for number in range(8):
            create_row(order_id=f"{number}")
        seen = []

        def is_stopped():
            seen.append(len(self.server.received))
            if seen[-1] >= 3 + 2:
                raise SoftTimeLimitExceeded
            return False

        with pytest.raises(SoftTimeLimitExceeded):
            report_due(using="default", shift=SweepLimits(is_stopped=is_stopped))

        rows = ButtonOrder.objects.exclude(order_id__startswith="first")
        assert not rows.filter(lease_token__isnull=False).exists()
        sent = len(self.server.received) - 3
        assert rows.filter(status="reported").count() == sent
        assert rows.filter(status="pending", attempts=0).count() == 8 - sent


class Trap:
    """Raises a worker's time limit at one of the lines of this thread, if at all."""

    MODULES = (
        calls,
        attempt,
        call,
        nonblocking,
        prepare,
        selectors,
        api,
        connection,
        sweep,
    )
    FILES = frozenset(module.__file__ for module in MODULES)

    def __init__(self, line):
        self.line = line
        self.lines = 0
        self.place = ""

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace_call)
        return self

    def __exit__(self, *exc_info):
        sys.settrace(self.before)

    def trace_call(self, frame, event, arg):
        return self.trace_line if frame.f_code.co_filename in self.FILES else None

    def trace_line(self, frame, event, arg):
        if event == "line" and not self.place:
            self.lines += 1
            if self.lines == self.line:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise SoftTimeLimitExceeded
        return self.trace_line


# Interrupted at the wrong moment, a socket is closed by the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
class InterruptionTests(MultiplexerTestCase):
    """Whenever a worker's time is up, each order is accounted for."""

    ORDERS = ("plain", "known", "pieces", "late", "other")

    def setUp(self):
        super().setUp()
        logging.disable(logging.ERROR)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.addCleanup(gc.collect)
        self.refused = set()

    def script(self, sock, received):
        order_id = json.loads(received.body)["order_id"]
        if order_id.startswith("pieces"):
            return self.send_in_pieces(sock, order_id)
        if order_id.startswith("known") and order_id not in self.refused:
            self.refused.add(order_id)
            return sock.sendall(REFUSED)
        return sock.sendall(answered(order_id))

    def send_in_pieces(self, sock, order_id):
        whole = answered(order_id)
        sock.sendall(whole[:30])
        time.sleep(0.003)
        sock.sendall(whole[30:])

    def interrupt(self, line):
        """Return the trap, and what the sweep has raised."""
        ButtonOrder.objects.all().delete()
        # Of this run: a call of the one before may still arrive.
        names = [f"{name} {line}" for name in self.ORDERS]
        for order_id in names:
            create_row(order_id=order_id)
        error = None
        with Trap(line) as trap:
            try:
                report_due(using="default", shift=SweepLimits(seconds=5))
            except SoftTimeLimitExceeded as exc:
                error = exc
        return trap, error

    def assert_accounted_for(self, row, sent):
        if row.lease_token is not None:
            # Nobody could say any more how its call has ended.
            assert row.unanswered == 1
        elif row.status == "pending":
            # Either it was sent, and Button is asked, or it was not.
            assert (row.unanswered > 0) or not sent
        else:
            assert (row.status, sent) == ("reported", True)

    def test_at_any_line(self):
        trap, error = self.interrupt(0)
        assert error is None
        assert ButtonOrder.objects.filter(status="reported").count() == 5
        rng = random.Random(os.environ.get("SEED", "7"))  # noqa: S311 - no secret
        leases = raised = 0
        for line in rng.sample(range(1, trap.lines), 80):
            trap, error = self.interrupt(line)
            bodies = [json.loads(each.body) for each in self.server.received]
            with self.subTest(place=trap.place):
                # One that comes while something is logged is the logger's.
                assert error is not None or not trap.place
                for row in ButtonOrder.objects.all():
                    sent = any(body["order_id"] == row.order_id for body in bodies)
                    self.assert_accounted_for(row, sent)
                names = [thread.name for thread in threading.enumerate()]
                assert not any("button-orders-sender" in name for name in names)
            raised += error is not None
            held = ButtonOrder.objects.filter(lease_token__isnull=False)
            leases += held.count()
        assert raised > 40
        # Where the end itself is interrupted, or the claim is.
        assert leases <= raised // 4, (leases, raised)

    def test_receiver_that_is_interrupted(self):
        def receive(**kwargs):
            raise SoftTimeLimitExceeded

        self.open_connections(1)
        create_row(order_id="1")
        call_ended.connect(receive)
        self.addCleanup(call_ended.disconnect, receive)

        with pytest.raises(SoftTimeLimitExceeded):
            report_due(using="default")

        row = ButtonOrder.objects.get(order_id="1")
        assert (row.status, row.unanswered) == ("pending", 1)
        assert row.submissions.get().status_code == 200

    def test_no_file_descriptors_left(self):
        create_row(order_id="1")
        error = OSError(errno.EMFILE, "Too many open files")
        with (
            patch("socket.socketpair", side_effect=error),
            pytest.raises(OSError, match="Too many open files"),
        ):
            report_due(using="default", first=claim_all())

        row = ButtonOrder.objects.get(order_id="1")
        assert (row.status, row.attempts) == ("pending", 0)
        assert row.lease_token is None


def claim_all():
    return Claims(ButtonOrder.objects.all()).take(10)
