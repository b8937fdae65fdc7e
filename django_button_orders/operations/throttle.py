"""Limit how many orders a command works on per second."""

from __future__ import annotations

import time
from collections.abc import Callable

from django_button_orders.clock import Clock, monotonic


class Throttle:
    """Spreads items evenly over time, ``rate`` per second. None means no limit."""

    def __init__(
        self,
        rate: float | None,
        *,
        wait: Callable[[float], object] = time.sleep,
        clock: Clock = monotonic,
    ) -> None:
        self.rate = rate
        self.wait = wait
        self.clock = clock
        self.next_at = 0.0

    def admit(self, count: int = 1) -> None:
        """Wait until the items before these had their time, and count these."""
        self.wait_for_turn()
        self.spend(count)

    def wait_for_turn(self) -> None:
        """Wait until the items so far had their time. Unused time is lost."""
        now = self.clock()
        if self.next_at > now:
            self.wait(self.next_at - now)
        self.next_at = max(self.next_at, now)

    def spend(self, count: int) -> None:
        """Count items, so that the next turn comes later."""
        if self.rate is not None:
            self.next_at += count / self.rate
