from __future__ import annotations

import os
import threading
import time

import pytest
from django.db import transaction
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from django_button_orders import doorbell
from django_button_orders.doorbell import Bell, Publisher, Ring
from django_button_orders.models import ButtonOrder
from tests.shop.models import Order, OrderLine
from tests.utils import button_settings, create_row


class Recorder(Publisher):
    """A publisher whose broker accepts messages, fails, or never answers."""

    def __init__(self, error=None):
        self.error = error
        self.rings = []
        self.threads = set()
        self.closed = self.forgotten = 0
        self.started = threading.Event()
        self.hanging = threading.Event()
        self.hanging.set()

    def is_eager(self):
        return False

    def publish(self, ring):
        self.threads.add(threading.current_thread().name)
        self.started.set()
        self.hanging.wait(30)
        self.rings.append(ring)
        if self.error:
            raise self.error

    def close(self):
        self.closed += 1

    def forget(self):
        self.forgotten += 1


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def ring(pk=1):
    return Ring(pk, "default")


class BellTests(SimpleTestCase):
    def setUp(self):
        self.broker = Recorder()
        self.clock = Clock()
        self.bell = Bell(self.broker, clock=self.clock)
        self.addCleanup(self.broker.hanging.set)

    def test_another_thread_publishes(self):
        self.bell.ring(ring())
        self.bell.wait(5)

        assert self.broker.rings == [ring()]
        assert self.broker.threads == {"button-orders-doorbell"}

    def test_nobody_waits_while_the_connection_closes(self):
        """The thread closes an idle connection, and closing may hang."""
        closing, closed = threading.Event(), threading.Event()

        def close():
            closing.set()
            assert closed.wait(30)

        self.broker.close = close
        self.addCleanup(closed.set)
        bell = Bell(self.broker, idle_seconds=0)
        bell.ring(ring(0))
        assert closing.wait(30)
        caller = threading.Thread(target=bell.ring, args=(ring(1),))

        caller.start()
        caller.join(5)

        assert not caller.is_alive()

    def test_rings_for_one_row_are_one(self):
        self.broker.hanging.clear()
        self.bell.ring(ring(0))
        self.broker.started.wait(5)
        for _ in range(100):
            self.bell.ring(ring(1))
        self.broker.hanging.set()
        self.bell.wait(5)

        assert self.broker.rings == [ring(0), ring(1)]

    def test_one_ring_for_all_saves_of_a_round(self):
        """The worker that gets the ring also reports the other due rows."""
        by_hand = Ring(5, "default", "admin", "1")
        again_by_hand = Ring(6, "default", "admin", "1")
        elsewhere = Ring(1, "archive")
        self.broker.hanging.clear()
        self.bell.ring(ring(0))
        self.broker.started.wait(5)
        held, also_held = (Ring(pk, "default", delay=3) for pk in (7, 8))
        for each in (ring(1), ring(2), by_hand, elsewhere, again_by_hand, ring(3)):
            self.bell.ring(each)
        for each in (held, also_held):
            self.bell.ring(each)
        self.broker.hanging.set()
        self.bell.wait(5)

        told = [ring(0), ring(1), by_hand, elsewhere, again_by_hand, held]
        assert self.broker.rings == told

    def test_hanging_broker_costs_nothing(self):
        self.broker.hanging.clear()

        for pk in range(1000):
            self.bell.ring(ring(pk))

        assert self.broker.rings == []

    def test_bounded(self):
        self.broker.hanging.clear()

        for pk in range(doorbell.CAPACITY + 500):
            self.bell.ring(ring(pk))

        assert len(self.bell.rings) <= doorbell.CAPACITY

    def test_failing_broker_is_left_alone_for_a_while(self):
        self.broker.error = OSError("amqp://user:secret@broker")
        with self.assertLogs("django_button_orders") as logs:
            for pk in range(5):
                self.bell.ring(ring(pk))
                self.bell.wait(5)

        assert len(self.broker.rings) == 1
        assert len(logs.records) == 1
        assert "secret" not in logs.output[0]
        assert self.broker.closed == 1

    def test_failing_broker_is_tried_again(self):
        self.broker.error = OSError()
        with self.assertLogs("django_button_orders"):
            self.bell.publish(ring(1))
        self.broker.error = None
        self.bell.publish(ring(1))
        self.clock.now += doorbell.MUTE_SECONDS

        self.bell.publish(ring(2))

        assert self.broker.rings == [ring(1), ring(2)]

    def test_error_is_logged_once_a_minute(self):
        self.broker.error = OSError()
        with self.assertLogs("django_button_orders") as logs:
            for _ in range(12):
                self.bell.publish(ring())
                self.clock.now += doorbell.MUTE_SECONDS

        assert len(self.broker.rings) == 12
        assert len(logs.records) == 2

    def test_waits_no_longer_than_it_may(self):
        self.broker.hanging.clear()
        self.bell.ring(ring())

        self.bell.wait(0.05)

        assert self.broker.rings == []

    def test_does_not_wait_for_what_is_stuck(self):
        self.broker.hanging.clear()
        self.bell.ring(ring(1))
        self.broker.started.wait(5)
        self.clock.now += doorbell.PATIENCE_SECONDS

        # The broker never answers, so the test ends only if wait() gives up.
        self.bell.wait(float("inf"))

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_forked_child_rings_for_itself(self):
        # While the parent's thread is busy, and has another ring to publish.
        self.broker.hanging.clear()
        self.bell.ring(ring(0))
        self.broker.started.wait(5)
        self.bell.ring(ring(1))
        doorbell._bells.append(self.bell)
        self.addCleanup(doorbell._bells.remove, self.bell)

        pid = os.fork()
        if pid == 0:
            self.broker.hanging.set()
            self.bell.ring(ring(2))
            self.bell.wait(5)
            good = self.broker.rings == [ring(2)] and self.broker.forgotten == 1
            os._exit(0 if good else 1)

        assert os.waitpid(pid, 0)[1] == 0


