"""Commands whose output nobody reads any more, as in ``... | head -3``."""

from __future__ import annotations

import os
import socket
import sys

import pytest
import requests

from django_button_orders.models import ButtonOrder
from tests.faults.processes import free_port
from tests.management.processes import ProcessTestCase
from tests.shop.models import Order

COMMANDS = (
    ("button_orders_status",),
    ("button_orders_status", "--help"),
    ("button_orders_backfill",),
    ("button_orders_reconcile", "shop"),
    ("button_orders_report",),
    ("button_orders_retry", "--all", "--noinput"),
    ("button_orders_preflight",),
    ("button_orders_prune",),
)


@pytest.mark.skipif(sys.platform == "win32", reason="There are no such pipes.")
class ClosedOutputTests(ProcessTestCase):
    def setUp(self):
        super().setUp()
        Order.objects.bulk_create(Order(number=str(number)) for number in range(3))
        self.publish()

    def start_unread(self, *arguments, streams=("stdout",)):
        """Start a command. The other end of its output is closed already."""
        reader, writer = os.pipe()
        os.close(reader)
        try:
            return self.start(*arguments, **dict.fromkeys(streams, writer))
        finally:
            os.close(writer)

    def test_each_command(self):
        for arguments in COMMANDS:
            for is_buffered in (True, False):
                with self.subTest(arguments=arguments, is_buffered=is_buffered):
                    self.is_buffered = is_buffered

                    status, _, err = self.finish(self.start_unread(*arguments))

                    assert (status, err) == (0, "")

    is_buffered = False

    @property
    def env(self):
        env = super().env
        if self.is_buffered:
            del env["PYTHONUNBUFFERED"]
        return env

    def test_work_goes_on(self):
        """Errors that nobody reads do not end a backfill, and set its exit status."""
        Order.objects.filter(number="1").update(trouble="get_account")
        self.publish()

        process = self.start_unread(
            "button_orders_backfill", streams=("stdout", "stderr")
        )

        assert self.finish(process)[0] == 1
        self.refresh()
        assert ButtonOrder.objects.count() == 2

    def test_sandbox(self):
        """It answers, although nobody reads its lines."""
        port = free_port()
        self.start_unread("button_orders_sandbox", "--port", str(port))

        def answers():
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        self.wait_for("the sandbox", answers)
        for _ in range(2):
            answer = requests.get(f"http://127.0.0.1:{port}/v1/order/1", timeout=30)
            assert answer.status_code == 401
