"""The orders that the sandbox holds, and their life from open to the end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from secrets import token_hex
from typing import Any

from django_button_orders.sandbox.rules import check_order, is_past
from django_button_orders.sandbox.wire import RefusedError

# Button sets it for each brand; its documentation's example is a week.
FINALIZATION = timedelta(days=7)

Order = dict[str, Any]


class Store:
    """
    Orders by their ids. Its owner sees to it that one thread at a time uses it.

    Orders are replaced and not changed, so that a copy of the dict is a snapshot.
    """

    def __init__(self) -> None:
        self.held: dict[str, Order] = {}
        self.order_ids: dict[str, str] = {}

    def snapshot(self) -> dict[str, Order]:
        return {key: as_of_now(order) for key, order in self.held.items()}

    def order_id(self, key: str) -> str:
        """Return our id, by which orders are held, for ours or Button's."""
        return key if key in self.held else self.order_ids.get(key, key)

    def retrieve(self, key: str) -> Order:
        order = self.held.get(self.order_id(key))
        if order is None:
            raise RefusedError("There is no such order.", HTTPStatus.NOT_FOUND)
        return as_of_now(order)

    def retrieve_by_token(self, btn_ref: str) -> list[Order]:
        return [
            as_of_now(order)
            for order in self.held.values()
            if order["btn_ref"] == btn_ref
        ]

    def retrieve_changeable(self, key: str) -> Order:
        order = self.retrieve(key)
        if order["status"] == "finalized":
            raise RefusedError("The order is finalized.", HTTPStatus.FORBIDDEN)
        if order["status"] == "deleted":
            # Button does not say what follows a cancellation. For a caller the
            # order is not there any more.
            raise RefusedError("The order is deleted.", HTTPStatus.NOT_FOUND)
        return order

    def create(self, body: Mapping[str, Any]) -> Order:
        values = check_order(body)
        order_id = values["order_id"]
        # A deleted order keeps its id, too: Button calls deletion permanent.
        if order_id in self.held:
            raise RefusedError("The order exists already.", HTTPStatus.CONFLICT)
        button_order_id = f"btnorder-{token_hex(8)}"
        self.order_ids[button_order_id] = order_id
        return self.keep(
            {
                "button_order_id": button_order_id,
                "order_id": order_id,
                "btn_ref": None,
                "session_id": None,
                "ifa": None,
                "line_items": [],
                "status": "open",
                "finalization_date": as_text(datetime.now(timezone.utc) + FINALIZATION),
                **values,
            }
        )

    def update(self, key: str, body: Mapping[str, Any]) -> Order:
        """
        Put the keys that are sent in place of those that are held.

        Button's examples send the total alone, while its guides want the whole
        order; this does for both. Whether anything else than the id may not
        change, is not published.
        """
        order = self.retrieve_changeable(key)
        values = check_order(body, known_currency=order["currency"])
        if values.get("order_id", order["order_id"]) != order["order_id"]:
            raise RefusedError("order_id cannot be changed")
        return self.keep({**order, **values})

    def cancel(self, key: str) -> None:
        self.keep({**self.retrieve_changeable(key), "status": "deleted"})

    def finalize(self, key: str) -> None:
        self.keep({**self.retrieve_changeable(key), "status": "finalized"})

    def keep(self, order: Order) -> Order:
        self.held[order["order_id"]] = order
        return as_of_now(order)


def as_of_now(order: Order) -> Order:
    """Return a copy of an order, finalized if its time has come."""
    is_final = order["status"] == "open" and is_past(order["finalization_date"])
    return {**order, "status": "finalized"} if is_final else {**order}


def as_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
