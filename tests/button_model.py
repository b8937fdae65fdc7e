"""A model of Button behind ``responses``, for tests with one thread."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import requests
import responses
from urllib3.exceptions import NewConnectionError

from tests.utils import ORDERS_URL

ONE_ORDER = re.compile(re.escape(ORDERS_URL) + "/.+")
Answer = tuple[int, dict[str, str], str]


def error(status: int, **headers: str) -> Callable[[], Answer]:
    body = json.dumps({"meta": {"status": "error"}, "error": {"message": "No."}})
    return lambda: (status, headers, body)


def raising(exc: Exception) -> Callable[[], Answer]:
    def raise_it() -> Answer:
        raise exc

    return raise_it


def html() -> Answer:
    return 200, {"Content-Type": "text/html"}, "<html><body>A proxy</body></html>"


NOT_SENT = requests.ConnectionError(NewConnectionError(None, "refused"))  # type: ignore[arg-type]
# Answers other than the usual one, and whether the call takes effect all the same.
MOODS: dict[str, tuple[Callable[[], Answer], bool]] = {
    "not sent": (raising(NOT_SENT), False),
    "reset before": (raising(requests.ConnectionError("reset")), False),
    "reset after": (raising(requests.ConnectionError("reset")), True),
    "timeout before": (raising(requests.ReadTimeout()), False),
    "timeout after": (raising(requests.ReadTimeout()), True),
    "500": (error(500), False),
    "500 after": (error(500), True),
    "503 after": (error(503, **{"Retry-After": "9"}), True),
    "408": (error(408), False),
    "429": (error(429, **{"Retry-After": "50"}), False),
    "400": (error(400), False),
    "422": (error(422), False),
    "401": (error(401), False),
    "403": (error(403), False),
    "302": (lambda: (302, {"Location": "https://elsewhere.test/"}, ""), False),
    "error in 200": (error(200), False),
    "page in 200": (html, False),
    "page after": (html, True),
    "202": (lambda: (202, {}, ""), True),
    "204": (lambda: (204, {}, ""), True),
    "text": (lambda: (200, {"Content-Type": "text/plain"}, "Accepted"), True),
}
# No shop of the tests has so low a total.
OF_ANOTHER_SHOP = {
    "status": "open",
    "total": 1,
    "purchase_date": "2020-02-02T02:02:02Z",
    "currency": "USD",
}
# Moods that a GET never has. A GET that succeeds without an order means nothing, and
# after a refused GET only a create shows whether Button has the order.
FOR_CHANGES = {"202", "204", "text", "400", "422", "302"}


class Button:
    """
    Hold orders, answer calls, and collect what no caller may do in ``violations``.

    An exception would not do: the caller would take it for a failed connection.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.held: dict[str, dict[str, Any]] = {}
        self.moods: list[str] = []
        for method in ("GET", "POST", "DELETE"):
            responses.add_callback(method, ONE_ORDER, self.answer)
        responses.add_callback("POST", ORDERS_URL, self.answer)

    def is_open(self, order_id: str) -> bool:
        return self.held.get(order_id, {}).get("status") == "open"

    def is_finalized(self, order_id: str) -> bool:
        return self.held.get(order_id, {}).get("status") == "finalized"

    def counts(self, order_id: str) -> bool:
        """Return whether an order is held and was not cancelled."""
        return self.is_open(order_id) or self.is_finalized(order_id)

    def finalize(self, order_id: str) -> None:
        """Accept no more changes of an order that is open."""
        if self.is_open(order_id) and not self.is_of_another_shop(order_id):
            self.held[order_id]["status"] = "finalized"

    def total(self, order_id: str) -> int:
        total: int = self.held[order_id]["total"]
        return total

    def report_from_another_shop(self, order_id: str) -> None:
        """Hold another order under an id, unless it has one. Nobody may change it."""
        self.held.setdefault(order_id, {"order_id": order_id, **OF_ANOTHER_SHOP})

    def is_of_another_shop(self, order_id: str) -> bool:
        return self.held.get(order_id, {}).get("total") == OF_ANOTHER_SHOP["total"]

    def answer(self, request: requests.PreparedRequest) -> Answer:
        mood = self.moods.pop(0) if self.moods else ""
        if mood in FOR_CHANGES and request.method == "GET":
            mood = ""
        if not mood:
            return self.apply(request)
        answer, is_applied = MOODS[mood]
        if is_applied:
            usual = self.apply(request)
            if usual[0] != HTTPStatus.OK:
                return usual
        return answer()

    def apply(self, request: requests.PreparedRequest) -> Answer:
        path = (request.path_url or "").removeprefix("/v1/order").strip("/")
        body = json.loads(request.body) if request.body else {}
        if request.method == "POST" and not path:
            return self.create(body)
        order = self.held.get(path)
        if request.method != "GET" and self.is_of_another_shop(path):
            self.violations.append(f"{request.method} of another shop's {path}.")
        if order is None or (order["status"] == "deleted" and request.method != "GET"):
            return error(404)()
        if order["status"] == "finalized" and request.method != "GET":
            return error(403)()
        if request.method == "DELETE":
            order["status"] = "deleted"
        elif request.method == "POST":
            if "btn_ref" in body:
                self.violations.append("A token belongs to the create alone.")
            self.change(order, body)
        return self.shown(order)

    def create(self, body: dict[str, Any]) -> Answer:
        order_id = body["order_id"]
        if order_id in self.held:
            if not self.is_of_another_shop(order_id):
                self.violations.append(f"A second create of {order_id}.")
            return error(409)()
        self.held[order_id] = {"order_id": order_id, "status": "open", "total": 0}
        self.change(self.held[order_id], body)
        return self.shown(self.held[order_id])

    def change(self, order: dict[str, Any], body: dict[str, Any]) -> None:
        # The shops of these tests only raise totals, so a lower one is an older state.
        if body["total"] < order["total"]:
            self.violations.append("An older state after a newer one.")
        for name in ("total", "purchase_date", "currency"):
            order[name] = body[name]

    def shown(self, order: dict[str, Any]) -> Answer:
        return 200, {}, json.dumps({"meta": {"status": "ok"}, "object": order})
