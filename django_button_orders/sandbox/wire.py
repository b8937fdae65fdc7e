"""What goes over the wire: requests, answers, and the JSON in both."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, with the body that was read and the path as it was sent."""

    method: str
    path: str
    headers: Message
    raw_body: bytes
    at: float

    @property
    def segments(self) -> list[str]:
        """The path without its query. An encoded slash stays within its segment."""
        path = self.path.partition("?")[0].removeprefix("/")
        return [unquote(segment) for segment in path.split("/")]

    @property
    def is_json(self) -> bool:
        content_type = self.headers.get("Content-Type", "")
        return content_type.partition(";")[0].strip().lower() == JSON


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest:
    """
    A request to the API, and what was answered.

    ``path`` is as it was sent, ``headers`` are without the credentials, and
    ``status`` is None where the connection was dropped instead. ``is_applied``
    says whether the request had its effect, whatever was answered.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    raw_body: bytes
    status: int | None
    at: float
    order_id: str = ""
    answer: str = ""
    is_applied: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: str
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """A request is not accepted; the message says why."""

    def __init__(
        self, message: str, status: int = HTTPStatus.BAD_REQUEST, **headers: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    @property
    def answer(self) -> Answer:
        return error(self.status, str(self), self.headers)


def ok(**values: Any) -> Answer:
    """Return Button's envelope with one ``object``, a list ``objects``, or neither."""
    return as_json({"meta": {"status": "ok"}, **values})


def error(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> Answer:
    # Button may add a type and details. None are published for orders.
    envelope = {"meta": {"status": "error"}, "error": {"message": message}}
    return Answer(status=status, body=json.dumps(envelope), headers=headers or {})


def as_json(value: Any) -> Answer:
    return Answer(status=HTTPStatus.OK, body=json.dumps(value))


def not_allowed(*methods: str) -> RefusedError:
    allowed = ", ".join(methods)
    return RefusedError(
        f"Only {allowed} here.", HTTPStatus.METHOD_NOT_ALLOWED, Allow=allowed
    )


def parse(raw_body: bytes, number: Callable[[str], Any]) -> Any:
    """
    Return the value of a JSON text; ``number`` converts what is no integer.

    Raises ``ValueError`` when it is not UTF-8, or not JSON, as with NaN in it.
    """
    try:
        return json.loads(
            raw_body.decode(), parse_float=number, parse_constant=refuse_constant
        )
    except (ArithmeticError, RecursionError) as exc:
        raise ValueError("The numbers or the nesting are beyond all measure.") from exc


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


def finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("The number is too large.")
    return value


def parse_or_none(raw_body: bytes) -> Any:
    try:
        return parse(raw_body, finite)
    except ValueError:
        return None
