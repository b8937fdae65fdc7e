from __future__ import annotations

import os
import signal
import threading
import time

from django.test import SimpleTestCase

from django_button_orders.management.pace import Pace
from django_button_orders.management.stopping import Stop, noting_signals


class SignalTests(SimpleTestCase):
    def test_notes_a_signal(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with noting_signals() as stop:
                assert not stop.is_set
                os.kill(os.getpid(), number)

                assert stop.is_set
                assert stop.exit_status == status

    def test_leaves_signals_as_they_were(self):
        before = signal.getsignal(signal.SIGTERM)
        with noting_signals():
            pass

        assert signal.getsignal(signal.SIGTERM) is before

    def test_other_threads_have_no_signals(self):
        seen = []

        def work():
            with noting_signals() as stop:
                seen.append(stop.is_set)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

        assert seen == [False]


class StopTests(SimpleTestCase):
    def test_told_to_end_nobody_waits(self):
        stop = Stop()
        stop.set()
        began = time.monotonic()
        for _ in range(3):
            stop.wait(60)

        assert time.monotonic() - began < 60


class Waits:
    """Stands for the event that ends a wait, and notes how long it would be."""

    def __init__(self):
        self.seconds = []
        self.stop = self

    def wait(self, seconds):
        self.seconds.append(seconds)


class PaceTests(SimpleTestCase):
    def waits(self, rate, orders, seconds):
        waits = Waits()
        Pace(rate, waits).keep(orders, seconds=seconds)
        return waits.seconds

    def test_waits_for_the_rest_of_the_time(self):
        assert self.waits(10, 20, 0.5) == [1.5]

    def test_does_not_wait_when_it_took_longer(self):
        assert self.waits(10, 20, 3) == [0]

    def test_no_rate(self):
        assert self.waits(None, 1000, 0) == []

    def test_ends_with_an_interruption(self):
        stop = Stop()
        stop.set()

        # A test that fails here would take eleven days.
        Pace(0.001, stop).keep(1000, seconds=0)
