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
import threading
import time
from collections.abc import Iterator, Mapping
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
    parse_object,
    parse_retry_after,
    read_body,
)
from django_button_orders.deadline import DeadlineAdapter, deadline_at
from django_button_orders.exceptions import NoAnswerError, NotSentError

ORDERS = "/v1/order"
REDACTED = "[API key]"
# A shorter key is nobody's, and may stand in any word.
SHORTEST_SECRET = 5


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

    def send(self, request: Request) -> Answer:
        """
        Make a request and return Button's answer, whatever its status.

        Raises ``NotSentError`` when no connection came about, and
        ``NoAnswerError`` when Button may have acted on the request.
        """
        session = get_session(self.base_url, self.api_key)
        prepared = self.prepare(request)
        try:
            with deadline_at(time.monotonic() + self.deadline):
                # Connecting and sending are no reads, so they know no deadline.
                connect, read = self.timeout
                timeout = min(connect, self.deadline), min(read, self.deadline)
                response = session.send(
                    prepared, timeout=timeout, stream=True, verify=True
                )
                with response:
                    return self.read_answer(response)
        except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
            session.close()
            raise as_button_error(exc) from None

    def prepare(self, request: Request) -> requests.PreparedRequest:
        # Not by the session, which would add cookies of its own.
        try:
            return requests.Request(
                request.method,
                self.url(request),
                headers=self.headers(request.body),
                data=request.body,
            ).prepare()
        except ValueError:
            raise NotSentError(UNUSABLE) from None

    def headers(self, body: bytes | None) -> dict[str, str]:
        headers = {
            "Authorization": f"Basic {self.credentials}",
            "Accept": "application/json, text/plain",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.api_version:
            headers["X-Button-API-Version"] = self.api_version
        return headers

    def read_answer(self, response: requests.Response) -> Answer:
        limit = self.max_response_bytes
        raw, complete = read_body(response.raw, response.headers, limit)
        text = raw.decode("utf-8", "replace").replace("\0", "\ufffd")
        body = self.redact(text, complete=complete)
        content_type = response.headers.get("Content-Type", "").lower()
        return Answer(
            status_code=response.status_code,
            body=body,
            data=parse_object(body) if complete else None,
            is_html="html" in content_type or body.lstrip("\ufeff \r\n\t")[:1] == "<",
            is_json="json" in content_type and complete and body.strip() != "",
            retry_after=parse_retry_after(response.headers),
        )

    def redact(self, text: str, *, complete: bool = True) -> str:
        """Take the key out of a text that is going to be kept, or was cut."""
        if len(self.api_key) < SHORTEST_SECRET:
            return text
        for secret in self.secrets:
            text = text.replace(secret, REDACTED)
            if not complete:
                text = without_beginning_of(secret, text)
        return text

    @property
    def secrets(self) -> list[str]:
        """The key in all its forms. JSON may write a slash with a backslash."""
        plain = [self.api_key, self.credentials]
        return [*plain, *(secret.replace("/", r"\/") for secret in plain)]

    @property
    def credentials(self) -> str:
        return base64.b64encode(f"{self.api_key}:".encode()).decode()


def without_beginning_of(secret: str, text: str) -> str:
    """Return a text without what may be the first part of a secret at its end."""
    for length in range(min(len(secret), len(text)), 0, -1):
        if text.endswith(secret[:length]):
            return text[:-length]
    return text


USER_AGENT = (
    f"django-button-orders requests/{requests.__version__}"
    f" python/{platform.python_version()}"
)


class Session(requests.Session):
    """
    A session that knows no redirects.

    ``allow_redirects=False`` would still read the whole body of one, and look
    at where it leads.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Sessions(threading.local):
    """
    The sessions of one thread, one for each account.

    A session is not documented to be safe between threads, and a socket is
    not between processes.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.by_account: dict[tuple[str, str], requests.Session] = {}


_sessions = Sessions()


def get_session(base_url: str, api_key: str) -> requests.Session:
    if _sessions.pid != os.getpid():
        _sessions.__init__()  # type: ignore[misc]  # a forked child starts afresh
    key = (base_url, api_key)
    session = _sessions.by_account.get(key)
    if session is None:
        session = _sessions.by_account[key] = new_session()
    return session


def new_session() -> requests.Session:
    session = Session()
    session.trust_env = False
    # Retries belong to the database: a repeated POST is a second order.
    adapter = DeadlineAdapter(pool_connections=1, pool_maxsize=1)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


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
