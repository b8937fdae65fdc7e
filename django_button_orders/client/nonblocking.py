"""
Requests that are on their way, whose answers nobody waits for.

They go over connections that there are. What has arrived of an answer is read when
it has; once it does not come in one piece, somebody has to wait for the rest.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from typing import Any

from django_button_orders.client.answers import Answer
from django_button_orders.client.api import ButtonClient, Request
from django_button_orders.client.connection import Body, Connection, lend, take_back
from django_button_orders.client.deadline import (
    ArrivedResponse,
    DeadlineResponse,
    StrictResponse,
    TooLateError,
    deadline_at,
)
from django_button_orders.client.exceptions import (
    BUTTON_ERRORS,
    ButtonError,
    as_button_error,
)

READ_BYTES = 65536
# That there is nothing to read, or no room to write, just now.
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class SentRequest:
    """
    A request on its way, and what has arrived of its answer.

    Its methods raise as those of ``ButtonClient`` do. ``late_at`` is the moment of
    ``time.monotonic()`` at which it should have been answered. Once it ``must_wait``,
    for room to send the rest, or for the rest of its answer, only ``wait()`` goes on.
    """

    def __init__(
        self,
        client: ButtonClient,
        connection: Connection,
        wire: Any,
        request: Request,
        deadline: float,
    ) -> None:
        self.client = client
        self.connection = connection
        self.wire = wire
        self.request = request
        self.deadline = deadline
        self.unsent = b""
        self.arrived = b""
        self.read_timeout = min(client.timeout[1], client.deadline)
        self.late_at = deadline
        self.must_wait = False

    def fileno(self) -> int:
        return self.wire.sock.fileno()  # type: ignore[no-any-return]

    def send(self) -> None:
        """Send as much as there is room for."""
        with self.errors():
            data = self.connection.write(self.request, self.wire)
            self.wire.sock.settimeout(0)
            if time.monotonic() >= self.deadline:
                raise TooLateError
            try:
                self.unsent = data[self.wire.sock.send(data) :]
            except NOT_NOW:
                self.unsent = data
            self.must_wait = bool(self.unsent)
            self.late_at = min(self.deadline, time.monotonic() + self.read_timeout)

    def read(self) -> Answer | None:
        """Return the answer, if all of it has arrived."""
        with self.errors():
            while not self.must_wait:
                try:
                    data = self.wire.sock.recv(READ_BYTES)
                except NOT_NOW:
                    self.must_wait = bool(self.arrived)
                    break
                self.arrived += data
                answer = self.parse()
                if answer is not None:
                    return answer
                # What the end of a connection means, or of so long an answer, is
                # for those to say who wait.
                self.must_wait = not data or len(self.arrived) >= READ_BYTES
        return None

    def parse(self) -> Answer | None:
        response = ArrivedResponse(self.arrived, method=self.request.method)
        try:
            response.begin()
            answer = self.read_answer(response)
        except (BlockingIOError, HTTPException, ValueError):
            # Whether it is malformed, too, is seen by who waits for the rest.
            return None
        # Who reads no more than so many bytes may leave some that are to come.
        is_over = response.isclosed() and response.arrived.is_read
        self.put_back(keeps=is_over and not response.will_close)
        return answer

    def give_up(self) -> ButtonError:
        """Wait no longer. Return what there is to say about that."""
        self.put_back(keeps=False)
        return as_button_error(TimeoutError())

    def wait(self) -> Answer:
        """Send and read what is left, until the deadline."""
        with self.errors(), deadline_at(self.deadline):
            seconds = self.deadline - time.monotonic()
            if seconds <= 0:
                raise TimeoutError
            self.wire.sock.settimeout(min(self.read_timeout, seconds))
            if self.unsent:
                self.wire.sock.sendall(self.unsent)
            response = DeadlineResponse(
                self.wire.sock, method=self.request.method, arrived=self.arrived
            )
            # A socket stays open for as long as anything reads it.
            with closing(response):
                response.begin()
                answer = self.read_answer(response)
                is_over = response.isclosed() and not response.reader.arrived
        self.put_back(keeps=is_over and not response.will_close)
        return answer

    def read_answer(self, response: StrictResponse) -> Answer:
        body = Body(response, self.wire, self.connection.adapter.pool)
        return self.client.read_answer(response.status, response.headers, body)

    def put_back(self, *, keeps: bool) -> None:
        if not keeps:
            self.wire.close()
        self.connection.adapter.pool.put_back(self.wire)
        take_back(self.client, self.connection)

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except (*BUTTON_ERRORS, HTTPException) as exc:
            self.put_back(keeps=False)
            raise as_button_error(exc) from None


def send_without_waiting(
    client: ButtonClient, request: Request, *, since: float
) -> SentRequest | None:
    """
    Send a request over a connection that there is.

    The deadline counts from ``since``, a moment of ``time.monotonic()``. Return None
    where there is no connection: nothing was sent then. Raises as
    ``ButtonClient.send()`` does.
    """
    connection = lend(client)
    if connection is None:
        return None
    pool = connection.adapter.pool
    wire = pool and pool.take_open()
    if wire is None:
        take_back(client, connection)
        return None
    deadline = since + client.deadline
    sent = SentRequest(client, connection, wire, request, deadline)
    sent.send()
    return sent
