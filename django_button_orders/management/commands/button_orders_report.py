from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Count, Min
from tqdm import tqdm

from django_button_orders.delivery.claims import enabled_rows
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    counted,
    in_words,
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
from django_button_orders.management.reporting import Reporting
from django_button_orders.management.unfinished import (
    HeldBack,
    count_disabled,
    count_other_sites,
    explain,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.models.databases import database_aliases
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.monitoring.alerts import describe_other_site
from django_button_orders.monitoring.snapshot import database_time, seconds_between
from django_button_orders.tasks.periodic import (
    QUEUED_ACTIONS,
    end_sweep,
    in_each_database,
    run_in_each_database,
)

INTERVAL_SECONDS = 5
ONE_HAS, MANY_HAVE = ("This order has", "it"), ("These orders have", "them")


class Command(ButtonOrdersCommand):
    help = (
        "Reports orders in this process, without a broker and without "
        "workers. Without a selection, it reports what is due. Selected "
        "orders, or all pending orders with --all, are reported at once, "
        "even if they wait for a retry. With --loop, it does the work of "
        "Celery beat and a worker. It reports what is due, and runs the "
        "queued actions of the admin. It compares the orders of the last "
        "RECONCILE_DAYS days every five minutes, and prunes once a day. "
        "SIGTERM or Ctrl-C stops it after the calls that have begun. A second "
        "signal ends it at once."
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
            help="all pending orders, even if they wait for a retry",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only count; change nothing"
        )
        parser.add_argument(
            "--loop", action="store_true", help="run until SIGTERM or Ctrl-C"
        )
        parser.add_argument(
            "--interval",
            type=positive,
            metavar="SECONDS",
            help="how many seconds --loop waits when nothing is due (default: "
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
            self.handle_loop(options["interval"], format)
            return
        self.selection.refuse_unknown_ids()
        if dry_run:
            self.summarize({"dry_run": True, "tried": self.count()}, format)
            return
        if self.everything:
            self.confirm(
                lambda: f"Report {counted(self.count(), 'pending order')} now?",
                interactive=options["interactive"],
            )
        self.handle_once(format)

    def refuse_contradictions(
        self, *, loop: bool, dry_run: bool, interval: int | None
    ) -> None:
        """Raise ``CommandError`` for options that do not go together."""
        if self.everything and not self.selection.is_empty:
            raise CommandError("--all and a selection cannot be combined.")
        if loop:
            self.refuse_with_loop(dry_run=dry_run)
        elif interval is not None:
            raise CommandError("--interval needs --loop.")

    def refuse_with_loop(self, *, dry_run: bool) -> None:
        others = (
            value for name, value in vars(self.selection).items() if name != "account"
        )
        if dry_run or self.everything or any(others):
            raise CommandError(
                "--loop cannot be combined with --dry-run, --all or a selection other "
                "than --account."
            )

    def handle_loop(self, interval: int | None, format_: str) -> None:
        with stop_on_signals() as stop:
            outcomes = Loop(
                stop=stop,
                interval=interval or INTERVAL_SECONDS,
                narrow=self.selection.narrow,
                is_whole=self.selection.is_empty,
            ).run()
        self.summarize(outcomes, format_)

    def handle_once(self, format_: str) -> None:
        # Looked up first, because more orders may fail now.
        had_failed = self.find_failed()
        with stop_on_signals() as stop:
            if self.is_sweep:
                run_in_each_database(QUEUED_ACTIONS, lambda: stop.is_set)
            self.report(stop)
        self.print_summary(format_)
        if self.is_sweep and not stop.is_set:
            # A sweep is recorded as one even if orders have failed in it.
            in_each_database(end_sweep)
        self.reporting.fail_unless_done()
        if stop.is_set:
            raise CommandError("Interrupted. Run the command again for the rest.")
        if had_failed:
            is_one = len(had_failed) == 1
            these, them = ONE_HAS if is_one else MANY_HAVE
            raise CommandError(
                f"{these} failed: {', '.join(had_failed)}. "
                f"Retry {them} with button_orders_retry."
            )

    # Which rows

    @property
    def is_sweep(self) -> bool:
        """Return whether all due orders are reported, as in a worker's sweep."""
        is_limited = self.selection.limit is not None
        return self.selection.is_empty and not self.everything and not is_limited

    def rows(self, alias: str) -> ButtonOrderQuerySet:
        """Return the selected rows that are pending, or else the due rows."""
        rows = enabled_rows(alias)
        if self.selection.is_empty and not self.everything:
            return rows.due()
        return self.selection.narrow(rows.of_this_site().unleased())

    def count(self) -> int:
        """Return how many orders would be reported."""
        total = 0
        for alias in database_aliases():
            total += count(self.rows(alias), self.selection.left(total))
        return total

    def find_failed(self) -> list[str]:
        """Return the IDs of those named orders that have failed already."""
        found: set[str] = set()
        for alias in database_aliases() if self.selection.order_ids else ():
            rows = self.selection.narrow(ButtonOrder.objects.using(alias).failed())
            found |= set(rows.values_list("order_id", flat=True))
        return sorted(found)

    # Reporting them

    def report(self, stop: Stop) -> None:
        """Report the rows of all databases. Count outcomes, and what is held back."""
        self.seen = 0
        with progress_bar(self.stderr, "Reporting", None) as bar:
            self.reporting = Reporting(
                trigger="command", stop=stop, tell=partial(self.tell, bar)
            )
            for alias in database_aliases():
                if self.is_sweep:
                    self.reporting.report(enabled_rows(alias), bar.update)
                else:
                    self.report_selected(alias, stop, bar)

    def report_selected(self, alias: str, stop: Stop, bar: tqdm[Any]) -> None:
        reporting = self.reporting
        if self.selection.order_ids:
            named = self.selection.narrow(ButtonOrder.objects.using(alias))
            reporting.held_back += count_disabled(named)
            reporting.held_back += count_other_sites(named)
        for pks in pages(self.rows(alias), self.selection.left(self.seen)):
            if stop.is_set:
                return
            self.seen += len(pks)
            rows = enabled_rows(alias).filter(pk__in=pks)
            if reporting.is_away:
                reporting.left += len(pks)
                continue
            rows.make_due()
            reporting.report(rows, bar.update)

    def tell(self, bar: tqdm[Any], text: str) -> None:
        bar.clear()
        self.stderr.write(text)

    def print_summary(self, format_: str) -> None:
        """Print the outcomes, or why there are none."""
        reporting, others = self.reporting, self.find_other_sites()
        if format_ == "json":
            left = Counter(of_other_sites=sum(number for *_, number in others))
            self.summarize(reporting.outcomes + left, format_)
            return
        if reporting.outcomes:
            self.summarize(reporting.outcomes, format_)
        elif reporting.held_back or others:
            self.stdout.write("Nothing was sent.")
        else:
            self.stdout.write(self.explain_idleness())
        for alias, site, number in others:
            self.stdout.write(describe_other_site(site, number, using=alias))

    def find_other_sites(self) -> list[tuple[str, str, int]]:
        """Return databases, sites, and the number of their pending orders."""
        found = []
        # For a named order, that is an error.
        for alias in () if self.selection.order_ids else database_aliases():
            selected = self.selection.narrow(ButtonOrder.objects.using(alias).all())
            counts = sorted(count_other_sites(selected).items())
            found += [(alias, site, number) for (_, site), number in counts]
        return found

    def explain_idleness(self) -> str:
        """Return a sentence that says why nothing was sent."""
        waiting, first = 0, float("inf")
        disabled: HeldBack = Counter()
        for alias in database_aliases():
            rows = self.selection.narrow(enabled_rows(alias)).waiting()
            found = rows.aggregate(number=Count("pk"), first=Min("next_attempt_at"))
            if found["number"]:
                waiting += found["number"]
                now = database_time(alias)
                first = min(first, seconds_between(now, found["first"]))
            everything = self.selection.narrow(ButtonOrder.objects.using(alias).all())
            disabled += count_disabled(everything)
        if waiting:
            wait = "waits for its" if waiting == 1 else "wait for their"
            when = f"{'' if waiting == 1 else 'the first '}in {in_words(first)}"
            return (
                f"Nothing is due. {counted(waiting, 'order')} {wait} next attempt, "
                f"{when}."
            )
        if disabled:
            return f"Nothing was sent. {explain(disabled)}"
        return "Nothing to do."
