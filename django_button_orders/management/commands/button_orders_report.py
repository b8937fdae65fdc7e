from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections
from tqdm import tqdm

from django_button_orders.claims import enabled_rows
from django_button_orders.databases import database_aliases, in_each_database
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    fail_unless_done,
    positive,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.statistics.snapshot import note_sweep
from django_button_orders.sweep import Progress, Shift, report_due

# A backlog must not keep the loop from being seen.
ROUND_SECONDS = 60


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
        with noting_signals(self.stop):
            if loop:
                outcomes = self.report_for_ever(interval, **options)
            else:
                outcomes = self.report_once(**options)
        self.summarize(outcomes, options["format"])
        if loop:
            return
        fail_unless_done(outcomes)
        if self.stop.is_set():
            raise CommandError("Interrupted. Run it again for what is left.")

    def report_for_ever(self, interval: int, **options: Any) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        while not self.stop.is_set():
            done = self.report_safely(seconds=ROUND_SECONDS, **options)
            note_sweeps(**options)
            outcomes += done
            # What was only given back would be given back again.
            if done.keys() <= {"release"}:
                self.stop.wait(interval)
        return outcomes

    def report_safely(self, **options: Any) -> Counter[str]:
        """Report what is due in the databases that answer."""
        outcomes: Counter[str] = Counter()
        close_broken_connections()
        in_each_database(lambda alias: outcomes.update(self.report(alias, **options)))
        return outcomes

    def report_once(self, **options: Any) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        with tqdm(unit=" orders", disable=None, file=self.stderr) as bar:
            for alias in database_aliases():
                outcomes += self.report(
                    alias, progress=lambda outcome: bar.update(), **options
                )
        note_sweeps(**options)
        return outcomes

    def report(
        self,
        alias: str,
        *,
        order_ids: list[str],
        account: str | None,
        seconds: float = float("inf"),
        progress: Progress = lambda outcome: None,
        **_: Any,
    ) -> Counter[str]:
        rows = enabled_rows(alias)
        if order_ids:
            rows = rows.filter(order_id__in=order_ids)
        if account:
            rows = rows.filter(account=account)
        return report_due(
            using=alias,
            rows=rows,
            trigger="command",
            progress=progress,
            shift=Shift(seconds=seconds, is_stopped=self.stop.is_set),
        )

    def refuse_unknown(self, order_ids: list[str]) -> None:
        unknown = set(order_ids)
        # Without any, a loop begins although a database is away.
        for alias in database_aliases() if unknown else ():
            rows = ButtonOrder.objects.using(alias).filter(order_id__in=order_ids)
            unknown -= set(rows.values_list("order_id", flat=True))
        if unknown:
            raise CommandError(
                f"There is no row for: {', '.join(sorted(unknown))}. "
                "button_orders_backfill makes rows."
            )


def note_sweeps(*, order_ids: list[str], account: str | None, **_: Any) -> None:
    """Note that a sweep was here, unless it has left orders out."""
    if not (order_ids or account):
        in_each_database(note_sweep)


@contextmanager
def noting_signals(stop: threading.Event) -> Iterator[None]:
    """Set an event, instead of ending in the middle of a call."""
    if threading.current_thread() is not threading.main_thread():
        # Signals belong to another thread, and to whoever has called this.
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, lambda *_: stop.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def close_broken_connections() -> None:
    """Let them be made anew, as Django does it before each request."""
    for connection in connections.all(initialized_only=True):
        # Django would also close one that is in the middle of a transaction.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
