from __future__ import annotations

from django.test import SimpleTestCase

from django_button_orders.operations.throttle import Throttle


class ThrottleTests(SimpleTestCase):
    def test_evenly(self):
        now = [100.0]
        waits = []

        def wait(seconds):
            waits.append(round(seconds, 3))
            now[0] += seconds

        throttle = Throttle(4, wait=wait, clock=lambda: now[0])
        for _ in range(3):
            throttle.admit()
        assert waits == [0.25, 0.25]
        # Unused time does not accumulate.
        now[0] += 10
        throttle.admit()
        throttle.admit(2)
        throttle.admit()
        assert waits == [0.25, 0.25, 0.25, 0.5]

    def test_items_that_are_counted_afterwards(self):
        """The time that they took is part of theirs."""
        now = [100.0]
        waits = []
        throttle = Throttle(10, wait=waits.append, clock=lambda: now[0])
        for seconds in (0.5, 3):
            now[0] += 10
            throttle.wait_for_turn()
            now[0] += seconds
            throttle.spend(20)
            throttle.wait_for_turn()

        assert waits == [1.5]

    def test_no_limit(self):
        throttle = Throttle(None, wait=None)

        throttle.admit(1000)
        throttle.admit()
