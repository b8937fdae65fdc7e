from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timezone
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.delivery.claims import enabled_rows
from django_button_orders.files.backfill import FileBackfill
from django_button_orders.files.forms import UnreadableFileError
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    counted,
    progress_bar,
    stop_on_signals,
    where_reasons,
)
from django_button_orders.management.options.backfill import (
    add_file_options,
    add_run_options,
    add_selection,
    conventions_of,
    open_input,
    open_rejects,
    refuse_contradictions,
)
from django_button_orders.management.options.values import (
    database_of,
    find_adapters,
    find_orders,
)
from django_button_orders.management.reporting import Reporting
from django_button_orders.management.unfinished import (
    count_disabled,
    count_other_sites,
)
from django_button_orders.models import ButtonOrder, Checkpoint, as_aware
from django_button_orders.operations.backfill import Backfill, checkpoint_name
from django_button_orders.operations.batches import Batch, first_errors
from django_button_orders.operations.throttle import Throttle
from django_button_orders.outbox.adapters import OrderAdapter

# The summary has these counts even if they are 0.
COUNTS = ("created", "already_there", "not_reportable", "invalid")

Selection = tuple[OrderAdapter, "QuerySet[Any]"]


class Command(ButtonOrdersCommand):
    help = (
        "Creates a Button order for each order of the registered models, or of a "
        "file, that has none. The workers then report them. It skips orders that have "
        "a Button order, so you can run it again."
    )
    examples = """\
  manage.py button_orders_backfill --dry-run
  manage.py button_orders_backfill --since 2026-01-01 --until 2026-02-01
  manage.py button_orders_backfill --model shop.Order --limit 100 --now
  manage.py button_orders_backfill --order-id 1994 --order-id 1995 --now
  manage.py button_orders_backfill --noinput --rate 50 --resume
  manage.py button_orders_backfill --from-file orders.csv --rejects rejects.csv
  manage.py button_orders_backfill --from-file orders.csv --decimals --currency EUR \\
    --time-zone Europe/Berlin --map "order_id=Order number" --ignore-unknown
  zcat orders.jsonl.gz | manage.py button_orders_backfill --from-file -
"""

    def add_arguments(self, parser: CommandParser) -> None:
        add_selection(parser)
        add_file_options(parser)
        add_run_options(parser)
        self.add_format(parser)

    def handle(self, **options: Any) -> None:
        refuse_contradictions(options)
        self.options = argparse.Namespace(**options)
        self.seen = 0
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.missing = set(self.options.order_ids)
        if self.options.from_file:
            alias = database_of(ButtonOrder, self.options.database)
            self.confirm_reporting(lambda: f"The orders of {self.options.from_file}")
            with self.stoppable():
                self.backfill_file(alias)
        else:
            selections = self.find_selections()
            self.confirm_reporting(lambda: self.describe_size(selections))
            with self.stoppable():
                self.backfill_models(selections)
        self.print_summary()
        self.fail_unless_complete()

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        with stop_on_signals() as self.stop:
            self.throttle = Throttle(self.options.rate, wait=self.stop.wait)
            self.reporting = Reporting(
                trigger="backfill", stop=self.stop, tell=self.print_error
            )
            yield

    def confirm_reporting(self, what: Callable[[], str]) -> None:
        """Ask on a terminal, because an order cannot be taken back from Button."""
        options = self.options
        if options.dry_run or options.order_ids:
            return
        self.confirm(
            lambda: f"{what()} will be reported to Button. Continue?",
            interactive=options.interactive,
        )

    @property
    def batch_size(self) -> int:
        """Return how many orders to read at once: with a rate, those of a second."""
        size: int = self.options.batch_size
        rate: float | None = self.options.rate
        return size if rate is None else max(1, min(size, int(rate)))

    @property
    def left(self) -> int | None:
        """Return how many orders ``--limit`` still allows, or None."""
        limit = self.options.limit
        return None if limit is None else limit - self.seen

    # Orders of models

    def find_selections(self) -> list[Selection]:
        """Return the adapters, each with the orders that the options select."""
        options = self.options
        adapters = find_adapters(options.model)
        if not adapters:
            raise CommandError(
                "No model is registered. Write an adapter in button_orders.py."
            )
        return [
            (
                adapter,
                find_orders(
                    adapter,
                    using=database_of(adapter.model, options.database),
                    since=options.since,
                    until=options.until,
                ),
            )
            for adapter in adapters
        ]

    def describe_size(self, selections: list[Selection]) -> str:
        count = sum(orders.count() for _, orders in selections)
        return f"Up to {counted(min(count, self.options.limit or count), 'order')}"

    def backfill_models(self, selections: list[Selection]) -> None:
        checkpoints = []
        for adapter, orders in selections:
            if self.left == 0 or self.stop.is_set:
                return
            checkpoint = self.find_checkpoint(adapter, orders.db)
            backfill = Backfill(
                adapter=adapter,
                orders=orders,
                using=orders.db,
                order_ids=self.options.order_ids,
                limit=self.left,
                batch_size=self.batch_size,
                dry_run=self.options.dry_run,
                checkpoint=checkpoint,
            )
            total = backfill.total() if self.stderr.isatty() else None
            self.run_backfill(backfill, adapter.model._meta.label, total)
            checkpoints.append(checkpoint)
            if not backfill.is_done:
                return
        # Now that every model is complete, there is nothing to resume.
        for checkpoint in filter(None, checkpoints):
            if not self.options.dry_run:
                checkpoint.delete()

    def find_checkpoint(self, adapter: OrderAdapter, alias: str) -> Checkpoint | None:
        """Return the checkpoint from which to start, or None if there is to be none."""
        options = self.options
        if options.order_ids:
            return None
        name = checkpoint_name(adapter, options.since, options.until)
        checkpoints = Checkpoint.objects.using(alias)
        found = checkpoints.filter(name=name).first()
        if options.resume and found is not None:
            return found
        if found is not None:
            began = as_aware(found.started_at).astimezone(timezone.utc)
            self.stderr.write(
                f"The run of {began:%Y-%m-%d %H:%M} (UTC) was interrupted. Without "
                "--resume, this run starts from the beginning."
            )
        return None if options.dry_run else checkpoints.begin(name)

    # Orders of a file

    def backfill_file(self, alias: str) -> None:
        options = self.options
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(open_input(options.from_file))
                rejects = open_rejects(options.rejects, stream, stack)
                backfill = FileBackfill(
                    stream=stream,
                    using=alias,
                    format=options.input_format,
                    encoding=options.encoding or "",
                    names=dict(options.map),
                    ignore_unknown=options.ignore_unknown,
                    conventions=conventions_of(options),
                    rejects=rejects,
                    complain=self.print_error,
                    account=options.account or DEFAULT_ACCOUNT,
                    limit=options.limit,
                    batch_size=self.batch_size,
                    dry_run=options.dry_run,
                    is_stopped=lambda: self.stop.is_set,
                )
                self.run_backfill(backfill, "file", None)
            except (OSError, UnreadableFileError) as exc:
                raise CommandError(str(exc)) from exc

    # Both

    def run_backfill(
        self, backfill: Backfill | FileBackfill, title: str, total: int | None
    ) -> None:
        """Run a backfill batch by batch. With ``--now``, report each batch."""
        with progress_bar(self.stderr, title, total) as self.bar:
            self.throttle.wait_for_turn()
            for batch in backfill.run():
                self.seen += batch.seen
                self.missing -= batch.order_ids
                done = (
                    self.report(batch) if self.options.now else batch.counts["created"]
                )
                self.bar.update(batch.seen)
                if self.stop.is_set:
                    break
                self.throttle.spend(done)
                self.throttle.wait_for_turn()
        self.counts += backfill.counts
        self.errors = first_errors(self.errors + backfill.errors)

    def report(self, batch: Batch) -> int:
        """Report the rows of a batch now. Return how many attempts were made."""
        rows = enabled_rows(batch.using).filter(pk__in=batch.queryset().values("pk"))
        tried = self.reporting.report(rows)
        for count in (count_disabled, count_other_sites):
            self.reporting.held_back += count(batch.queryset())
        return batch.counts["created"] if self.reporting.is_away else tried

    def print_error(self, error: str) -> None:
        self.bar.clear()
        self.stderr.write(error)

    def print_summary(self) -> None:
        options = self.options
        if not options.from_file:
            for error in self.errors:
                self.stderr.write(error)
        counts = {name: self.counts[name] for name in COUNTS}
        summary: dict[str, Any] = {
            "dry_run": options.dry_run,
            **counts,
            **self.reporting.outcomes,
        }
        if options.format == "json":
            interrupted = self.stop.is_set
            summary |= {"interrupted": interrupted, "errors": self.errors}
        self.summarize(summary, options.format)

    def fail_unless_complete(self) -> None:
        """Raise ``CommandError`` unless all orders have a row, or were reported."""
        if self.stop.is_set:
            how = "Run it again" if self.options.from_file else "Use --resume"
            raise CommandError(
                f"Interrupted after {counted(self.seen, 'order')}. {how} to continue.",
                returncode=self.stop.exit_status,
            )
        if self.counts["invalid"]:
            number = self.counts["invalid"]
            are = "is" if number == 1 else "are"
            raise CommandError(
                f"{counted(number, 'order')} {are} invalid. {where_reasons(number)}"
            )
        if self.missing:
            missing = ", ".join(sorted(self.missing))
            raise CommandError(f"No reportable order has the ID: {missing}.")
        if self.options.now:
            self.reporting.fail_unless_done()
