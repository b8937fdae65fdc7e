"""The sandbox itself: what is held and received, behind an HTTP server."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from django_button_orders.sandbox.api import OrderAPI
from django_button_orders.sandbox.control import answer_control, is_control
from django_button_orders.sandbox.handler import Server
from django_button_orders.sandbox.misbehaviour import (
    Misbehaviour,
    Plan,
    is_duration,
    is_success,
)
from django_button_orders.sandbox.store import Store
from django_button_orders.sandbox.wire import (
    JSON,
    Answer,
    ReceivedRequest,
    RefusedError,
    Request,
    parse_or_none,
)

# Stopping waits for the server to look up, so that is done often.
POLL_SECONDS = 0.02

Listener = Callable[[ReceivedRequest], None]


class Sandbox:
    """
    A Button on this machine. Use it as a context manager, or start and stop it.

    Once it has started it keeps its port, so that stopping and starting it again
    is an outage for its clients. What it holds stays, too, until ``reset()``.

    Every answer of the API takes ``latency`` seconds, as over a network.
    ``listener`` is called with every request to the API, before it is answered.
    ``rng`` returns numbers from 0 to below 1, for what misbehaves by chance.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "sk-sandbox",
        latency: float = 0.0,
        listener: Listener = lambda request: None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        # A colon would end the user name of Basic authentication.
        if not re.fullmatch(r"[!-9;-~]+", api_key):
            raise ValueError("api_key must be printable ASCII, without a colon")
        if not is_duration(latency):
            raise ValueError("latency must be seconds from 0 to a day")
        self.host = host
        self.port = port
        self.latency = latency
        self.api_key = api_key
        self.listener = listener
        self.rng = rng
        self.lock = threading.RLock()
        self.server: Server | None = None
        self.stopping = threading.Event()
        self.reset()

    def start(self) -> None:
        """Listen. Raises ``OSError`` when the port is taken."""
        if self.server is not None:
            raise RuntimeError("The sandbox has started already.")
        self.server = Server((self.host, self.port), self.exchange)
        self.port = self.server.server_address[1]
        self.stopping = threading.Event()
        threading.Thread(
            target=self.server.serve_forever,
            args=(POLL_SECONDS,),
            name="button-sandbox",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Stop listening, and end all connections. Stopping twice is no error."""
        if self.server is not None:
            self.stopping.set()
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def orders(self) -> dict[str, dict[str, Any]]:
        """What Button would hold now, by order id and in minor units: a copy."""
        with self.lock:
            return self.store.snapshot()

    @property
    def requests(self) -> list[ReceivedRequest]:
        """What the API received, and what it answered: a copy."""
        with self.lock:
            return list(self.received)

    @property
    def counts(self) -> dict[str, int]:
        """How many orders and requests there are: cheap to ask again and again."""
        with self.lock:
            return {"orders": len(self.store.held), "requests": len(self.received)}

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
        Let the next ``times`` requests fail in a certain way.

        Of the matching requests, each is meant with the probability ``chance``.

        ``status``, ``body`` (of type ``content_type``) and ``headers`` are
        answered instead, after ``delay`` seconds. ``drop`` closes the connection
        "before" or "after" the request was applied. ``apply`` says whether a
        forced status still has the request's effect; by default 2xx has.
        ``method`` and ``order_id`` restrict which requests are meant.
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
        with self.lock:
            self.plan = Plan(self.rng)

    def finalize(self, order_id: str) -> None:
        """Refuse changes from now on. Raises ``LookupError`` if no order is open."""
        with self.lock:
            try:
                self.store.finalize(order_id)
            except RefusedError as exc:
                raise LookupError(f"No order {order_id!r} is open: {exc}") from exc

    def reset(self) -> None:
        """Forget all orders, requests and misbehaviours."""
        with self.lock:
            self.store = Store()
            self.api = OrderAPI(self.store, self.api_key)
            self.plan = Plan(self.rng)
            self.received: list[ReceivedRequest] = []

    def exchange(self, request: Request) -> Answer | None:
        """Return the answer to a request, or None to drop the connection."""
        if is_control(request):
            return answer_control(self, request)
        stopping = self.stopping
        with self.lock:
            order_id = self.api.order_id(request)
            misbehaviour = self.plan.take(request.method, order_id)
        # Half of the way there, and half of it back.
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
