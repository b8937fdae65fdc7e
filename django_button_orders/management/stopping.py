"""How a command is told to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether the command is to end, in words: what has begun is finished."""

    def __init__(self) -> None:
        self.is_set = False
        self.number = 0
        # An Event would be locked by the very thread that a signal interrupts.
        self.bell: SimpleQueue[None] = SimpleQueue()

    def set(self, number: int = signal.SIGTERM) -> None:
        self.is_set, self.number = True, number
        self.bell.put(None)

    @property
    def exit_status(self) -> int:
        """What a shell makes of a process that a signal has ended."""
        return 128 + self.number

    def wait(self, seconds: float) -> None:
        """Wait so long, unless it is told to end meanwhile."""
        if self.is_set:
            # The bell was heard by whoever waited then.
            return
        with suppress(Empty):
            self.bell.get(timeout=seconds)


@contextmanager
def noting_signals() -> Iterator[Stop]:
    """
    Note SIGTERM or Ctrl-C, instead of ending in the middle of something.

    The second one does what it does in any process: it ends it at once, even one
    that waits for a database or a name server.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        # Signals belong to another thread, and to whoever has called this.
        yield stop
        return

    def note(number: int, frame: object) -> None:
        for other in NUMBERS:
            signal.signal(other, signal.SIG_DFL)
        stop.set(number)

    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in NUMBERS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