class RingTests(TransactionTestCase):
    """A save ends in a message after the commit."""

    def setUp(self):
        self.broker = Recorder()
        bells = doorbell._bells[:]
        self.bell = doorbell.connect(self.broker)
        self.addCleanup(doorbell._bells.__setitem__, slice(None), bells)
        self.addCleanup(self.broker.hanging.set)

    def rung(self):
        self.bell.wait(5)
        return self.broker.rings

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_after_the_commit(self):
        with transaction.atomic():
            row = create_row()
            assert self.rung() == []

        assert self.rung() == [Ring(row.pk, "default")]

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_host_order(self):
        order = Order.objects.create(number="42")
        for is_paid in (True, False):
            with self.subTest(is_paid=is_paid):
                self.rung()
                self.broker.rings.clear()
                order.is_paid = is_paid

                order.save()

                row = ButtonOrder.objects.get()
                assert self.rung() == [Ring(row.pk, "default")]

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_once_for_an_order_and_its_lines(self):
        self.broker.is_eager = lambda: True

        with transaction.atomic():
            order = Order.objects.create(number="42")
            for sku in ("a", "b"):
                OrderLine.objects.create(order=order, sku=sku, price=1)

        assert len(self.broker.rings) == 1

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_held_order(self):
        """It rings once, with the delay, also if its lines are saved after it."""
        with (
            override_settings(
                BUTTON_ORDERS=button_settings(DOORBELL="thread", FIRST_REPORT_DELAY=3)
            ),
            transaction.atomic(),
        ):
            order = Order.objects.create(number="42")
            OrderLine.objects.create(order=order, sku="a", price=1)

        pk = ButtonOrder.objects.get().pk
        assert self.rung() == [Ring(pk, "default", delay=3)]

    def test_held_row(self):
        for delay, delays in ((300, [300]), (301, [])):
            with (
                self.subTest(delay=delay),
                override_settings(
                    BUTTON_ORDERS=button_settings(
                        DOORBELL="thread", FIRST_REPORT_DELAY=delay
                    )
                ),
            ):
                self.broker.rings.clear()
                create_row(order_id=f"{delay}")

                assert [ring.delay for ring in self.rung()] == delays

    def test_rolled_back(self):
        with transaction.atomic():
            create_row()
            transaction.set_rollback(True)

        assert self.rung() == []

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_cancel_and_retry(self):
        row = create_row()
        self.rung()
        self.broker.rings.clear()
        row.cancel()
        self.rung()
        ButtonOrder.objects.update(status="failed")
        row.retry()

        assert len(self.rung()) == 2

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="none"))
    def test_none(self):
        create_row()

        assert self.rung() == []

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="inline"))
    def test_inline(self):
        create_row()

        assert len(self.broker.rings) == 1

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="inline"))
    def test_inline_with_a_hanging_broker(self):
        self.broker.hanging.clear()
        start = time.perf_counter()

        for number in range(20):
            create_row(order_id=f"{number}")

        # The first save waits about a second, and the others hardly at all.
        assert 0.9 < time.perf_counter() - start < 5

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="inline"))
    def test_inline_with_a_failing_broker(self):
        self.broker.error = OSError()

        with self.assertLogs("django_button_orders"):
            row = create_row()

        assert ButtonOrder.objects.get() == row

    @override_settings(BUTTON_ORDERS=button_settings(DOORBELL="thread"))
    def test_task_that_fails_in_the_process_of_the_save(self):
        self.broker.is_eager = lambda: True
        self.broker.error = ValueError("jane@shop.test")

        with self.assertLogs(level="ERROR") as logs:
            row = create_row()

        assert ButtonOrder.objects.get() == row
        # Ours, and not the traceback that Django would log.
        assert len(logs.output) == 1
        assert "An order was not reported: ValueError" in logs.output[0]
        assert "jane" not in logs.output[0]

    @override_settings(BUTTON_ORDERS={"DOORBELL": "gong"})
    def test_wrong_settings(self):
        with self.assertLogs("django_button_orders"):
            create_row()

        assert self.rung() == []
