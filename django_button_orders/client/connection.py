"""
One kept connection beneath ``requests``.

A stock session spends most of its time on what a call to Button never needs:
looking for proxies, cookies, redirects and retries, and finding its one
connection among many. Here urllib3 connects, as ever, with its rules for TLS,
and the standard library writes requests, or at least their heads, and reads the
answers. See ``docs/decisions.rst`` for what that saves, and what it costs.
"""

from __future__ import annotations

import os
import ssl
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection as PlainConnection
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError, ProtocolError
from urllib3.util import Timeout

from django_button_orders.client.deadline import DeadlineResponse, refuse_if_late
from django_button_orders.client.exceptions import UNUSABLE, NotSentError

if TYPE_CHECKING:
    from django_button_orders.client.api import ButtonClient, Request


class Gathering:
    """Sends the head and the body of a request together."""

    response_class = DeadlineResponse
    gathered = b""
    sock: Any

    def send(self, data: bytes) -> None:
        self.gathered += data

    def send_gathered(self) -> None:
        data, self.gathered = self.gathered, b""
        refuse_if_late()
        self.sock.sendall(data)


class KeptHTTPConnection(Gathering, HTTPConnection):  # type: ignore[misc]  # send()
    """A connection of urllib3's."""


class KeptHTTPSConnection(Gathering, HTTPSConnection):  # type: ignore[misc]  # send()
    """A connection of urllib3's, with its rules for TLS."""


class Writer(Gathering, PlainConnection):  # type: ignore[misc]  # send()
    """A connection that is never made, for the bytes that would go over it."""


