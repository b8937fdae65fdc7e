"""The orders that the sandbox holds: open at first, finalized or deleted later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from secrets import token_hex
from typing import Any

from django_button_orders.sandbox.rules import is_past, validate_order
from django_button_orders.sandbox.wire import RefusedError

DATE = "finalization_date"
# Button's documentation has both names, and answers need not have either.
FIELDS = (DATE, "finalized_date", "")

Order = dict[str, Any]


@dataclass(kw_only=True)
class Window:
    """
    The time in which orders can be changed, and the field that shows its end.

    Button sets the time for each brand. Its documentation has a week as the example.
    """

    days: float = 7
    field: str = DATE

    def __post_init__(self) -> None:
        # A date after the year 9999 does not exist.
        is_number = isinstance(self.days, int | float) and not isinstance(
            self.days, bool
        )
        if not is_number or not 0 < self.days <= 36500:
            raise ValueError(
                "finalization_days must be a number above 0, at most 36500"
            )
        if self.field not in FIELDS:
            names = " or ".join(map(repr, FIELDS))
            raise ValueError(f"finalization_field must be {names}")

    def end(self) -> str:
        """Return the end of a window that begins now."""
        return as_text(datetime.now(timezone.utc) + timedelta(days=self.days))

    def show(self, order: Order) -> Order:
        """Return an order as an answer shows it."""
        shown = {name: value for name, value in order.items() if name != DATE}
        return {**shown, self.field: order[DATE]} if self.field else shown


class Store:
    """
    Hold orders by their order ids. The caller lets in one thread at a time.

    A change replaces the order's dict and never edits it, so that a copy of the
    outer dict is a snapshot.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.orders: dict[str, Order] = {}
        self.by_button_id: dict[str, str] = {}

    def snapshot(self) -> dict[str, Order]:
        return {key: with_current_status(order) for key, order in self.orders.items()}

    def resolve_id(self, key: str) -> str:
        """Return the order id for ``key``, which is an order id or Button's id."""
        return key if key in self.orders else self.by_button_id.get(key, key)

    def retrieve(self, key: str) -> Order:
        order = self.orders.get(self.resolve_id(key))
        if order is None:
            raise RefusedError("There is no such order.", HTTPStatus.NOT_FOUND)
        return with_current_status(order)

    def retrieve_by_token(self, btn_ref: str) -> list[Order]:
        return [
            with_current_status(order)
            for order in self.orders.values()
            if order["btn_ref"] == btn_ref
        ]

    def retrieve_changeable(self, key: str) -> Order:
        """Return an order. Raises ``RefusedError`` if it is finalized or deleted."""
        order = self.retrieve(key)
        if order["status"] == "finalized":
            raise RefusedError("The order is finalized.", HTTPStatus.FORBIDDEN)
        if order["status"] == "deleted":
            # Button does not document calls after a cancellation. The sandbox answers
            # as if the order did not exist.
            raise RefusedError("The order is deleted.", HTTPStatus.NOT_FOUND)
        return order

    def create(self, body: Mapping[str, Any]) -> Order:
        values = validate_order(body)
        order_id = values["order_id"]
        # A deleted order keeps its id, because Button calls deletion permanent.
        if order_id in self.orders:
            raise RefusedError("The order exists already.", HTTPStatus.CONFLICT)
        button_order_id = f"btnorder-{token_hex(8)}"
        self.by_button_id[button_order_id] = order_id
        return self.put(
            {
                "button_order_id": button_order_id,
                "order_id": order_id,
                "btn_ref": None,
                "session_id": None,
                "ifa": None,
                "line_items": [],
                "status": "open",
                DATE: self.window.end(),
                **values,
            }
        )

    def update(self, key: str, body: Mapping[str, Any]) -> Order:
        """
        Replace the fields that are sent, and leave the others as they are.

        Button's examples send only the total, and its guides ask for the whole order.
        Both work here. Button does not publish which fields cannot be changed; here
        only ``order_id`` cannot.
        """
        order = self.retrieve_changeable(key)
        values = validate_order(body, known_currency=order["currency"])
        if values.get("order_id", order["order_id"]) != order["order_id"]:
            raise RefusedError("order_id cannot be changed")
        return self.put({**order, **values})

    def cancel(self, key: str) -> None:
        self.put({**self.retrieve_changeable(key), "status": "deleted"})

    def finalize(self, key: str) -> None:
        end = as_text(datetime.now(timezone.utc))
        self.put({**self.retrieve_changeable(key), "status": "finalized", DATE: end})

    def reopen(self, key: str) -> None:
        """Begin a new window. Raises ``RefusedError`` unless an order is finalized."""
        order = self.retrieve(key)
        if order["status"] != "finalized":
            raise RefusedError(f"The order is {order['status']}.", HTTPStatus.CONFLICT)
        self.put({**order, "status": "open", DATE: self.window.end()})

    def put(self, order: Order) -> Order:
        self.orders[order["order_id"]] = order
        return with_current_status(order)


def with_current_status(order: Order) -> Order:
    """Return a copy of an order, with the status "finalized" after its date."""
    is_final = order["status"] == "open" and is_past(order[DATE])
    return {**order, "status": "finalized"} if is_final else {**order}


def as_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
