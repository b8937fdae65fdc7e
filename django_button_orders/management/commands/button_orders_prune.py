from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    progress_bar,
    stop_on_signals,
)
from django_button_orders.management.options.values import positive
from django_button_orders.models.databases import database_aliases
from django_button_orders.operations.batches import LARGEST_BATCH
from django_button_orders.operations.retention import (
    CHUNK,
    PruneResult,
    Retention,
    count_prunable,
    find_retentions,
    prune,
)


def batch_size(text: str) -> int:
    """Parse an integer that is no more than the largest batch."""
    size = positive(text)
    if size > LARGEST_BATCH:
        raise argparse.ArgumentTypeError(f"'{text}' is more than {LARGEST_BATCH}")
    return size


class Command(ButtonOrdersCommand):
    help = (
        "Prunes the records of old calls to Button. It empties their bodies after "
        "KEEP_BODIES_DAYS, and deletes the submissions after KEEP_SUBMISSIONS_DAYS. "
        "It erases the personal data of orders that were settled KEEP_PERSONAL_DAYS "
        "ago. All three settings may differ by account. It keeps the submissions of "
        "pending orders. You can run it while the shop is open, because its "
        "transactions are short. Celery beat and --loop do the same once a day."
    )
    examples = """\
  manage.py button_orders_prune --dry-run
  manage.py button_orders_prune
  manage.py button_orders_prune --bodies-days 7 --batch-size 200
  manage.py button_orders_prune --format json
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bodies-days",
            type=positive,
            metavar="DAYS",
            help="keep bodies for DAYS days, instead of KEEP_BODIES_DAYS",
        )
        parser.add_argument(
            "--submissions-days",
            type=positive,
            metavar="DAYS",
            help="keep submissions for DAYS days, instead of KEEP_SUBMISSIONS_DAYS",
        )
        parser.add_argument(
            "--batch-size",
            type=batch_size,
            default=CHUNK,
            help="submissions changed in one transaction (default: %(default)s)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only count; change nothing"
        )
        self.add_format(parser)

    def handle(
        self,
        *,
        bodies_days: int | None,
        submissions_days: int | None,
        batch_size: int,
        dry_run: bool,
        **options: Any,
    ) -> None:
        retentions = find_retentions(
            bodies_days=bodies_days, submissions_days=submissions_days
        )
        if dry_run:
            pruned = count_in_each_database(retentions)
        else:
            with stop_on_signals() as stop:
                pruned = self.prune(retentions, batch_size, stop)
        counts = {
            "bodies_emptied": pruned.bodies_emptied,
            "submissions_deleted": pruned.submissions_deleted,
            "orders_erased": pruned.orders_erased,
        }
        self.summarize({"dry_run": dry_run, **counts}, options["format"])
        if not pruned.is_complete:
            raise CommandError("Interrupted. Run the command again for the rest.")

    def prune(
        self, retentions: list[Retention], batch_size: int, stop: Stop
    ) -> PruneResult:
        pruned = PruneResult()
        unit = " submissions"
        with progress_bar(self.stderr, "Pruning", None, unit=unit) as bar:
            for alias in database_aliases():
                pruned += prune(
                    using=alias,
                    retentions=retentions,
                    batch_size=batch_size,
                    is_stopped=lambda: stop.is_set,
                    progress=bar.update,
                )
        return pruned


def count_in_each_database(retentions: list[Retention]) -> PruneResult:
    pruned = PruneResult()
    for alias in database_aliases():
        pruned += count_prunable(using=alias, retentions=retentions)
    return pruned
