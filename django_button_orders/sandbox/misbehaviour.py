"""Planned failures: which requests fail, and what they get instead of an answer."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django_button_orders.sandbox.wire import JSON, Answer, error, ok

DROPS = ("", "before", "after")
# The server sets these headers itself, from the body and the connection.
OWN_HEADERS = ("connection", "content-length", "transfer-encoding")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
TEXT = re.compile(r"[ -~\xa0-\xff]*")


@dataclass(kw_only=True)
class Misbehaviour:
    """One planned failure. ``FakeButton.misbehave`` describes the fields."""

    times: int = 1
    status: int | None = None
    body: str | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    chance: float = 1.0
    drop: str = ""
    apply: bool | None = None
    method: str = ""
    order_id: str = ""

    def __post_init__(self) -> None:
        for problem, is_found in (*self.type_problems(), *self.contradictions()):
            if is_found:
                raise ValueError(problem)

    def type_problems(self) -> Iterator[tuple[str, bool]]:
        """Yield an error message for each field, and whether its value is wrong."""
        texts = (self.method, self.order_id, "" if self.body is None else self.body)
        are_texts = all(isinstance(value, str) for value in texts)
        headers = {"Content-Type": self.content_type}
        yield "times must be an integer from 0", not is_count(self.times)
        yield "delay must be seconds from 0 to a day", not is_duration(self.delay)
        yield "chance must be from above 0 to 1", not is_chance(self.chance)
        yield "status must be from 200 to 599", not is_status(self.status)
        yield "drop must be 'before' or 'after'", self.drop not in DROPS
        yield "apply must be true or false", self.apply not in (None, True, False)
        yield "body, method and order_id must be strings", not are_texts
        yield "headers must be names and values", not are_headers(self.headers)
        yield "content_type must be a string", not are_headers(headers)

    def contradictions(self) -> Iterator[tuple[str, bool]]:
        """Yield an error message for each pair of fields, and whether they clash."""
        is_applied_before = self.drop == "before" and self.apply is True
        is_not_applied_after = self.drop == "after" and self.apply is False
        has_answer = self.status is not None or self.body is not None or self.drop
        yield "drop='before' is never applied", is_applied_before
        yield "drop='after' is always applied", is_not_applied_after
        yield (
            "apply=False needs a status or a body",
            (self.apply is False and not has_answer),
        )

    def matches(self, method: str, order_id: str) -> bool:
        return self.method.upper() in ("", method) and self.order_id in ("", order_id)

    @property
    def is_applied(self) -> bool:
        """Whether the request takes effect although it fails."""
        if self.drop:
            return self.drop == "after"
        if self.apply is not None:
            return self.apply
        return self.status is None or is_success(self.status)

    def answer(self, usual: Answer | None) -> Answer | None:
        """
        Return the answer, or None to close the connection without one.

        ``usual`` is the API's answer, or None if the request did not take effect.
        """
        if self.drop:
            return None
        if usual is not None and self.status is None and self.body is None:
            headers = {**usual.headers, **self.headers}
            return Answer(
                status=usual.status,
                body=usual.body,
                content_type=usual.content_type,
                headers=headers,
            )
        status = self.status or (usual.status if usual else HTTPStatus.OK)
        return Answer(
            status=status,
            body=self.default_body(status) if self.body is None else self.body,
            content_type=self.content_type,
            headers=self.headers,
        )

    def default_body(self, status: int) -> str:
        if "json" not in self.content_type:
            return "Accepted" if is_success(status) else "Error"
        # Button documents that an answer of 202 has no order in it.
        usual = (
            ok() if is_success(status) else error(status, f"Set to answer {status}.")
        )
        return usual.body


def is_success(status: int) -> bool:
    return 200 <= status < 300


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    return is_number(value) and isinstance(value, int) and value >= 0


def is_duration(value: Any) -> bool:
    # Event.wait() overflows with very long times, so a day is the limit.
    return is_number(value) and 0 <= value <= 86400


def is_chance(value: Any) -> bool:
    return is_number(value) and 0 < value <= 1


def is_status(value: Any) -> bool:
    return value is None or (is_number(value) and value in range(200, 600))


def are_headers(headers: Any) -> bool:
    return isinstance(headers, Mapping) and all(
        isinstance(name, str)
        and isinstance(value, str)
        and HEADER.fullmatch(name) is not None
        and TEXT.fullmatch(value) is not None
        and name.lower() not in OWN_HEADERS
        for name, value in headers.items()
    )


class Plan:
    """
    The planned failures, oldest first.

    ``rng`` returns numbers from 0 to below 1, for failures with a ``chance``.
    """

    def __init__(self, rng: Callable[[], float] = random.random) -> None:
        self.pending: list[Misbehaviour] = []
        self.rng = rng

    def add(self, misbehaviour: Misbehaviour) -> None:
        if misbehaviour.times:
            self.pending.append(misbehaviour)

    def pop_matching(self, method: str, order_id: str) -> Misbehaviour:
        """Return the failure planned for a request, or one that changes nothing."""
        for item in self.pending:
            if item.matches(method, order_id) and self.rng() < item.chance:
                item.times -= 1
                if not item.times:
                    self.pending.remove(item)
                return item
        return Misbehaviour()
