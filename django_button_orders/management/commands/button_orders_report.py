from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from django_button_orders.delivery.claims import enabled_rows
from django_button_orders.delivery.sweep import Progress, SweepLimits, report_due
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    progress_bar,
    stop_on_signals,
)
from django_button_orders.management.loop import Loop
from django_button_orders.management.options.selection import (
    Selection,
    add_selection,
    count,
    pages,
)
from django_button_orders.management.options.values import positive
from django_button_orders.management.unfinished import (
    HeldBack,
    count_disabled,
    count_paused,
    fail_unless_done,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.models.databases import database_aliases
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.monitoring.snapshot import record_sweep
from django_button_orders.tasks.periodic import in_each_database

INTERVAL_SECONDS = 5


class Command(ButtonOrdersCommand):
    help = (
        "Reports orders in this process and from the database alone: no broker and "
        "no worker is needed. Without a selection, it reports what is due. Orders "
        "that are selected, or --all that are pending, are reported at once, also "
        "those that wait for their next attempt. With --loop it reports what is "
        "due, compares the orders of the last days with their rows every five "
        "minutes, and prunes once a day, until it is told to stop: first what has "
        "begun is finished. A second signal ends it at once."
    )
    examples = """\
  manage.py button_orders_report
  manage.py button_orders_report --order-id 1994
  manage.py button_orders_report --reason unavailable --older-than 3h --limit 100
  manage.py button_orders_report --all --dry-run
  manage.py button_orders_report --loop --interval 10
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)
        parser.add_argument(
            "--all",
            action="store_true",
            help="all that are pending, also those that wait for their next attempt",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only count, change nothing"
        )
        parser.add_argument(
            "--loop", action="store_true", help="go on until SIGTERM or Ctrl-C"
        )
        parser.add_argument(
            "--interval",
            type=positive,
            metavar="SECONDS",
            help="how long --loop waits when nothing is due (default: "
            f"{INTERVAL_SECONDS})",
        )
        self.add_noinput(parser)
        self.add_format(parser)

    def handle(self, *, loop: bool, dry_run: bool, format: str, **options: Any) -> None:
        self.selection = Selection.of(options)
        self.everything: bool = options["all"]
        self.refuse_contradictions(
            loop=loop, dry_run=dry_run, interval=options["interval"]
        )
        if loop:
            with stop_on_signals() as stop:
                outcomes = self.report_for_ever(stop, options["interval"])
            self.summarize(outcomes, format)
            return
        self.selection.refuse_unknown_ids()
        if dry_run:
            self.tell_what_would_be(format)
            return
        if self.everything:
            self.confirm(
                lambda: f"Report all {self.count()} pending orders now?",
                interactive=options["interactive"],
            )
        failed = self.find_failed()
        with stop_on_signals() as stop:
            outcomes = self.report_once(stop)
        self.summarize(outcomes, format)
        if self.is_sweep and not stop.is_set:
            # Whatever became of the orders.
            in_each_database(record_sweep)
        fail_unless_done(outcomes, self.held_back)
        if stop.is_set:
            raise CommandError("Interrupted. Run it again for what is left.")
        if failed:
            raise CommandError(
                f"These orders have failed: {', '.join(failed)}. "
                "button_orders_retry makes them due."
            )

    def refuse_contradictions(
        self, *, loop: bool, dry_run: bool, interval: int | None
    ) -> None:
        """Raise ``CommandError`` instead of guessing what is meant."""
        if self.everything and not self.selection.is_empty:
            raise CommandError("Choose one of --all and a selection.")
        if loop:
            self.refuse_with_loop(dry_run=dry_run)
        elif interval is not None:
            raise CommandError("--interval is how long --loop waits: it needs --loop.")

    def refuse_with_loop(self, *, dry_run: bool) -> None:
        others = (
            value
            for name, value in vars(self.selection).items()
            if name not in ("account",)
        )
        if dry_run or self.everything or any(others):
            raise CommandError(
                "--loop reports what is due: of all orders, or of one --account."
            )

    def report_for_ever(self, stop: Stop, interval: int | None) -> Counter[str]:
        return Loop(
            stop=stop,
            interval=interval or INTERVAL_SECONDS,
            narrow=self.selection.narrow,
            is_whole=self.selection.is_empty,
        ).run()

    def tell_what_would_be(self, format_: str) -> None:
        self.summarize({"dry_run": True, "tried": self.count()}, format_)

    def count(self) -> int:
        total = 0
        for alias in database_aliases():
            total += count(self.rows(alias), self.left(total))
        return total

    def find_failed(self) -> list[str]:
        """Return those of the named orders that need a person first."""
        found: set[str] = set()
        for alias in database_aliases() if self.selection.order_ids else ():
            rows = self.selection.narrow(ButtonOrder.objects.using(alias).failed())
            found |= set(rows.values_list("order_id", flat=True))
        return sorted(found)

    def report_once(self, stop: Stop) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        seen = 0
        self.held_back: HeldBack = Counter()
        with progress_bar(self.stderr, "Reporting", None) as bar:
            for alias in database_aliases():
                if self.is_sweep:
                    outcomes += report_rows(enabled_rows(alias), stop, bar)
                    self.held_back += count_paused(enabled_rows(alias))
                    continue
                if self.selection.order_ids:
                    named = self.selection.narrow(ButtonOrder.objects.using(alias))
                    self.held_back += count_disabled(named)
                for pks in pages(self.rows(alias), self.left(seen)):
                    if stop.is_set:
                        break
                    seen += len(pks)
                    rows = enabled_rows(alias).filter(pk__in=pks)
                    rows.make_due()
                    outcomes += report_rows(rows, stop, bar)
                    self.held_back += count_paused(rows)
        return outcomes

    @property
    def is_sweep(self) -> bool:
        """Whether it is about what is due, whatever that is."""
        is_limited = self.selection.limit is not None
        return self.selection.is_empty and not self.everything and not is_limited

    def rows(self, alias: str) -> ButtonOrderQuerySet:
        rows = enabled_rows(alias)
        if self.selection.is_empty and not self.everything:
            return rows.due()
        return self.selection.narrow(rows.pending().unleased())

    def left(self, seen: int) -> int | None:
        limit = self.selection.limit
        return None if limit is None else max(limit - seen, 0)


def report_rows(rows: ButtonOrderQuerySet, stop: Stop, bar: tqdm[Any]) -> Counter[str]:
    progress: Progress = lambda outcome: bar.update()  # noqa: E731
    return report_due(
        using=rows.db,
        rows=rows,
        trigger="command",
        progress=progress,
        limits=SweepLimits(is_stopped=lambda: stop.is_set),
    )
