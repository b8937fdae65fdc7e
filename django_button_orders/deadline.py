"""
A deadline for a whole HTTP exchange, beneath ``requests``.

The timeouts of ``requests`` are for each read of the socket, so an answer that
drips in byte by byte can take for ever. Here each read of a response, of its
head and of its body, waits no longer than the deadline allows.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any


class TooLateError(TimeoutError):
    """The deadline passed before anything was sent."""


class Exchange(threading.local):
    deadline = float("inf")


_exchange = Exchange()


@contextmanager
def deadline_at(moment: float) -> Iterator[None]:
    """Let the exchanges of this thread end by a moment of ``time.monotonic()``."""
    _exchange.deadline = moment
    try:
        yield
    finally:
        del _exchange.deadline


def refuse_if_late() -> None:
    """
    Raise ``TooLateError`` once the deadline has passed.

    A process may have been frozen since the exchange began, and somebody else
    may have taken over.
    """
    if time.monotonic() >= _exchange.deadline:
        raise TooLateError


class DeadlineReader(io.RawIOBase):
    """The reading end of a socket, until the deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.raw = sock.makefile("rb", buffering=0)
        self.read_timeout = sock.gettimeout()
        self.deadline = _exchange.deadline
        self.is_at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("The deadline of the exchange has passed.")
        if self.read_timeout is None or remaining < self.read_timeout:
            self.sock.settimeout(remaining)
        count: int | None = self.raw.readinto(buffer)
        self.is_at_end = count == 0
        return count

    def close(self) -> None:
        self.raw.close()
        super().close()


class DeadlineResponse(HTTPResponse):
    """
    A response that is read until the deadline, and refused when it is cut.

    The standard library takes the end of the connection for the end of the
    head, and half an answer of 200 for a whole one.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.reader = DeadlineReader(sock)
        self.fp = io.BufferedReader(self.reader)

    def begin(self) -> None:
        super().begin()
        while self.status < HTTPStatus.OK:
            # Not an answer: it is still to come, and would be taken for that of
            # the next request.
            self.headers = self.msg = None  # type: ignore[assignment]  # as it begins
            super().begin()
        if self.reader.is_at_end:
            raise RemoteDisconnected("The connection ended within the head.")
        # What urllib3 cannot read of a head, it writes into its log: it might
        # quote the key.
        self.msg.defects.clear()
        self.msg.set_payload("")

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]  # no stub
        if size < 0:
            raise IncompleteRead(b"")
        return size
