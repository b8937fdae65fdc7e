from __future__ import annotations

import gc
import json
import linecache
import logging
import os
import random
import sys
import threading
import time
from contextlib import ExitStack
from urllib.parse import unquote

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.test import TestCase, override_settings

from django_button_orders.client import pool
from django_button_orders.conf import get_settings
from django_button_orders.delivery import attempt, call, outcome, prepare, record, sweep
from django_button_orders.delivery.attempt import client_for
from django_button_orders.delivery.sweep import SweepLimits, report_due
from django_button_orders.models import ButtonOrder
from django_button_orders.signals import call_ended
from tests.utils import button_settings, create_row
from tests.wire import JSON, WireTestCase, answer, close_connections

REFUSED = answer(b'{"error": {"message": "exists"}}', status=409, content_type=JSON)


def answered(order_id):
    order = {"order_id": order_id, "currency": "USD"}
    body = {"meta": {"status": "ok"}, "object": order}
    return answer(json.dumps(body).encode())


def order_of(received):
    """Return the order ID of a request: a question has it in its path only."""
    if received.body:
        return json.loads(received.body)["order_id"]
    return unquote(received.target.rpartition("/")[2])


def may_change(received):
    """Return whether a request may change an order, and is no create of a known one."""
    is_update = received.target != "/v1/order"
    is_known = order_of(received).startswith("known")
    return received.method == "POST" and (is_update or not is_known)


def is_with(frame):
    """
    Return whether a frame is at a ``with`` statement.

    Python traces the line once more as it leaves the block. An error of the trace
    function would then keep it from calling ``__exit__()``, as no signal can.
    """
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return line.lstrip().startswith("with ")


class Trap:
    """Raises a worker's time limit at one of the lines of this thread, if at all."""

    MODULES = (attempt, call, outcome, pool, prepare, record, sweep)
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
        if event == "line" and not self.place and not is_with(frame):
            self.lines += 1
            if self.lines == self.line:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise SoftTimeLimitExceeded
        return self.trace_line


# Interrupted at the wrong moment, a socket is closed by the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
class InterruptionTests(WireTestCase, TestCase):
    """Whenever a worker's time is up, each order is accounted for."""

    ORDERS = ("plain", "known", "pieces", "late", "other")

    def setUp(self):
        super().setUp()
        self.server = self.serve(self.script)
        values = {"TIMEOUT": (2, 2), "DEADLINE": 5, "CONCURRENCY": 3}
        values = button_settings(BASE_URL=self.server.url, API_KEY="sk-XXX", **values)
        stack = ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(override_settings(BUTTON_ORDERS=values))
        stack.callback(close_connections, client_for(get_settings()))
        logging.disable(logging.ERROR)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.addCleanup(gc.collect)
        self.refused = set()

    def script(self, sock, received):
        order_id = order_of(received)
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
                report_due(using="default", limits=SweepLimits(seconds=5))
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
            changed = {
                order_of(item) for item in self.server.received if may_change(item)
            }
            with self.subTest(place=trap.place):
                # One that comes while something is logged is the logger's.
                assert error is not None or not trap.place
                for row in ButtonOrder.objects.all():
                    self.assert_accounted_for(row, row.order_id in changed)
                names = [thread.name for thread in threading.enumerate()]
                assert not any("button-orders-call" in name for name in names)
            raised += error is not None
            held = ButtonOrder.objects.filter(lease_token__isnull=False)
            leases += held.count()
        assert raised > 40
        # Where the end itself is interrupted, or the claim is.
        assert leases <= raised // 4, (leases, raised)

    def test_receiver_that_is_interrupted(self):
        def receive(**kwargs):
            raise SoftTimeLimitExceeded

        create_row(order_id="1")
        call_ended.connect(receive)
        self.addCleanup(call_ended.disconnect, receive)

        with pytest.raises(SoftTimeLimitExceeded):
            report_due(using="default")

        row = ButtonOrder.objects.get(order_id="1")
        assert (row.status, row.unanswered) == ("pending", 1)
        assert row.submissions.get().status_code == 200
