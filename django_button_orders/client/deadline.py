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


class ThreadDeadline(threading.local):
    #: A moment of ``time.monotonic()``.
    deadline = float("inf")


_thread = ThreadDeadline()


@contextmanager
def deadline_at(moment: float) -> Iterator[None]:
    """Let the exchanges of this thread end by a moment of ``time.monotonic()``."""
    _thread.deadline = moment
    try:
        yield
    finally:
        del _thread.deadline


def refuse_if_late() -> None:
    """
    Raise ``TooLateError`` once the deadline has passed.

    A process may have been frozen since the exchange began, and somebody else
    may have taken over.
    """
    if time.monotonic() >= _thread.deadline:
        raise TooLateError


class DeadlineReader(io.RawIOBase):
    """The reading end of a socket, after what has arrived, until the deadline."""

    def __init__(self, sock: socket.socket, arrived: bytes = b"") -> None:
        self.sock = sock
        self.arrived = memoryview(arrived)
        self.raw = sock.makefile("rb", buffering=0)
        self.read_timeout = sock.gettimeout()
        self.deadline = _thread.deadline
        self.is_at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.arrived:
            count = min(len(buffer), len(self.arrived))
            buffer[:count], self.arrived = self.arrived[:count], self.arrived[count:]
            return count
        return self.read_socket(buffer)

    def read_socket(self, buffer: Any) -> int | None:
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


class StrictResponse(HTTPResponse):
    """
    A response that is refused when it is cut.

    The standard library takes the end of the connection for the end of the
    head, and half an answer of 200 for a whole one.
    """

    @property
    def is_at_end(self) -> bool:
        """Whether the connection has ended."""
        return False

    def begin(self) -> None:
        super().begin()
        while self.status < HTTPStatus.OK:
            # Not an answer: it is still to come, and would be taken for that of
            # the next request.
            self.headers = self.msg = None  # type: ignore[assignment]  # as it begins
            super().begin()
        if self.is_at_end:
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


class DeadlineResponse(StrictResponse):
    """A response that is read until the deadline, after what of it has arrived."""

    def __init__(
        self, sock: socket.socket, *args: Any, arrived: bytes = b"", **kwargs: Any
    ) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.reader = DeadlineReader(sock, arrived)
        self.fp = io.BufferedReader(self.reader)

    @property
    def is_at_end(self) -> bool:
        return self.reader.is_at_end


class Arrived(io.BytesIO):
    """
    What has arrived of a response. Whoever reads on gets a ``BlockingIOError``.

    It stands in for the socket and for the file that is made of it.
    """

    def makefile(self, mode: str) -> Arrived:
        return self

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise BlockingIOError
        return line

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if len(data) != size:
            raise BlockingIOError
        return data

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        if count < len(buffer):
            raise BlockingIOError
        return count

    def close(self) -> None:
        """Stay open: it is looked at once more, for what is left of it."""

    @property
    def is_read(self) -> bool:
        return not super().read(1)


class ArrivedResponse(StrictResponse):
    """A response all of which has arrived, or reading it is a ``BlockingIOError``."""

    def __init__(self, data: bytes, **kwargs: Any) -> None:
        self.arrived = Arrived(data)
        super().__init__(self.arrived, **kwargs)  # type: ignore[arg-type]  # no socket
