"""
Add due rows for a shop's orders that have none.

Such orders are older than this app, or were saved without a signal. ``run`` reads the
orders page by page: it identifies the orders of a page, and writes their rows in one
batch, together with the checkpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from django.db import InterfaceError, OperationalError, connections
from django.db.models import IntegerField, Model, QuerySet

from django_button_orders.models import ButtonOrder, Checkpoint, content_type_of
from django_button_orders.models.keyset import Keyset
from django_button_orders.operations.batches import (
    LARGEST_BATCH,
    LOCK_WAITS,
    Batch,
    as_parameter,
    first_errors,
)
from django_button_orders.outbox.adapters import OrderAdapter
from django_button_orders.outbox.identity import RowKey
from django_button_orders.outbox.savepoints import LazySavepoint
from django_button_orders.report.privacy import describe_exception, without_quotes

COLUMNS = ("account", "order_id", "source_id")


def checkpoint_name(
    adapter: OrderAdapter, since: datetime | None, until: datetime | None
) -> str:
    """Return a name that is the same for each run through the same orders."""
    words = ["backfill", adapter.model._meta.label]
    for name, moment in (("since", since), ("until", until)):
        if moment is not None:
            words += [name, moment.astimezone(timezone.utc).isoformat()]
    return " ".join(words)[:255]


@dataclass(kw_only=True)
class Backfill:
    """
    A run through a shop's orders that adds due rows for those without one.

    It never changes an existing row, so it is safe to repeat. ``order_ids`` and
    ``limit`` select orders. A dry run only counts. With a ``checkpoint``, the run
    starts there, and moves the checkpoint on with each batch.
    """

    adapter: OrderAdapter
    orders: QuerySet[Any]
    using: str
    order_ids: Collection[str] = ()
    limit: int | None = None
    batch_size: int = 1000
    dry_run: bool = False
    checkpoint: Checkpoint | None = None
    lock_waits: Sequence[float] = LOCK_WAITS

    def __post_init__(self) -> None:
        self.wanted = set(self.order_ids)
        self.seen = 0
        self.is_done = False
        # These include what an interrupted run counted before its checkpoint.
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.start = ""
        source_type = content_type_of(self.adapter.model, self.using)
        # By its key, because the content type may be in another database than the row.
        self.shared: dict[str, Any] = {"source_type_id": source_type.pk}
        if self.checkpoint is not None:
            self.resume_at(self.checkpoint)
        # Relations that build() needs are fetched only once a hook reads them.
        self.source = self.orders.prefetch_related(None)

    def resume_at(self, checkpoint: Checkpoint) -> None:
        if not self.dry_run:
            self.counts.update(checkpoint.counts)
            self.errors = list(checkpoint.errors)
        self.start = checkpoint.position
        # All rows of a run are due since the run began. They are older than the rows
        # of new orders, for which each claim has reserved room.
        self.shared["next_attempt_at"] = as_parameter(
            "next_attempt_at", checkpoint.started_at, using=self.using
        )

    def run(self) -> Iterator[Batch]:
        """Add the missing rows, and yield each batch after it is committed."""
        for page in self.pages(after=self.start):
            yield self.write(page)
            if self.left == 0:
                return
        if self.start and not has_growing_keys(self.adapter.model):
            # Orders that were saved since the run began may have keys before its
            # checkpoint.
            for page in self.pages(until=self.start):
                yield self.write_new(page)
                if self.left == 0:
                    return
        self.is_done = True

    def total(self) -> int | None:
        """Return the number of orders that a progress bar should expect, if known."""
        if self.wanted:
            return None
        orders = self.source
        if self.start:
            orders = Keyset(orders).after(self.start)
        count = orders.count()
        return count if self.limit is None else min(count, self.limit)

    @property
    def left(self) -> int | None:
        """Return how many orders the limit still allows, or None without a limit."""
        return None if self.limit is None else self.limit - self.seen

    def pages(self, *, after: str = "", until: str = "") -> Iterator[list[Any]]:
        size = min(self.batch_size, LARGEST_BATCH)
        while page := self.keyset(until).page(after, size):
            yield page
            after = self.keyset().position_of(page[-1])

    def keyset(self, until: str = "") -> Keyset:
        """Return the pages of the orders up to a position, or of all orders."""
        if not until:
            return Keyset(self.source)
        (key,) = Keyset(self.source).values_at(until)
        return Keyset(self.source.filter(pk__lte=key))

    def write(self, page: list[Any]) -> Batch:
        """Add the rows of a page, and move the checkpoint on in one transaction."""
        batch, last = self.identify(page, limit=self.left)
        if self.dry_run:
            batch.dry_run()
        else:
            batch.write(then=lambda: self.advance(batch, last))
        self.add_up(batch)
        return batch

    def write_new(self, page: list[Any]) -> Batch:
        """Add the rows of orders saved since the run began, and count only those."""
        batch, _ = self.identify(page)
        batch.counts, batch.errors = Counter(), []
        if self.left is not None:
            batch.rows = batch.new_rows()[: self.left]
        if self.dry_run:
            batch.dry_run()
        else:
            batch.write()
        del batch.counts["already_there"]
        batch.seen = batch.counts["created"]
        self.add_up(batch)
        return batch

    def advance(self, batch: Batch, last: Any) -> None:
        if self.checkpoint is not None:
            self.checkpoint.advance(
                position=self.keyset().position_of(last),
                counts=self.counts + batch.counts,
                errors=first_errors(self.errors + batch.errors),
            )

    def add_up(self, batch: Batch) -> None:
        self.seen += batch.seen
        self.counts += batch.counts
        self.errors = first_errors(self.errors + batch.errors)

    def identify(
        self, page: list[Any], *, limit: int | None = None
    ) -> tuple[Batch, Any]:
        """Return a batch of the wanted orders, and the last order that was read."""
        batch = Batch(
            using=self.using,
            columns=COLUMNS,
            shared=self.shared,
            lock_waits=self.lock_waits,
        )
        order = None
        with connections[self.using].execute_wrapper(self.prefetch_from_now_on):
            for order in page:
                self.add_row_of(order, batch)
                if batch.seen == limit:
                    break
        return batch, order

    def prefetch_from_now_on(self, execute: Any, *args: Any) -> Any:
        """Fetch relations for whole pages, since a hook asks the database."""
        self.source = self.orders
        return execute(*args)

    def add_row_of(self, order: Any, batch: Batch) -> None:
        """Add an order's row to the batch, or count why it gets none."""
        key, error, has_id = RowKey(self.adapter, order), "", False
        try:
            has_id = self.resolve(key)
        except Exception as exc:  # noqa: BLE001 - it is counted, and the rest goes on
            if isinstance(exc, (OperationalError, InterfaceError)):
                self.check_database()
            error = without_quotes(describe_exception(exc, key.hook_name))
        if self.wanted and key.order_id not in self.wanted:
            return
        batch.seen += 1
        if error:
            batch.reject(f"{key.order_id}: {error}")
        elif has_id and key.is_reportable:
            batch.rows.append((key.account, key.order_id, str(order.pk)))
        else:
            batch.counts["not_reportable"] += 1

    def resolve(self, key: RowKey) -> bool:
        try:
            # An adapter's hook may query the database.
            with LazySavepoint(self.using):
                return key.resolve()
        except OperationalError:
            # A second try tells a passing error from wrong SQL: SQLite and MySQL
            # raise this error for both.
            with LazySavepoint(self.using):
                return key.resolve()

    def check_database(self) -> None:
        """Raise if the database is away: no order is to blame for that."""
        ButtonOrder.objects.using(self.using).exists()


def has_growing_keys(model: type[Model]) -> bool:
    """Return whether a new order's key is greater than those of older orders."""
    key: Any = model._meta.pk
    while key.remote_field:
        key = key.target_field
    return isinstance(key, IntegerField)
