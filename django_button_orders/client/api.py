"""
Requests to Button's Order API, and the client that sends them.

Paths and methods are those of Button's official clients. Button's page
"Authentication" documents HTTP Basic with the API key and an empty password.
"""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

import requests
from urllib3.exceptions import ProtocolError

from django_button_orders import __version__
from django_button_orders.client.answers import (
    Answer,
    parse_object,
    parse_retry_after,
    read_body,
)
from django_button_orders.client.connection import Deadline, connection_for
from django_button_orders.client.exceptions import BUTTON_ERRORS, as_button_error
from django_button_orders.client.redaction import (
    SHORTEST_SECRET,
    redact,
    without_beginning_of,
)
from django_button_orders.clock import monotonic

ORDERS = "/v1/order"
REDACTED = "[API key]"


class Request(NamedTuple):
    """A request of the Order API, without its account."""

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
    # Without safe="", a slash in the order ID would name another resource.
    return f"{ORDERS}/{quote(order_id, safe='')}"


def encode(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True)
class ButtonClient:
    """
    A client for one account at Button.

    Create one whenever you need it: equal clients share the open connections.
    ``timeout`` (to connect, and for each read) and ``deadline`` (for the whole call)
    are in seconds.
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
        Send a request and return Button's answer, whatever its status.

        The deadline counts from ``since``, a moment of ``clock.monotonic()``, or from
        now. Nothing is sent after the deadline, and no answer is read.

        Raises ``NotSentError`` if nothing was sent, and ``NoAnswerError`` if Button
        may have acted on the request.
        """
        since = monotonic() if since is None else since
        deadline = Deadline(since + self.deadline)
        try:
            with (
                connection_for(self) as connection,
                connection.send(request, deadline, self.timeout) as response,
            ):
                return self.read_answer(response)
        except BUTTON_ERRORS as exc:
            raise as_button_error(
                exc, is_connecting=deadline.is_connecting, is_late=deadline.has_passed
            ) from None

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

    def read_answer(self, response: requests.Response) -> Answer:
        """
        Return the answer in a response, without the API key.

        Raises ``ProtocolError`` for a success that may have been cut. If a response has
        no length, its end and an interruption look the same.
        """
        headers = response.headers
        raw = read_body(response.raw, headers, self.max_response_bytes)
        text = raw.data.decode("utf-8", "replace").replace("\0", "\ufffd")
        body = self.redact(text, complete=raw.is_complete)
        content_type = headers.get("Content-Type", "").lower()
        answer = Answer(
            status_code=response.status_code,
            body=body,
            data=parse_object(body) if raw.is_complete else None,
            is_html="html" in content_type or body.lstrip("\ufeff \r\n\t")[:1] == "<",
            is_json="json" in content_type and raw.is_complete and body.strip() != "",
            is_legible=raw.is_legible,
            retry_after=parse_retry_after(headers),
        )
        if answer.is_ok and answer.data is None and raw.may_be_cut:
            raise ProtocolError("The answer may have been cut.")
        return answer

    def redact(self, text: str, *, complete: bool = True) -> str:
        """
        Replace the API key in a text that will be stored.

        If the text is not ``complete``, also remove a part of the key at its end.
        """
        if len(self.api_key) < SHORTEST_SECRET:
            return text
        # Software often drops the padding at the end of the credentials.
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
    f"django-button-orders/{__version__} requests/{requests.__version__}"
    f" python/{platform.python_version()}"
)
