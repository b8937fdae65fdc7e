"""
HTTP to Button's Order API, and nothing else: no Django, no database.

Paths and methods are those of Button's official clients; Button's page
"Authentication" gives Basic with the API key and an empty password.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import ssl
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from django_button_orders.answers import (
    Answer,
    Headers,
    RawBody,
    parse_object,
    parse_retry_after,
    read_body,
)
from django_button_orders.deadline import TooLateError, deadline_at
from django_button_orders.exceptions import NoAnswerError, NotSentError
from django_button_orders.redaction import (
    SHORTEST_SECRET,
    redact,
    without_beginning_of,
)
from django_button_orders.transport import KeptAdapter, is_target, write_head

ORDERS = "/v1/order"
REDACTED = "[API key]"


class Request(NamedTuple):
    """One operation of the Order API, on the wire."""

    method: str
    path: str
    body: bytes | None = None


def create_order(payload: Mapping[str, Any]) -> Request:
    return Request("POST", ORDERS, encode(payload))


def update_order(order_id: str, payload: Mapping[str, Any]) -> Request:
    return Request("POST", order_path(order_id), encode(payload))


def cancel_order(order_id: str) -> Request:
    return Request("DELETE", order_path(order_id))


def retrieve_order(order_id: str) -> Request:
    return Request("GET", order_path(order_id))


def order_path(order_id: str) -> str:
    # Without safe="", an id with a slash would name another resource.
    return f"{ORDERS}/{quote(order_id, safe='')}"


def encode(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True)
class ButtonClient:
    """
    One account at Button. Cheap to make: connections outlive it.

    ``timeout`` (to connect, to read) and ``deadline`` are in seconds.
    """

    api_key: str = field(repr=False)
    base_url: str = "https://api.usebutton.com"
    api_version: str | None = None
    timeout: tuple[float, float] = (3.05, 10)
    deadline: float = 30
    max_response_bytes: int = 65536

    def url(self, request: Request) -> str:
        return self.base_url.rstrip("/") + request.path

    def send(self, request: Request, *, since: float | None = None) -> Answer:
        """
        Make a request and return Button's answer, whatever its status.

        The deadline counts from ``since``, a moment of ``time.monotonic()``, or
        from now. Nothing is sent once it has passed.

        Raises ``NotSentError`` when no connection came about, and
        ``NoAnswerError`` when Button may have acted on the request.
        """
        since = time.monotonic() if since is None else since
        with connection_for(self) as connection:
            return self.send_over(connection, request, since + self.deadline)

    def send_over(
        self, connection: Connection, request: Request, deadline: float
    ) -> Answer:
        prepared = connection.prepare(request)
        try:
            with deadline_at(deadline):
                # Connecting and sending are no reads, so they know no deadline.
                connect, read = self.timeout
                timeout = min(connect, self.deadline), min(read, self.deadline)
                response = connection.adapter.send(
                    prepared, timeout=timeout, stream=True, verify=True
                )
                with response:
                    return self.read_answer(
                        response.status_code, response.headers, response.raw
                    )
        except BUTTON_ERRORS as exc:
            connection.adapter.close()
            raise as_button_error(exc) from None

    def headers(self) -> dict[str, str]:
        headers = {
            "Authorization": f"Basic {self.credentials}",
            "Accept": "application/json, text/plain",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        if self.api_version:
            headers["X-Button-API-Version"] = self.api_version
        return headers

    def read_answer(
        self, status_code: int, headers: Headers, raw_body: RawBody
    ) -> Answer:
        limit = self.max_response_bytes
        raw = read_body(raw_body, headers, limit)
        complete = raw.is_complete
        text = raw.data.decode("utf-8", "replace").replace("\0", "\ufffd")
        body = self.redact(text, complete=complete)
        content_type = headers.get("Content-Type", "").lower()
        return Answer(
            status_code=status_code,
            body=body,
            data=parse_object(body) if complete else None,
            is_html="html" in content_type or body.lstrip("\ufeff \r\n\t")[:1] == "<",
            is_json="json" in content_type and complete and body.strip() != "",
            is_legible=raw.is_legible,
            retry_after=parse_retry_after(headers),
        )

    def redact(self, text: str, *, complete: bool = True) -> str:
        """Take the key out of a text that is going to be kept, or was cut."""
        if len(self.api_key) < SHORTEST_SECRET:
            return text
        # The signs at the end of the credentials are often lost.
        bare = self.credentials.rstrip("=")
        for secret in (self.api_key, f"{bare}==", f"{bare}=", bare):
            text = redact(text, secret, REDACTED)
            if not complete:
                text = without_beginning_of(secret, text)
        return text

    @property
    def credentials(self) -> str:
        return base64.b64encode(f"{self.api_key}:".encode()).decode()


USER_AGENT = (
    f"django-button-orders requests/{requests.__version__}"
    f" python/{platform.python_version()}"
)


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


# What can go wrong with a request.
BUTTON_ERRORS = (requests.RequestException, HTTPError, OSError, ValueError)


def as_button_error(exc: BaseException) -> NotSentError | NoAnswerError:
    """Say in one sentence what happened. The original may quote the request."""
    if isinstance(exc, requests.exceptions.InvalidURL | UnicodeEncodeError):
        return NotSentError(UNUSABLE)
    causes = list(chain_of(exc))
    for kind, sentence in NOT_SENT.items():
        if any(isinstance(cause, kind) for cause in causes):
            return NotSentError(sentence)
    if any(isinstance(cause, TimeoutError | HTTPTimeoutError) for cause in causes):
        return NoAnswerError("Button did not answer in time.")
    return NoAnswerError("The connection to Button was lost before its answer.")


UNUSABLE = "No request could be made. Check BASE_URL and API_VERSION."
# From the special to the general: urllib3 counts two of them as the last.
NOT_SENT: dict[type[BaseException], str] = {
    ssl.SSLCertVerificationError: "Button's TLS certificate was not accepted.",
    NameResolutionError: "Button's host name could not be resolved.",
    NewConnectionError: "Button could not be reached.",
    ConnectTimeoutError: "Connecting to Button timed out.",
    TooLateError: "The deadline passed before anything was sent.",
}


def chain_of(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps, which requests keeps in odd places."""
    for _ in range(10):
        yield exc
        wrapped = [getattr(exc, "reason", None), *exc.args, exc.__context__]
        inner = [item for item in wrapped if isinstance(item, BaseException)]
        if not inner:
            return
        exc = inner[0]