def write_head(connection: Any, method: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request as the standard library writes it."""
    writer = Writer(connection.host, connection.port)
    writer.default_port = connection.default_port
    writer.putrequest(method, "/", skip_accept_encoding="Accept-Encoding" in headers)
    for name, value in headers.items():
        writer.putheader(name, value)
    writer.endheaders()
    return writer.gathered


def is_target(path: str) -> bool:
    """Return whether a path may stand in the first line of a request."""
    return path.isascii() and path.isprintable() and " " not in path


class Body:
    """The body of a response, which keeps its connection if it is read to the end."""

    def __init__(
        self, response: HTTPResponse, connection: HTTPConnection, pool: KeptPool
    ) -> None:
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.response = response
        self.connection = connection
        self.pool = pool

    def read(self, amt: int, *, decode_content: bool = False) -> bytes:
        """Return at most so many bytes, as they came over the wire."""
        try:
            data = self.response.read(amt)
        except HTTPException as exc:
            raise ProtocolError("The answer was malformed.") from exc
        if not data and self.response.length:
            # The standard library takes the end of the connection for its end.
            raise ProtocolError("The answer was cut.")
        return data

    def close(self) -> None:
        if not self.response.isclosed():
            # What is left of it would be taken for the next answer.
            self.connection.close()
            self.response.close()

    def release_conn(self) -> None:
        self.pool.put_back(self.connection)


class KeptPool(HTTPConnectionPool):
    """A pool of one connection, whose requests are made in few steps."""

    ConnectionCls: Any = KeptHTTPConnection

    def urlopen(  # type: ignore[override]  # only what HTTPAdapter.send() asks for
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Any,
        *,
        timeout: Timeout,
        **unused: Any,
    ) -> Body:
        connection: Any = self._get_conn()
        try:
            if connection.sock is None:
                connection.timeout = timeout.connect_timeout
                connect(connection)
            if connection.sock.gettimeout() != timeout.read_timeout:
                connection.sock.settimeout(timeout.read_timeout)
            PlainConnection.request(connection, method, url, body, headers)
            connection.send_gathered()
            response = PlainConnection.getresponse(connection)
        except BaseException as exc:
            connection.close()
            connection.gathered = b""
            self._put_conn(connection)
            if isinstance(exc, HTTPException):
                raise ProtocolError("No answer could be read.") from exc
            raise
        return Body(response, connection, self)

    def put_back(self, connection: HTTPConnection) -> None:
        sock: Any = connection.sock
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            # More than an answer has come, and would be taken for the next one.
            connection.close()
        self._put_conn(connection)

    def take_open(self) -> Any:
        """Return the connection, if it stands; whoever has it puts it back."""
        connection: Any = self._get_conn()
        if connection.sock is None:
            self._put_conn(connection)
            return None
        return connection


def connect(connection: Any) -> None:
    """Connect. Whatever goes wrong in that, nothing was sent."""
    try:
        connection.connect()
    except ssl.SSLCertVerificationError:
        raise
    except OSError as exc:
        raise NewConnectionError(connection, "No connection came about.") from exc


class KeptTLSPool(KeptPool, HTTPSConnectionPool):
    ConnectionCls = KeptHTTPSConnection


class KeptAdapter(HTTPAdapter):
    """
    The stock adapter for one server, without the search for a connection.

    ``send()`` is the stock one, which is also where tests put other answers.
    """

    pool: Any = None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": KeptPool,
            "https": KeptTLSPool,
        }

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        if self.pool is None:
            self.pool = super().get_connection_with_tls_context(*args, **kwargs)
        return self.pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return request.path_url

    def close(self) -> None:
        super().close()
        self.pool = None


class Connection:
    """
    A connection to one account at Button, and what all its requests share.

    Raises ``ValueError`` when no request could be made over it.
    """

    def __init__(self, client: ButtonClient) -> None:
        self.base_url = client.base_url.rstrip("/")
        self.template = requests.Request(
            "GET", self.base_url, headers=client.headers()
        ).prepare()
        # Retries belong to the database: a repeated POST is a second order.
        self.adapter = KeptAdapter(pool_connections=1, pool_maxsize=1)
        # What follows the first line of each kind of request.
        self.headers: dict[str, bytes] = {}

    def write(self, request: Request, wire: Any) -> bytes:
        """Return a request as it goes over the wire."""
        aim = requests.PreparedRequest()
        aim.url = self.base_url + request.path
        if not is_target(aim.path_url):
            raise requests.exceptions.InvalidURL
        if request.method not in self.headers:
            prepared = self.prepare(request)
            prepared.headers.pop("Content-Length", None)
            head = write_head(wire, request.method, prepared.headers)
            self.headers[request.method] = head.partition(b"\r\n")[2]
        start = f"{request.method} {aim.path_url} HTTP/1.1\r\n".encode("ascii")
        if request.body is None:
            return start + self.headers[request.method]
        length = f"Content-Length: {len(request.body)}\r\n".encode("ascii")
        return start + length + self.headers[request.method] + request.body

    def prepare(self, request: Request) -> requests.PreparedRequest:
        # Not by a session, which would add cookies, or a password from a file.
        prepared = self.template.copy()
        prepared.method = request.method
        prepared.url = self.base_url + request.path
        if request.body is not None:
            prepared.body = request.body
            prepared.headers["Content-Type"] = "application/json"
            prepared.headers["Content-Length"] = str(len(request.body))
        return prepared


class Connections:
    """
    The connections of a process that no call is using, by account.

    An adapter is not documented to be safe between threads, so a call has one
    to itself. They outlive the threads, so that short ones shake no new hands.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.idle: defaultdict[ButtonClient, list[Connection]] = defaultdict(list)


_connections = Connections()


@contextmanager
def connection_for(client: ButtonClient) -> Iterator[Connection]:
    """Lend a connection, the one that was used last, or make one."""
    connection = lend(client) or new_connection(client)
    try:
        yield connection
    finally:
        take_back(client, connection)


def lend(client: ButtonClient) -> Connection | None:
    """Lend the connection that was used last, if there is one."""
    if _connections.pid != os.getpid():
        # A socket is not safe between processes: a forked child starts afresh.
        _connections.__init__()  # type: ignore[misc]
    try:
        return _connections.idle[client].pop()
    except IndexError:
        return None


def take_back(client: ButtonClient, connection: Connection) -> None:
    _connections.idle[client].append(connection)


def new_connection(client: ButtonClient) -> Connection:
    try:
        return Connection(client)
    except ValueError:
        raise NotSentError(UNUSABLE) from None
