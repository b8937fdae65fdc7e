"""Threads that make the calls of attempts. They stay away from the database."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from django_button_orders.delivery.attempt import Attempt


class Senders:
    """
    Up to ``count`` threads, started as they are needed.

    One thread puts attempts in and takes them out again, in the order in which
    they are done. ``on_done`` is called by the thread that is done with one. On
    leaving the context, all that was put in is done.
    """

    def __init__(
        self,
        count: int,
        perform: Callable[[Attempt], object],
        *,
        on_done: Callable[[], object] = lambda: None,
    ) -> None:
        self.count = count
        self.perform = perform
        self.on_done = on_done
        self.todo: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Attempt] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.in_flight = 0
        self.is_hungry = threading.Event()
        self.error: BaseException | None = None

    def __enter__(self) -> Senders:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.finish()

    def put(self, attempt: Attempt) -> None:
        if len(self.threads) < min(self.in_flight + 1, self.count):
            self.start_thread()
        # Not before: without a thread, nobody takes it.
        self.in_flight += 1
        self.todo.put(attempt)

    def start_thread(self) -> None:
        name = f"button-orders-sender-{len(self.threads) + 1}"
        thread = threading.Thread(target=self.run, name=name)
        # Before it starts: should we be interrupted in that, it is there all the same.
        self.threads.append(thread)
        try:
            thread.start()
        except RuntimeError:
            self.threads.remove(thread)
            # The system gives no more of them. Those that there are can go on.
            if not self.threads:
                raise

    def take(self, seconds: float) -> list[Attempt]:
        """
        Return what is done after so many seconds, or once more could be put in.

        Raises what ended one of the calls.
        """
        self.is_hungry.wait(max(seconds, 0))
        self.is_hungry.clear()
        taken = self.collect()
        self.raise_error()
        return taken

    def collect(self) -> list[Attempt]:
        """Return what is done."""
        taken: list[Attempt] = []
        with suppress(queue.Empty):
            while True:
                taken.append(self.done.get_nowait())
        self.in_flight -= len(taken)
        return taken

    def raise_error(self) -> None:
        """Raise what ended one of the calls, if anything has."""
        if self.error is not None:
            raise self.error

    def finish(self) -> None:
        """Wait until all that was put in is done."""
        for _ in self.threads:
            self.todo.put(None)
        for thread in self.threads:
            # One that was not started has nothing to do.
            with suppress(RuntimeError):
                thread.join()
        self.threads.clear()

    def run(self) -> None:
        while (attempt := self.todo.get()) is not None:
            try:
                self.perform(attempt)
            except BaseException as exc:  # noqa: BLE001 - raised where it is taken
                self.error = exc
            self.done.put(attempt)
            self.on_done()
            # Not at each end: the other thread has better things to do.
            if self.todo.qsize() < self.count:
                self.is_hungry.set()
