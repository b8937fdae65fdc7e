"""The Order API: check the API key, and do what a path and method ask for."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django_button_orders.sandbox.store import Order, Store
from django_button_orders.sandbox.wire import (
    Answer,
    RefusedError,
    Request,
    not_allowed,
    ok,
    parse,
    parse_or_none,
)

ORDERS = ["v1", "order"]
BY_TOKEN = [*ORDERS, "btn-ref"]


class OrderAPI:
    """Answer requests from the orders in ``store``, if they have one of the keys."""

    def __init__(self, store: Store, api_keys: Collection[str]) -> None:
        self.store = store
        self.api_keys = api_keys

    def answer(self, request: Request) -> Answer:
        """Answer a request, with Button's error envelope when it is refused."""
        try:
            self.check_credentials(request)
            return self.route(request)
        except RefusedError as exc:
            return exc.answer

    def check_credentials(self, request: Request) -> None:
        """Raise ``RefusedError`` unless the user name is an API key."""
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            credentials = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            credentials = b""
        is_known = any(
            hmac.compare_digest(credentials, f"{api_key}:".encode())
            for api_key in self.api_keys
        )
        if scheme.lower() != "basic" or not is_known:
            raise RefusedError("Invalid api_key", HTTPStatus.UNAUTHORIZED)

    def route(self, request: Request) -> Answer:
        segments = request.segments
        if segments == ORDERS:
            return self.answer_orders(request)
        if segments[:-1] == ORDERS and segments[-1]:
            return self.answer_order(request, segments[-1])
        if segments[:-1] == BY_TOKEN and segments[-1]:
            return self.answer_token(request, segments[-1])
        raise RefusedError("There is no such path.", HTTPStatus.NOT_FOUND)

    def answer_orders(self, request: Request) -> Answer:
        if request.method != "POST":
            raise not_allowed("POST")
        return self.ok(self.store.create(read_object(request)))

    def answer_order(self, request: Request, key: str) -> Answer:
        if request.method == "GET":
            return self.ok(self.store.retrieve(key))
        if request.method == "POST":
            return self.ok(self.store.update(key, read_object(request)))
        if request.method == "DELETE":
            self.store.cancel(key)
            return ok(object=None)
        raise not_allowed("GET", "POST", "DELETE")

    def answer_token(self, request: Request, btn_ref: str) -> Answer:
        if request.method != "GET":
            raise not_allowed("GET")
        # Button does not publish whether it answers 404 for a token without orders.
        found = self.store.retrieve_by_token(btn_ref)
        return ok(objects=[self.store.window.show(order) for order in found])

    def ok(self, order: Order) -> Answer:
        return ok(object=self.store.window.show(order))

    def find_order_id(self, request: Request) -> str:
        """Return the order id that a request is about, or an empty string."""
        segments = request.segments
        if segments[:-1] == ORDERS:
            return self.store.resolve_id(segments[-1])
        body = parse_or_none(request.raw_body) if segments == ORDERS else None
        order_id = body.get("order_id") if isinstance(body, dict) else None
        return order_id if isinstance(order_id, str) else ""


def read_object(request: Request) -> dict[str, Any]:
    """Return the body's JSON object. Its numbers with a point become ``Decimal``."""
    if not request.raw_body:
        raise RefusedError("A body is required.")
    if not request.is_json:
        raise RefusedError("Content-Type must be application/json.")
    try:
        body = parse(request.raw_body, Decimal)
    except ValueError as exc:
        raise RefusedError(f"The body must be JSON in UTF-8: {exc}") from exc
    if not isinstance(body, dict):
        raise RefusedError("The body must be a JSON object.")
    return body
