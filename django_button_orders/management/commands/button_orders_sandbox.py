from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from django_button_orders.conf import account_names, get_settings
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    counted,
    stop_on_signals,
)
from django_button_orders.sandbox import ReceivedRequest, Sandbox

LOOPBACK = ("127.0.0.1", "localhost")
DEFAULT_KEY = "sk-sandbox"


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
            help="the only key that it accepts (default: those of all accounts in "
            f"BUTTON_ORDERS, or {DEFAULT_KEY} if it has none)",
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
        given = options["api_key"]
        keys = self.find_keys() if given is None else {}
        first, *others = keys.values() or [DEFAULT_KEY if given is None else given]
        try:
            sandbox = Sandbox(
                host=host,
                port=port,
                api_key=first,
                other_api_keys=others,
                latency=options["latency"],
                listener=self.print_request,
                rng=random.Random(options["seed"]).random,  # noqa: S311 - no secret
            )
        except ValueError as exc:
            raise CommandError(f"--{str(exc).replace('_', '-', 1)}.") from exc
        with stop_on_signals() as stop:
            self.start(sandbox)
            self.greet(sandbox, keys)
            while not stop.is_set:
                stop.wait(3600)
        sandbox.stop()
        requests = counted(len(sandbox.requests), "request")
        self.write(f"{requests}, {counted(len(sandbox.orders), 'order')}.")

    def find_keys(self) -> dict[str, str]:
        """Return the API keys that the project's settings name, by account."""
        try:
            accounts = {name: get_settings(name) for name in account_names()}
        except ImproperlyConfigured as exc:
            self.stderr.write(
                f"{exc} Only the key {DEFAULT_KEY} is accepted until that is corrected."
            )
            return {}
        return {name: item.api_key for name, item in accounts.items() if item.api_key}

    def start(self, sandbox: Sandbox) -> None:
        try:
            sandbox.start()
        except (OSError, OverflowError) as exc:
            raise CommandError(
                f"Port {sandbox.port} cannot be used ({exc}). Choose another with "
                "--port."
            ) from exc

    def greet(self, sandbox: Sandbox, keys: Mapping[str, str]) -> None:
        """Say where the sandbox is, and which settings make a shop use it."""
        self.write(
            f"Button sandbox at {sandbox.url}, its page at {sandbox.url}/sandbox"
        )
        address = {"BASE_URL": sandbox.url}
        if keys:
            # They may be keys of the real Button, so they are not shown.
            accounts = ", ".join(keys)
            self.write(f"It accepts the API keys of these accounts: {accounts}")
            self.write(f"BUTTON_ORDERS |= {address}")
        else:
            button_orders = {"API_KEY": sandbox.api_key, **address}
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
