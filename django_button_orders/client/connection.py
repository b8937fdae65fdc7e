"""
Connections to Button, kept for the next call and watched until a call's deadline.

A stock ``HTTPAdapter`` sends each request. There is no ``Session``, so nothing follows
redirects, stores cookies, or reads proxies and passwords from the environment.

The timeouts of ``requests`` bound each wait for the socket, so an answer that drips in
byte by byte could take for ever. The watchdog, one thread for all calls of the process,
shuts a call's socket down at its deadline, and the call ends with an error.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ProtocolError

from django_button_orders.client.exceptions import TOO_LATE, UNUSABLE, NotSentError
from django_button_orders.clock import monotonic

if TYPE_CHECKING:
    from requests.structures import CaseInsensitiveDict

    from django_button_orders.client.api import ButtonClient, Request


class Deadline:
    """The moment at which a call has to be over, and the socket that it uses."""

    def __init__(self, moment: float) -> None:
        #: By ``clock.monotonic()``.
        self.moment = moment
        self.sock: socket.socket | None = None
        self.is_connecting = False

    @property
    def has_passed(self) -> bool:
        return monotonic() >= self.moment

    def shut_down_socket(self) -> None:
        """End the wait of the thread that uses the socket."""
        if self.sock is None:
            return
        # SSLSocket.shutdown() would also drop the TLS state that the other thread
        # is using. The socket may be closed already.
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    @contextmanager
    def watch_new_socket(self, connection: HTTPConnection) -> Iterator[None]:
        """Remember the socket of a new connection, unless the deadline has passed."""
        self.is_connecting = True
        yield
        self.sock = connection.sock
        # A slow name server, or a frozen process, may have used up all the time.
        if self.has_passed:
            raise NotSentError(TOO_LATE)
        self.is_connecting = False


class Watchdog:
    """A thread that shuts down the sockets of calls whose deadline has passed."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew. A forked child has no threads, and a lock may be held."""
        self.condition = threading.Condition()
        self.deadlines: set[Deadline] = set()
        self.wakes_at = float("inf")
        self.is_running = False

    @contextmanager
    def watching(self, deadline: Deadline) -> Iterator[None]:
        """Shut the socket down at the deadline, but never after this block."""
        try:
            self.add(deadline)
            yield
        finally:
            with self.condition:
                self.deadlines.discard(deadline)

    def add(self, deadline: Deadline) -> None:
        with self.condition:
            self.deadlines.add(deadline)
            if not self.is_running:
                self.start()
            elif deadline.moment < self.wakes_at:
                self.condition.notify()

    def start(self) -> None:
        name = "button-orders-watchdog"
        threading.Thread(target=self.run, name=name, daemon=True).start()
        self.is_running = True

    def run(self) -> None:
        with self.condition:
            while True:
                for deadline in [each for each in self.deadlines if each.has_passed]:
                    deadline.shut_down_socket()
                    self.deadlines.remove(deadline)
                moments = [deadline.moment for deadline in self.deadlines]
                self.wakes_at = min(moments, default=float("inf"))
                seconds = self.wakes_at - monotonic()
                self.condition.wait(min(seconds, threading.TIMEOUT_MAX))


NO_CALL = Deadline(float("inf"))


class CurrentCall(threading.local):
    """The call that this thread is making."""

    deadline = NO_CALL


_watchdog = Watchdog()
_current = CurrentCall()


# The next five classes tell the deadline of a call which socket the call uses, and
# change nothing of what urllib3 does. urllib3 calls no other public method between
# making a socket and sending over it.


class WatchedHTTPConnection(HTTPConnection):
    def connect(self) -> None:
        with _current.deadline.watch_new_socket(self):
            super().connect()


class WatchedHTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        with _current.deadline.watch_new_socket(self):
            super().connect()


class WatchedHTTPPool(HTTPConnectionPool):
    ConnectionCls = WatchedHTTPConnection


class WatchedHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = WatchedHTTPSConnection


class WatchedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": WatchedHTTPPool,
            "https": WatchedHTTPSPool,
        }


def is_about_no_call(record: logging.LogRecord) -> bool:
    """Return whether a log record was written outside of the app's calls."""
    return _current.deadline is NO_CALL


# urllib3 warns about a malformed head and quotes it, perhaps with the API key in it.
logging.getLogger("urllib3.connection").addFilter(is_about_no_call)


class Connection:
    """
    A connection to Button for one account. It carries one call at a time.

    Raises ``ValueError`` if the address or the headers cannot be used.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        self.base_url = base_url.rstrip("/")
        # prepare() raises ValueError for a wrong address or a line break in a header,
        # and encode() for a header that cannot be written.
        template = requests.Request("GET", self.base_url, headers=headers).prepare()
        for value in headers.values():
            value.encode("latin-1")
        self.headers: dict[str, str] = dict(template.headers)
        # Retries belong to the database: a repeated POST is a second order.
        self.adapter = WatchedAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        self.sock: socket.socket | None = None

    def prepare(self, request: Request) -> requests.PreparedRequest:
        """Return a request as requests sends it."""
        prepared = requests.PreparedRequest()
        prepared.method = request.method
        prepared.url = self.base_url + request.path
        headers = self.headers.copy()
        if request.body is not None:
            prepared.body = request.body
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(request.body))
        # A plain dict is written faster than one that ignores case.
        prepared.headers = cast("CaseInsensitiveDict[str]", headers)
        return prepared

    @contextmanager
    def send(
        self, request: Request, deadline: Deadline, timeout: tuple[float, float]
    ) -> Iterator[requests.Response]:
        """
        Send a request and yield the response, with its body unread.

        Raises ``NotSentError`` instead of sending after the deadline, and
        ``TimeoutError`` when the body was not read before it.
        """
        prepared = self.prepare(request)
        deadline.sock = self.sock
        _current.deadline = deadline
        try:
            with _watchdog.watching(deadline):
                connect, read = timeout
                seconds = deadline.moment - monotonic()
                if seconds <= 0:
                    raise NotSentError(TOO_LATE)
                response = self.adapter.send(
                    prepared,
                    stream=True,
                    timeout=(min(connect, seconds), min(read, seconds)),
                )
                with response:
                    refuse_provisional(response)
                    yield response
        finally:
            _current.deadline = NO_CALL
        # A socket that was shut down looks like an answer that ends.
        if deadline.has_passed:
            raise TimeoutError
        self.sock = deadline.sock

    @property
    def has_unread_bytes(self) -> bool:
        """Whether more than an answer has come. urllib3 does not see it in TLS."""
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0


def refuse_provisional(response: requests.Response) -> None:
    """Raise for a status below 200: the answer to the request is still to come."""
    if response.status_code < HTTPStatus.OK:
        raise ProtocolError("A provisional answer came.")


# The connections that no call uses, those of an account together. They outlive the
# threads, so that a new thread needs no handshake. There are at most as many as there
# were calls at once.
_idle: defaultdict[ButtonClient, list[Connection]] = defaultdict(list)

if hasattr(os, "register_at_fork"):
    # Processes must not share a socket.
    os.register_at_fork(after_in_child=_idle.clear)
    os.register_at_fork(after_in_child=_watchdog.reset)


@contextmanager
def connection_for(client: ButtonClient) -> Iterator[Connection]:
    """Lend an idle connection or a new one. Close it if an error ends its use."""
    connection = lend(client) or new_connection(client)
    try:
        yield connection
        if connection.has_unread_bytes:
            connection.adapter.close()
    except BaseException:
        connection.adapter.close()
        raise
    _idle[client].append(connection)


def lend(client: ButtonClient) -> Connection | None:
    """Return the idle connection that was used last, or None."""
    try:
        return _idle[client].pop()
    except IndexError:
        return None


def new_connection(client: ButtonClient) -> Connection:
    try:
        return Connection(client.base_url, client.headers())
    except ValueError:
        raise NotSentError(UNUSABLE) from None
