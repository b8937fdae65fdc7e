from __future__ import annotations

import signal
import threading
from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from django_button_orders.management.base import (
    ButtonOrdersCommand,
    fail_unless_done,
    positive,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.sweep import database_aliases, enabled_rows, report_due


class Command(ButtonOrdersCommand):
    help = (
        "Reports what is due, in this process and from the database alone: no "
        "broker and no worker is needed. With --loop it goes on until it is "
        "told to stop."
    )
    examples = """\
  manage.py button_orders_report
  manage.py button_orders_report --order-id 1994
  manage.py button_orders_report --loop --interval 10
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--order-id",
            action="append",
            default=[],
            dest="order_ids",
            metavar="ID",
            help="only the order with this id; can be given more than once",
        )
        parser.add_argument("--account", help="only the orders of this account")
        parser.add_argument(
            "--loop", action="store_true", help="go on until SIGTERM or Ctrl-C"
        )
        parser.add_argument(
            "--interval",
            type=positive,
            default=5,
            metavar="SECONDS",
            help="how long to wait when nothing is due (default: %(default)s)",
        )
        self.add_format(parser)

    def handle(self, *, loop: bool, interval: int, **options: Any) -> None:
        self.stop = threading.Event()
        self.refuse_unknown(options["order_ids"])
        outcomes: Counter[str] = Counter()
        if not loop:
            outcomes = self.report(progress=True, **options)
            self.summarize(outcomes, options["format"])
            fail_unless_done(outcomes)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())
        while not self.stop.is_set():
            done = self.report(progress=False, **options)
            outcomes += done
            if not done:
                self.stop.wait(interval)
        self.summarize(outcomes, options["format"])

    def report(
        self, *, progress: bool, order_ids: list[str], account: str | None, **_: Any
    ) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        with tqdm(
            unit=" orders", disable=None if progress else True, file=self.stderr
        ) as bar:
            for alias in database_aliases():
                rows = enabled_rows(alias)
                if order_ids:
                    rows = rows.filter(order_id__in=order_ids)
                if account:
                    rows = rows.filter(account=account)
                outcomes += report_due(
                    using=alias,
                    rows=rows,
                    trigger="command",
                    progress=lambda outcome: bar.update(),
                    is_stopped=self.stop.is_set,
                )
        return outcomes

    def refuse_unknown(self, order_ids: list[str]) -> None:
        unknown = set(order_ids)
        for alias in database_aliases():
            rows = ButtonOrder.objects.using(alias).filter(order_id__in=order_ids)
            unknown -= set(rows.values_list("order_id", flat=True))
        if unknown:
            raise CommandError(
                f"There is no row for: {', '.join(sorted(unknown))}. "
                "button_orders_backfill makes rows."
            )
