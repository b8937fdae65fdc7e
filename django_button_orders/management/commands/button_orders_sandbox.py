from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_button_orders.management.base import ButtonOrdersCommand, counted
from django_button_orders.sandbox import ReceivedRequest, Sandbox

LOOPBACK = ("127.0.0.1", "localhost")


class Command(ButtonOrdersCommand):
    help = (
        "Runs a local Button that checks what it receives, for development and "
        "demos. Its page at /sandbox shows the orders that it holds. Ends with "
        "Ctrl-C or SIGTERM, and forgets everything."
    )
    examples = """\
  manage.py button_orders_sandbox
  manage.py button_orders_sandbox --port 9000 --api-key sk-test
  curl -H 'Content-Type: application/json' -d '{"status": 503, "times": 3}' \\
       http://127.0.0.1:8010/sandbox/misbehave
"""
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--host",
            default="127.0.0.1",
            choices=LOOPBACK,
            help="where to listen, on this machine only (default: %(default)s)",
        )
        parser.add_argument(
            "--port",
            type=int,
            default=8010,
            help="the port, or 0 for any that is free (default: %(default)s)",
        )
        parser.add_argument(
            "--api-key",
            default="sk-sandbox",
            help="the only key that it accepts (default: %(default)s)",
        )
        parser.add_argument(
            "--latency",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="how long each answer takes (default: none)",
        )
        parser.add_argument(
            "--seed",
            type=int,
            metavar="NUMBER",
            help="what fails by chance does so as in another run with this number",
        )

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        try:
            sandbox = Sandbox(
                host=host,
                port=port,
                api_key=options["api_key"],
                latency=options["latency"],
                listener=self.print_request,
                rng=random.Random(options["seed"]).random,  # noqa: S311 - no secret
            )
        except ValueError as exc:
            raise CommandError(f"--{str(exc).replace('_', '-', 1)}.") from exc
        with interrupted_by_signals(), suppress(KeyboardInterrupt):
            self.start(sandbox)
            while True:
                time.sleep(3600)
        sandbox.stop()
        requests = counted(len(sandbox.requests), "request")
        self.write(f"{requests}, {counted(len(sandbox.orders), 'order')}.")

    def start(self, sandbox: Sandbox) -> None:
        try:
            sandbox.start()
        except (OSError, OverflowError) as exc:
            raise CommandError(
                f"Port {sandbox.port} cannot be used ({exc}). Choose another with "
                "--port."
            ) from exc
        button_orders = {"API_KEY": sandbox.api_key, "BASE_URL": sandbox.url}
        self.write(
            f"Button sandbox at {sandbox.url}, its page at {sandbox.url}/sandbox"
        )
        self.write(f"BUTTON_ORDERS = {button_orders}")

    def print_request(self, request: ReceivedRequest) -> None:
        answer = "dropped" if request.status is None else request.status
        # The client chooses these texts, and they could control the terminal.
        path = request.path.encode("ascii", "replace").decode()
        order_id = request.order_id.encode("ascii", "replace").decode()
        order = f" order {order_id}" if order_id.isprintable() and order_id else ""
        self.write(f"{request.method} {path} {answer}{order}")

    def write(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` on SIGTERM and Ctrl-C, also in the background."""
    # A handler that set an Event could wait for a lock that its own thread holds.
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
