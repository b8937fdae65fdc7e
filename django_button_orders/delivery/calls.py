"""Many calls at once, made by one thread. Does not touch the database."""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from django_button_orders.client.nonblocking import SentRequest
from django_button_orders.delivery.attempt import Attempt, Exchange, IsStopped
from django_button_orders.delivery.call import (
    Call,
    begin_call,
    end_call,
    perform,
    recording_errors,
)
from django_button_orders.delivery.rate_limit import wait_until
from django_button_orders.delivery.threads import Senders

# How often it is looked for calls that were not answered in time.
LOOK_SECONDS = 0.1


class Multiplexer:
    """
    Up to ``count`` calls at once, by the thread that puts their attempts in.

    It sends over connections that there are, and reads answers that have arrived,
    whenever it is asked for what is done. What has to be waited for is left to
    threads: a new connection, an answer that comes in pieces, an account's turn.
    So none of these holds up the others.

    Nothing is sent once ``is_stopped(attempt)``. ``on_end`` is called with each
    attempt that is over, by any thread. On leaving the context, all calls are over.
    """

    def __init__(
        self,
        count: int,
        *,
        is_stopped: IsStopped,
        on_end: Callable[[Attempt], object],
    ) -> None:
        self.count = count
        self.is_stopped = is_stopped
        self.on_end = on_end
        self.todo: deque[Attempt] = deque()
        self.done: list[Attempt] = []
        self.look_at = 0.0
        # With the calls whose answer is still to come.
        self.selector = selectors.DefaultSelector()
        # Threads wake us with it.
        self.bell, self.bell_push = socket.socketpair()
        self.bell.setblocking(False)
        self.bell_push.setblocking(False)
        self.selector.register(self.bell, selectors.EVENT_READ)
        self.senders = Senders(count, self.carry_out, on_done=self.ring)

    def __enter__(self) -> Multiplexer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish all calls. May be called again, should it have been interrupted."""
        try:
            self.finish()
        finally:
            self.selector.close()
            self.bell.close()
            self.bell_push.close()

    @property
    def in_flight(self) -> int:
        """How many were put in and not taken out."""
        return len(self.todo) + self.active + len(self.done)

    @property
    def active(self) -> int:
        return self.listening + self.senders.in_flight

    @property
    def listening(self) -> int:
        # None once it is closed. One is for the bell.
        return len(self.selector.get_map() or [None]) - 1

    def put(self, attempt: Attempt) -> None:
        self.todo.append(attempt)
        self.begin_more()

    def take(self, seconds: float) -> list[Attempt]:
        """
        Return what is done after so many seconds, or once more could be put in.

        Raises what ended one of the threads' calls.
        """
        ends = time.monotonic() + max(seconds, 0)
        self.look(ends)
        while self.active and not self.is_hungry and time.monotonic() < ends:
            self.look(ends)
        self.senders.raise_error()
        done, self.done = self.done, []
        return done

    @property
    def is_hungry(self) -> bool:
        return bool(self.done) and len(self.todo) < self.count

    def finish(self) -> None:
        """Wait until all calls are over. What has not begun stays as it is."""
        self.todo.clear()
        try:
            while self.listening:
                self.look(time.monotonic() + LOOK_SECONDS)
        finally:
            self.senders.finish()
            self.take_from_threads()

    def look(self, ends: float) -> None:
        """Read what has arrived, or what does until a moment, and send more."""
        seconds = min(ends - time.monotonic(), LOOK_SECONDS) if self.active else 0
        for key, _ in self.selector.select(max(seconds, 0)):
            if key.fileobj is self.bell:
                self.take_from_threads()
            else:
                self.read(*key.data)
        if time.monotonic() >= self.look_at:
            self.give_up_on_late()
        self.begin_more()

    def begin_more(self) -> None:
        while self.todo and self.active < self.count:
            self.begin(self.todo.popleft())

    def begin(self, attempt: Attempt) -> None:
        """Make the next call of an attempt, if there is one to make."""
        if attempt.not_before > time.monotonic():
            self.senders.put(attempt)
        elif call := begin_call(attempt, is_stopped=self.is_stopped):
            self.send(call)
        else:
            self.on_end(attempt)
            self.done.append(attempt)

    def send(self, call: Call) -> None:
        attempt, sent = call.attempt, None
        with recording_errors(attempt):
            sent = call.send()
        if isinstance(sent, SentRequest):
            self.listen(call, sent)
        elif isinstance(sent, Exchange):
            self.end(call, sent)
        elif attempt.verdict is not None:
            self.begin(attempt)
        else:
            # A thread begins anew.
            attempt.call = None
            self.senders.put(attempt)

    def listen(self, call: Call, sent: SentRequest) -> None:
        if sent.must_wait:
            self.senders.put(call.attempt)
        else:
            self.selector.register(sent, selectors.EVENT_READ, (call, sent))

    def read(self, call: Call, sent: SentRequest) -> None:
        # Its socket may be closed after that.
        self.selector.unregister(sent)
        exchange = call.read()
        if exchange is None:
            self.listen(call, sent)
        else:
            self.end(call, exchange)

    def give_up_on_late(self) -> None:
        now = time.monotonic()
        self.look_at = now + LOOK_SECONDS
        waiting = [key.data for key in self.selector.get_map().values() if key.data]
        for call, sent in waiting:
            if sent.late_at <= now:
                self.selector.unregister(sent)
                self.end(call, call.note(sent.give_up()))

    def end(self, call: Call, exchange: Exchange) -> None:
        """End a call, and make the next one of its attempt, if there is one."""
        with recording_errors(call.attempt):
            end_call(call, exchange)
        self.begin(call.attempt)

    def carry_out(self, attempt: Attempt) -> None:
        """Make all calls of an attempt, or go on with one. Threads do this."""
        if not self.is_stopped(attempt):
            wait_until(attempt.not_before)
        perform(attempt, is_stopped=self.is_stopped)
        self.on_end(attempt)

    def ring(self) -> None:
        """Say that a thread is done with an attempt."""
        # Where it cannot be, it has been often enough, or nobody listens any more.
        with suppress(OSError):
            self.bell_push.send(b"\0")

    def take_from_threads(self) -> None:
        with suppress(OSError):
            self.bell.recv(4096)
        self.done += self.senders.collect()
