"""The orders that the sandbox holds, what it received, and how it misbehaves."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from secrets import token_hex
from typing import Any

from django_button_orders.sandbox.rules import RefusedError, check_order

# Button sets it for each brand; its documentation's example is a week.
FINALIZATION = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest:
    """
    A request to the API, and what was answered.

    ``path`` is as it was sent, ``headers`` are without the credentials, and
    ``status`` is None where the connection was dropped instead.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    raw_body: bytes
    status: int | None
    at: float


@dataclass(kw_only=True)
class Misbehaviour:
    """What the next matching requests get instead of an answer."""

    times: int = 1
    status: int | None = None
    body: str | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: str = ""
    apply: bool | None = None
    method: str = ""
    order_id: str = ""

    def __post_init__(self) -> None:
        if self.drop not in ("", "before", "after"):
            raise ValueError("drop must be 'before' or 'after'")
        if self.times < 0 or self.delay < 0:
            raise ValueError("times and delay must not be negative")

    @property
    def is_applied(self) -> bool:
        """Whether the request has its effect in spite of the misbehaviour."""
        if self.drop:
            return self.drop == "after"
        if self.apply is not None:
            return self.apply
        return self.status is None or 200 <= self.status < 300


class Answer(Exception):  # noqa: N818 - an answer, which may be an error
    """A status and the envelope that goes with it."""

    def __init__(self, status: int, envelope: Any) -> None:
        super().__init__(status)
        self.status = status
        self.envelope = envelope


def ok(**values: Any) -> Answer:
    return Answer(HTTPStatus.OK, {"meta": {"status": "ok"}, **values})


def error(status: int, message: str) -> Answer:
    envelope = {"meta": {"status": "error"}, "error": {"message": message}}
    return Answer(status, envelope)


class Store:
    """Orders by their ids. All methods may be called from any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.orders: dict[str, dict[str, Any]] = {}
            self.requests: list[ReceivedRequest] = []
            self.misbehaviours: list[Misbehaviour] = []

    def take_misbehaviour(self, method: str, order_id: str) -> Misbehaviour | None:
        with self.lock:
            for item in self.misbehaviours:
                if item.method in ("", method) and item.order_id in ("", order_id):
                    item.times -= 1
                    if item.times <= 0:
                        self.misbehaviours.remove(item)
                    return item
        return None

    def find(self, key: str) -> dict[str, Any]:
        """Return an order by our id or by Button's. Raises an ``Answer``."""
        for order in self.orders.values():
            if key in (order["order_id"], order["button_order_id"]):
                return order
        raise error(HTTPStatus.NOT_FOUND, "Order not found.")

    def find_changeable(self, key: str) -> dict[str, Any]:
        order = self.find(key)
        if order["status"] == "finalized" or is_past(order["finalization_date"]):
            raise error(HTTPStatus.FORBIDDEN, "The order is finalized.")
        if order["status"] == "deleted":
            # Button does not say what follows a cancellation. For a caller the
            # order is not there any more.
            raise error(HTTPStatus.NOT_FOUND, "Order not found.")
        return order

    def create(self, body: Mapping[str, Any]) -> Answer:
        values = checked(body)
        with self.lock:
            if values["order_id"] in self.orders:
                raise error(HTTPStatus.CONFLICT, "The order exists already.")
            order = {
                "button_order_id": f"btnorder-{token_hex(8)}",
                "btn_ref": None,
                "session_id": None,
                "ifa": None,
                "line_items": [],
                "status": "open",
                "finalization_date": as_text(datetime.now(timezone.utc) + FINALIZATION),
                **values,
            }
            self.orders[values["order_id"]] = order
            return ok(object=dict(order))

    def update(self, key: str, body: Mapping[str, Any]) -> Answer:
        with self.lock:
            order = self.find_changeable(key)
            values = checked(body, known_currency=order["currency"])
            if values.get("order_id", order["order_id"]) != order["order_id"]:
                raise error(HTTPStatus.BAD_REQUEST, "order_id cannot be changed")
            order.update(values)
            return ok(object=dict(order))

    def cancel(self, key: str) -> Answer:
        with self.lock:
            self.find_changeable(key)["status"] = "deleted"
            return ok(object=None)

    def retrieve(self, key: str) -> Answer:
        with self.lock:
            return ok(object=dict(self.find(key)))

    def retrieve_by_token(self, btn_ref: str) -> Answer:
        with self.lock:
            found = [dict(o) for o in self.orders.values() if o["btn_ref"] == btn_ref]
            return ok(objects=found)

    def finalize(self, key: str) -> None:
        with self.lock:
            self.find(key)["status"] = "finalized"


def checked(body: Mapping[str, Any], *, known_currency: str = "") -> dict[str, Any]:
    try:
        return check_order(body, known_currency=known_currency)
    except RefusedError as exc:
        raise error(HTTPStatus.BAD_REQUEST, str(exc)) from exc


def is_past(text: str) -> bool:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment <= datetime.now(timezone.utc)


def as_text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
