"""Ending between two steps rather than in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from django_button_orders.management.stopping import Stop

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """
    Notes that the process is told to end, so that it ends where it can go on.

    The second time, it ends at once.
    """

    def __init__(self) -> None:
        self.number = 0
        self.before: dict[int, Any] = {}
        # An Event would be locked by the very thread that a signal interrupts.
        self.stop = Stop()

    def __enter__(self) -> Interruption:
        # In other threads, signals belong to whoever has called this.
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                self.before[number] = signal.signal(number, self.note)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.stop.set()
        self.__exit__()

    def is_set(self) -> bool:
        return self.stop.is_set

    @property
    def exit_status(self) -> int:
        """What a shell makes of a process that a signal has ended."""
        return 128 + self.number


class Pace:
    """At most so many orders per second, with no wait once somebody interrupts."""

    def __init__(self, rate: float | None, interruption: Interruption) -> None:
        self.rate = rate
        self.interruption = interruption

    def keep(self, orders: int, *, seconds: float) -> None:
        """Wait for what is left of the time of so many orders, done in ``seconds``."""
        if self.rate is not None:
            left = orders / self.rate - seconds
            self.interruption.stop.wait(max(left, 0))
