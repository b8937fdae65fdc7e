from __future__ import annotations

import json
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
from django_button_orders.sandbox.store import FIELDS

LOOPBACK = ("127.0.0.1", "localhost")
DEFAULT_KEY = "sk-sandbox"


class Command(ButtonOrdersCommand):
    help = (
        "Runs a local imitation of Button for development and tests. It validates "
        "each request. Its page at /sandbox shows the orders that it has. Stop it with "
        "Ctrl-C or SIGTERM: it then loses its orders."
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
            help="the address of this machine to listen on (default: %(default)s)",
        )
        parser.add_argument(
            "--port",
            type=int,
            default=8010,
            help="the port, or 0 for any free one (default: %(default)s)",
        )
        parser.add_argument(
            "--api-key",
            help="the only API key to accept (default: the keys of all accounts in "
            f"BUTTON_ORDERS, or {DEFAULT_KEY} if there are none)",
        )
        parser.add_argument(
            "--latency",
            type=float,
            default=0.0,
            metavar="SECONDS",
            help="delay each answer by this time (default: 0)",
        )
        parser.add_argument(
            "--finalization-days",
            type=float,
            default=7,
            metavar="DAYS",
            help="finalize each order this long after its first report (default: 7)",
        )
        parser.add_argument(
            "--finalization-field",
            choices=[*filter(None, FIELDS), "none"],
            default=FIELDS[0],
            metavar="FIELD",
            help="the field of answers that shows that date: finalization_date (the "
            "default), finalized_date or none",
        )
        parser.add_argument(
            "--seed",
            type=int,
            metavar="NUMBER",
            help="seed for random failures, to repeat a run",
        )
        self.add_format(
            parser, help="text, or JSON with an object on each line (default: text)"
        )

    def handle(self, *, host: str, port: int, format: str, **options: Any) -> None:
        self.is_json = format == "json"
        given, field = options["api_key"], options["finalization_field"]
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
                finalization_days=options["finalization_days"],
                finalization_field="" if field == "none" else field,
            )
        except ValueError as exc:
            raise CommandError(f"--{str(exc).replace('_', '-', 1)}.") from exc
        with stop_on_signals() as stop:
            self.start(sandbox)
            self.greet(sandbox, keys)
            while not stop.is_set:
                # A signal that comes right before the wait begins does not end it.
                stop.wait(1)
        sandbox.stop()
        requests, orders = len(sandbox.requests), len(sandbox.orders)
        self.write(
            {"requests": requests, "orders": orders},
            f"{counted(requests, 'request')}, {counted(orders, 'order')}.",
        )

    def find_keys(self) -> dict[str, str]:
        """Return the API keys that the project's settings name, by account."""
        try:
            accounts = {name: get_settings(name) for name in account_names()}
        except ImproperlyConfigured as exc:
            self.stderr.write(
                f"{exc} Until you correct it, only the key {DEFAULT_KEY} is accepted."
            )
            return {}
        return {name: item.api_key for name, item in accounts.items() if item.api_key}

    def start(self, sandbox: Sandbox) -> None:
        try:
            sandbox.start()
        except (OSError, OverflowError) as exc:
            raise CommandError(
                f"Port {sandbox.port} cannot be used ({exc}). Choose another with "
                "--port, and set BASE_URL to match."
            ) from exc

    def greet(self, sandbox: Sandbox, keys: Mapping[str, str]) -> None:
        """Print where the sandbox is, and which settings make a shop use it."""
        page = f"{sandbox.url}/sandbox"
        # Keys of the settings may be keys of the real Button, so they are not shown.
        values = {} if keys else {"API_KEY": sandbox.api_key}
        values["BASE_URL"] = sandbox.url
        lines = [f"Button sandbox at {sandbox.url}, its page at {page}"]
        if keys:
            names, s = ", ".join(keys), "" if len(keys) == 1 else "s"
            lines.append(f"It accepts the API key{s} of the account{s} {names}")
        lines.append(f"BUTTON_ORDERS {'|=' if keys else '='} {values}")
        found = {"url": sandbox.url, "page": page, "accounts": list(keys)}
        self.write({**found, "settings": values}, *lines)

    def print_request(self, request: ReceivedRequest) -> None:
        # The client chooses these texts, and they could control the terminal.
        path = request.path.encode("ascii", "replace").decode()
        order_id = request.order_id.encode("ascii", "replace").decode()
        order = f" order {order_id}" if order_id.isprintable() and order_id else ""
        answer = "dropped" if request.status is None else request.status
        self.write(
            {
                "method": request.method,
                "path": request.path,
                # None: the connection was closed without an answer.
                "status": request.status,
                "order_id": request.order_id,
            },
            f"{request.method} {path} {answer}{order}",
        )

    def write(self, values: Mapping[str, Any], *lines: str) -> None:
        """Print values as one line of JSON, or else the lines for people."""
        self.print_lines([json.dumps(values)] if self.is_json else lines)
        self.stdout.flush()
