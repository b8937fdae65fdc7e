from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import connections, router
from django.db.models import QuerySet
from tqdm import tqdm

from django_button_orders.adapters import OrderAdapter, get_adapter, registered
from django_button_orders.backfill import Batch, backfill, select_orders
from django_button_orders.claims import enabled_rows
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    fail_unless_done,
    moment,
    positive,
)
from django_button_orders.sweep import report_due

SHOWN_ERRORS = 10


class Command(ButtonOrdersCommand):
    help = (
        "Makes rows for orders of the registered models that have none, so that "
        "the workers report them. Orders that have a row are left alone: running "
        "it twice changes nothing."
    )
    examples = """\
  manage.py button_orders_backfill --dry-run
  manage.py button_orders_backfill --since 2026-01-01 --until 2026-02-01
  manage.py button_orders_backfill --model shop.Order --limit 100 --now
  manage.py button_orders_backfill --order-id 1994 --order-id 1995 --now
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--model",
            metavar="APP.MODEL",
            help="only this registered model (default: all of them)",
        )
        parser.add_argument(
            "--since", type=moment, help="only orders from this date or time on"
        )
        parser.add_argument(
            "--until", type=moment, help="only orders before this date or time"
        )
        parser.add_argument(
            "--order-id",
            action="append",
            default=[],
            dest="order_ids",
            metavar="ID",
            help="only the order with this id; can be given more than once",
        )
        parser.add_argument("--limit", type=positive, help="at most so many orders")
        parser.add_argument(
            "--batch-size",
            type=positive,
            default=500,
            help="orders read and rows written at once (default: %(default)s)",
        )
        parser.add_argument(
            "--database",
            help="the database of the orders (default: the one of their model)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only count, change nothing"
        )
        parser.add_argument(
            "--now",
            action="store_true",
            help="report the orders in this process instead of leaving them to "
            "the workers",
        )
        self.add_format(parser)

    def handle(
        self,
        *,
        model: str | None,
        order_ids: list[str],
        limit: int | None,
        dry_run: bool,
        now: bool,
        **options: Any,
    ) -> None:
        if dry_run and now:
            raise CommandError("Choose one of --dry-run and --now.")
        self.counts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.errors: list[str] = []
        self.missing = set(order_ids)
        for adapter in self.find_adapters(model):
            left = None if limit is None else limit - self.seen
            if left == 0:
                break
            alias = self.find_alias(adapter, options["database"])
            orders = self.select(adapter, alias, **options)
            batches = backfill(
                adapter,
                orders,
                using=alias,
                order_ids=order_ids,
                limit=left,
                batch_size=options["batch_size"],
                dry_run=dry_run,
            )
            total = None if order_ids else min(orders.count(), left or sys.maxsize)
            with tqdm(
                desc=adapter.model._meta.label,
                total=total,
                unit=" orders",
                disable=None,
                file=self.stderr,
            ) as bar:
                self.work(batches, alias, bar, now=now)
        self.finish(dry_run=dry_run, now=now, format_=options["format"])

    @property
    def seen(self) -> int:
        return sum(self.counts.values()) - self.counts["invalid"]

    def find_adapters(self, label: str | None) -> list[OrderAdapter]:
        if label is None:
            if not registered():
                raise CommandError(
                    "No model is registered. Write an adapter in button_orders.py."
                )
            return registered()
        try:
            return [get_adapter(apps.get_model(label))]
        except (LookupError, ValueError, ImproperlyConfigured) as exc:
            known = ", ".join(item.model._meta.label for item in registered())
            raise CommandError(
                f"'{label}' is not a registered model. Known are: {known}."
            ) from exc

    def find_alias(self, adapter: OrderAdapter, alias: str | None) -> str:
        if alias is not None and alias not in connections:
            raise CommandError(f"'{alias}' is not a database of the settings.")
        return alias or router.db_for_write(adapter.model)

    def select(
        self, adapter: OrderAdapter, alias: str, *, since: Any, until: Any, **_: Any
    ) -> QuerySet[Any]:
        try:
            return select_orders(adapter, using=alias, since=since, until=until)
        except ValidationError as exc:
            raise CommandError(" ".join(exc.messages)) from exc

    def work(
        self, batches: Iterator[Batch], alias: str, bar: tqdm[Any], *, now: bool
    ) -> None:
        for batch in batches:
            self.counts += batch.counts
            self.errors += batch.errors[: SHOWN_ERRORS - len(self.errors)]
            self.missing -= set(batch.rows.values_list("order_id", flat=True))
            if now:
                due = enabled_rows(alias).filter(pk__in=batch.rows.values("pk"))
                self.outcomes += report_due(using=alias, rows=due, trigger="backfill")
            bar.update(len(batch.orders))

    def finish(self, *, dry_run: bool, now: bool, format_: str) -> None:
        for error in self.errors:
            self.stderr.write(error)
        summary = {"dry_run": dry_run, **self.counts, **self.outcomes}
        if format_ == "text" and dry_run:
            self.stdout.write("Dry run, nothing was changed. Would be: ", ending="")
        self.summarize(summary, format_)
        if self.counts["invalid"]:
            raise CommandError(
                f"{self.counts['invalid']} orders could not be identified."
            )
        if self.missing and not dry_run:
            missing = ", ".join(sorted(self.missing))
            raise CommandError(f"No order to report has the id: {missing}.")
        if now:
            fail_unless_done(self.outcomes)
