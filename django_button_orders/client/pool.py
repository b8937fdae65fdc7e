"""Threads that make many calls at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Generic, TypeVar

Job = TypeVar("Job")


class CallPool(Generic[Job]):
    """
    Up to ``count`` threads, each of which performs one job at a time.

    One thread puts jobs in and takes them out again when they are done. The pool
    starts a thread only when a job would have to wait without it. When the context
    ends, every job that was put in is done.
    """

    def __init__(self, count: int, perform: Callable[[Job], object]) -> None:
        self.count = count
        self.perform = perform
        self.todo: queue.SimpleQueue[tuple[Context, Job] | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.in_flight = 0
        self.has_room = threading.Event()
        self.error: BaseException | None = None

    def __enter__(self) -> CallPool[Job]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.finish()

    def put(self, job: Job) -> None:
        """Have a thread perform a job, in the context variables of the caller."""
        if len(self.threads) < min(self.in_flight + 1, self.count):
            self._start_thread()
        # The job is counted after that: without a thread, nobody performs it.
        self.in_flight += 1
        # A tracer finds the span of the caller in its context.
        self.todo.put((copy_context(), job))

    def pop_done(self, seconds: float = 0) -> list[Job]:
        """
        Return the jobs that are done.

        If there is none, wait for one for up to this many seconds. Raises the
        exception that ended a job, if one did.
        """
        self.has_room.wait(max(seconds, 0))
        self.has_room.clear()
        done: list[Job] = []
        with suppress(queue.Empty):
            while True:
                done.append(self.done.get_nowait())
        self.in_flight -= len(done)
        if self.error is not None:
            raise self.error
        return done

    def finish(self) -> None:
        """Wait until every job is done. Call it again if it was interrupted."""
        for _ in self.threads:
            self.todo.put(None)
        while self.threads:
            # A thread that was interrupted before it started cannot be joined.
            with suppress(RuntimeError):
                self.threads[-1].join()
            self.threads.pop()

    def _start_thread(self) -> None:
        name = f"button-orders-call-{len(self.threads) + 1}"
        thread = threading.Thread(target=self._run, name=name)
        # The thread is listed before it starts, so that an interruption in
        # between does not hide it from finish().
        self.threads.append(thread)
        try:
            thread.start()
        except RuntimeError:
            self.threads.remove(thread)
            # The system allows no more threads. Those that run can go on.
            if not self.threads:
                raise

    def _run(self) -> None:
        while (todo := self.todo.get()) is not None:
            context, job = todo
            try:
                context.run(self.perform, job)
            except BaseException as exc:  # noqa: BLE001 - pop_done() raises it
                self.error = exc
            self.done.put(job)
            # The other thread is woken only when it can put more in: it records
            # what is done in batches.
            if self.todo.qsize() < self.count:
                self.has_room.set()
