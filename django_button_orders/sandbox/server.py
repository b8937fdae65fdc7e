"""``Sandbox``: a fake Button behind an HTTP server on this machine."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from django_button_orders.sandbox.control import answer_control, is_control
from django_button_orders.sandbox.fake_button import FakeButton, Listener
from django_button_orders.sandbox.handler import Server
from django_button_orders.sandbox.store import Window
from django_button_orders.sandbox.wire import Answer, Request

if TYPE_CHECKING:
    from typing_extensions import Self

# The server's thread looks this often whether it should stop, and stop() waits for it.
POLL_SECONDS = 0.02


class Sandbox(FakeButton):
    """
    A local server that takes Button's place. Use it as a context manager, or start it.

    With the ``port`` 0, the sandbox listens on a free port. It accepts ``api_key`` and
    the ``other_api_keys``, and waits ``latency`` seconds before each answer. It calls
    ``listener`` with each request, before it answers the request. ``rng`` returns
    numbers from 0 to below 1, which decide about the ``chance`` of a planned failure.

    An order is finalized ``finalization_days`` after its first report. Answers show
    that date as ``finalization_field``: "finalization_date", "finalized_date" or ""
    (not at all). To change both later, set ``window.days`` and ``window.field``.

    After ``stop()``, a sandbox keeps its port and its orders. So you can stop and start
    it to test an outage.
    """

    def __init__(  # noqa: PLR0913 - each is an option with a default
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "sk-sandbox",
        other_api_keys: Collection[str] = (),
        latency: float = 0.0,
        listener: Listener = lambda request: None,
        rng: Callable[[], float] = random.random,
        finalization_days: float = 7,
        finalization_field: str = "finalization_date",
    ) -> None:
        super().__init__(
            api_key=api_key,
            other_api_keys=other_api_keys,
            latency=latency,
            listener=listener,
            rng=rng,
            window=Window(days=finalization_days, field=finalization_field),
        )
        self.host = host
        self.port = port
        self.server: Server | None = None

    def start(self) -> None:
        """Start to listen. Raises ``OSError`` if the port is in use."""
        if self.server is not None:
            raise RuntimeError("The sandbox is already running.")
        server = Server((self.host, self.port), self.respond)
        self.port = server.server_address[1]
        self.stopping = threading.Event()
        threading.Thread(
            target=server.serve_forever,
            args=(POLL_SECONDS,),
            name="button-sandbox",
            daemon=True,
        ).start()
        # stop() waits for the thread, so it must not see a server that has none.
        self.server = server

    def stop(self) -> None:
        """Stop listening, and close all connections. Stopping twice is allowed."""
        if self.server is not None:
            self.stopping.set()
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The base URL, for ``BUTTON_ORDERS["BASE_URL"]``."""
        return f"http://{self.host}:{self.port}"

    def respond(self, request: Request) -> Answer | None:
        """Return the answer of the sandbox's own pages, or of the Order API."""
        if is_control(request):
            return answer_control(self, request, self.url)
        return self.answer(request)
