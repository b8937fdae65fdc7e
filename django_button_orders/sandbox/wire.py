"""Requests and answers as values, Button's envelope, and JSON."""

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
    """A request as it arrived, with its whole body and its path still encoded."""

    method: str
    path: str
    headers: Message
    raw_body: bytes
    at: float

    @property
    def segments(self) -> list[str]:
        """The parts of the path, decoded. An encoded slash does not split a part."""
        path = self.path.partition("?")[0].removeprefix("/")
        return [unquote(segment) for segment in path.split("/")]

    @property
    def is_json(self) -> bool:
        content_type = self.headers.get("Content-Type", "")
        return content_type.partition(";")[0].strip().lower() == JSON


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest:
    """
    A request to the API, and its answer.

    ``path`` is percent-encoded. ``headers`` do not contain the credentials. ``status``
    is None if the sandbox closed the connection without an answer. ``is_applied`` is
    True if the request took effect, even if the answer was an error.
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
    """An answer before it is written to the connection."""

    status: int
    body: str
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """Refuse a request with ``status`` and a message that says why."""

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
    """Return Button's success envelope, with an ``object`` or ``objects``."""
    return as_json({"meta": {"status": "ok"}, **values})


def error(
    status: int, message: str, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return Button's error envelope."""
    # Button may add a type and details, and publishes none for orders.
    envelope = {"meta": {"status": "error"}, "error": {"message": message}}
    return Answer(status=status, body=json.dumps(envelope), headers=headers or {})


def as_json(value: Any) -> Answer:
    """Return a value as a JSON answer with the status 200."""
    return Answer(status=HTTPStatus.OK, body=json.dumps(value))


def not_allowed(*methods: str) -> RefusedError:
    """Return the error for a method that a path does not have."""
    allowed = ", ".join(methods)
    return RefusedError(
        f"Only {allowed} is allowed.", HTTPStatus.METHOD_NOT_ALLOWED, Allow=allowed
    )


def parse(raw_body: bytes, number: Callable[[str], Any]) -> Any:
    """
    Parse a JSON text. ``number`` converts the numbers that are not integers.

    Raises ``ValueError`` if the text is not UTF-8 or not JSON. NaN is not JSON.
    """
    try:
        return json.loads(
            raw_body.decode(), parse_float=number, parse_constant=refuse_constant
        )
    except (ArithmeticError, RecursionError) as exc:
        raise ValueError(
            "The numbers are too long, or the nesting is too deep."
        ) from exc


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


def to_finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("The number is too large.")
    return value


def parse_or_none(raw_body: bytes) -> Any:
    """Parse a JSON text. Returns None if it is not JSON."""
    try:
        return parse(raw_body, to_finite_float)
    except ValueError:
        return None
