"""The command as an operator starts it: a process that is interrupted, or piped."""

from __future__ import annotations

import json
import signal

from django_button_orders.models import ButtonOrder, Submission
from tests.management.processes import ProcessTestCase
from tests.shop.models import Order
from tests.utils import LONG_AGO, PURCHASED

COMMAND = "button_orders_reconcile"
COUNT = 40
EVERY_ID = {f"{number}" for number in range(COUNT)}


class ShopProcessTests(ProcessTestCase):
    def test_piped(self):
        Order.objects.bulk_create(Order(number=f"{number}") for number in range(3))
        self.publish()

        status, out, err = self.run_command(COMMAND, "shop")

        assert sorted(out.splitlines()) == [
            "0: The order has no Button order.",
            "1: The order has no Button order.",
            "2: The order has no Button order.",
            "3 missing.",
        ]
        assert err == "CommandError: 3 differences are not fixed.\n"
        assert status == 1

        status, out, err = self.run_command(COMMAND, "shop", "--fix")

        assert out.endswith("3 missing, 3 fixed.\n")
        assert (status, err) == (0, "")
        self.refresh()
        assert ButtonOrder.objects.due().count() == 3


class ButtonProcessTests(ProcessTestCase):
    def setUp(self):
        """Have rows that Button has acknowledged."""
        super().setUp()
        for number in range(COUNT):
            row = ButtonOrder(
                order_id=f"{number}",
                status="reported",
                reported_revision=1,
                reported_at=LONG_AGO,
                next_attempt_at=None,
                total=7000,
                currency="USD",
                purchase_date=PURCHASED,
            )
            row.reported_digest = row.desired_digest()
            ButtonOrder.objects.bulk_create([row])
            self.sandbox.store.create(row.as_report().as_payload())
        self.publish()

    def run_and_signal(self, number, *arguments, requests=COUNT // 4):
        """Send a signal once so many requests have come."""

        def listen(request):
            if len(self.sandbox.requests) == requests:
                process.send_signal(number)

        process = self.start(COMMAND, "button", "--rate", "40", *arguments)
        self.sandbox.listener = listen
        done = self.finish(process)
        self.sandbox.listener = lambda request: None
        return done

    def asked(self):
        return [item.order_id for item in self.sandbox.requests]

    def test_interrupted_and_resumed(self):
        status, out, err = self.run_and_signal(signal.SIGTERM, "--format", "json")

        assert status == 1
        assert "Interrupted. Use --resume to continue." in err
        assert COUNT // 4 <= json.loads(out)["agree"] < COUNT

        done = self.run_command(COMMAND, "button", "--resume")
        assert done == (0, f"{COUNT} agree.\n", "")
        # No gap, and nothing twice.
        assert sorted(self.asked()) == sorted(EVERY_ID)
        self.refresh()
        assert Submission.objects.filter(trigger="reconcile").count() == COUNT

    def test_killed_and_resumed(self):
        status, _, _ = self.run_and_signal(signal.SIGKILL, "--batch-size", "4")
        assert status == -signal.SIGKILL

        done = self.run_command(COMMAND, "button", "--resume")
        assert done == (0, f"{COUNT} agree.\n", "")
        assert set(self.asked()) == EVERY_ID
        # What is done again is at most the batch that it was at.
        assert len(self.asked()) - COUNT <= 4

    def test_interrupted_while_it_waits_for_button(self):
        self.sandbox.misbehave(times=1000, status=429, headers={"Retry-After": "200"})

        status, _, err = self.run_and_signal(signal.SIGINT, requests=1)

        assert status == 1
        assert "Interrupted." in err
