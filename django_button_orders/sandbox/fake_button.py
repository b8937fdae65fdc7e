"""Button without HTTP: the orders, the requests received and the planned failures."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Mapping
from secrets import token_urlsafe
from typing import Any

from django_button_orders.sandbox.api import OrderAPI
from django_button_orders.sandbox.misbehaviour import (
    Misbehaviour,
    Plan,
    is_duration,
    is_success,
)
from django_button_orders.sandbox.store import Store, Window
from django_button_orders.sandbox.wire import (
    JSON,
    Answer,
    ReceivedRequest,
    RefusedError,
    Request,
    parse_or_none,
)

Listener = Callable[[ReceivedRequest], None]


class FakeButton:
    """
    Answer the Order API's requests, and fail on demand. Many threads may share it.

    A request needs ``api_key`` or one of ``other_api_keys``. All see the same orders.

    Each answer takes ``latency`` seconds, as over a network. ``listener`` is called
    with each request before the request is answered. ``rng`` returns numbers from 0
    to below 1; it decides which requests fail when a misbehaviour has a ``chance``.
    ``window`` says until when orders can be changed.
    """

    def __init__(
        self,
        *,
        api_key: str,
        other_api_keys: Collection[str],
        latency: float,
        listener: Listener,
        rng: Callable[[], float],
        window: Window,
    ) -> None:
        # The key is the user name of Basic authentication, which a colon would end.
        for key in (api_key, *other_api_keys):
            if not re.fullmatch(r"[!-9;-~]+", key):
                raise ValueError(
                    "api_key must be printable ASCII without spaces and colons"
                )
        if not is_duration(latency):
            raise ValueError("latency must be seconds from 0 to a day")
        self.api_key = api_key
        self.other_api_keys = tuple(other_api_keys)
        self.latency = latency
        self.listener = listener
        self.rng = rng
        self.window = window
        # Only who has read our page can send its forms.
        self.page_token = token_urlsafe()
        self.lock = threading.RLock()
        # Setting this event drops the requests that are waiting for their answer.
        self.stopping = threading.Event()
        self.reset()

    @property
    def orders(self) -> dict[str, dict[str, Any]]:
        """A copy of the orders by order ID, with amounts in minor units."""
        with self.lock:
            return self.store.snapshot()

    @property
    def requests(self) -> list[ReceivedRequest]:
        """A copy of the list of requests to the API, oldest first."""
        with self.lock:
            return list(self.received)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of orders and requests. Cheap enough to poll."""
        with self.lock:
            return {"orders": len(self.store.orders), "requests": len(self.received)}

    def misbehave(  # noqa: PLR0913 - the ways in which a server can fail
        self,
        *,
        times: int = 1,
        status: int | None = None,
        body: str | None = None,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        chance: float = 1.0,
        drop: str = "",
        apply: bool | None = None,
        method: str = "",
        order_id: str = "",
    ) -> None:
        """
        Let the next ``times`` matching requests fail.

        Only requests with this ``method`` and ``order_id`` match, if they are given.
        Each matching request fails with the probability ``chance``.

        The answer comes after ``delay`` seconds. ``status``, ``headers`` and ``body``
        (with its ``content_type``) replace those of the usual answer. With ``drop``,
        the sandbox closes the connection "before" or "after" the request takes effect.
        ``apply`` sets whether a request that is answered with ``status`` takes effect.
        By default, it takes effect if the status is 2xx.
        """
        misbehaviour = Misbehaviour(
            times=times,
            status=status,
            body=body,
            content_type=content_type,
            headers={} if headers is None else headers,
            delay=delay,
            chance=chance,
            drop=drop,
            apply=apply,
            method=method,
            order_id=order_id,
        )
        with self.lock:
            self.plan.add(misbehaviour)

    def clear_misbehaviour(self) -> None:
        """Cancel all planned failures."""
        with self.lock:
            self.plan = Plan(self.rng)

    def finalize(self, order_id: str) -> None:
        """Refuse later changes of an order. Raises ``LookupError`` if none is open."""
        with self.lock:
            try:
                self.store.finalize(order_id)
            except RefusedError as exc:
                raise LookupError(f"No order {order_id!r} is open: {exc}") from exc

    def finalize_all(self) -> int:
        """Refuse later changes of all open orders. Returns their number."""
        with self.lock:
            orders = self.store.snapshot().items()
            order_ids = [key for key, order in orders if order["status"] == "open"]
            for order_id in order_ids:
                self.store.finalize(order_id)
        return len(order_ids)

    def reopen(self, order_id: str) -> None:
        """
        Accept changes of a finalized order again, as if Button had extended its window.

        Raises ``LookupError`` if no such order is finalized.
        """
        with self.lock:
            try:
                self.store.reopen(order_id)
            except RefusedError as exc:
                raise LookupError(f"No order {order_id!r} is finalized: {exc}") from exc

    def reset(self) -> None:
        """Delete all orders, requests and planned failures."""
        with self.lock:
            self.store = Store(self.window)
            self.api = OrderAPI(self.store, (self.api_key, *self.other_api_keys))
            self.plan = Plan(self.rng)
            self.received: list[ReceivedRequest] = []

    def answer(self, request: Request) -> Answer | None:
        """Return the answer to a request, or None to drop the connection."""
        stopping = self.stopping
        with self.lock:
            order_id = self.api.find_order_id(request)
            misbehaviour = self.plan.pop_matching(request.method, order_id)
        # One half of the latency is the request's way, the other half the answer's.
        if stopping.wait(self.latency / 2 + misbehaviour.delay):
            return None
        with self.lock:
            usual = self.api.answer(request) if misbehaviour.is_applied else None
            answer = misbehaviour.answer(usual)
            self.record(request, order_id, usual, answer)
        return None if stopping.wait(self.latency / 2) else answer

    def record(
        self,
        request: Request,
        order_id: str,
        usual: Answer | None,
        answer: Answer | None,
    ) -> None:
        """Add a request to ``requests``, without its credentials."""
        received = ReceivedRequest(
            method=request.method,
            path=request.path,
            headers={
                name: value
                for name, value in request.headers.items()
                if name.lower() != "authorization"
            },
            body=parse_or_none(request.raw_body),
            raw_body=request.raw_body,
            status=None if answer is None else int(answer.status),
            at=request.at,
            order_id=order_id,
            answer="" if answer is None else answer.body,
            is_applied=usual is not None and is_success(usual.status),
        )
        self.received.append(received)
        self.listener(received)
