"""Making rows for orders that were there before this app, or slipped past it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from django.db import InterfaceError, OperationalError, connections
from django.db.models import IntegerField, Model, QuerySet

from django_button_orders.models import ButtonOrder, Checkpoint, content_types
from django_button_orders.operations.batches import (
    LARGEST_BATCH,
    LOCK_WAITS,
    Batch,
    as_parameter,
    kept,
)
from django_button_orders.outbox.adapters import OrderAdapter
from django_button_orders.outbox.identity import RowKey, refuse_long_account
from django_button_orders.outbox.savepoints import LazySavepoint
from django_button_orders.report.privacy import describe_exception

COLUMNS = ("account", "order_id", "source_id")


def checkpoint_name(
    adapter: OrderAdapter, since: datetime | None, until: datetime | None
) -> str:
    """Return what tells a run through some orders from one through others."""
    words = ["backfill", adapter.model._meta.label]
    for name, moment in (("since", since), ("until", until)):
        if moment is not None:
            words += [name, moment.astimezone(timezone.utc).isoformat()]
    return " ".join(words)[:255]


@dataclass(kw_only=True)
class Backfill:
    """
    A run through a shop's orders, which makes due rows for those without one.

    An order that has a row is left alone, so it is safe to do this twice.
    ``order_ids`` and ``limit`` narrow the orders down. A dry run only counts.
    With a ``checkpoint``, it goes on from there, and writes down how far it is.
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
        # Of the whole run, also of what was done before it was interrupted.
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self.start = ""
        kind = content_types(self.using).get_for_model(self.adapter.model)
        # By its key: it may live in another database than the row.
        self.shared: dict[str, Any] = {"source_type_id": kind.pk}
        if self.checkpoint is not None:
            self.go_on_from(self.checkpoint)
        # Without what build() needs, until the cheap hooks turn out to need it.
        self.source = self.orders.prefetch_related(None)

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        if not self.dry_run:
            self.counts.update(checkpoint.counts)
            self.errors = list(checkpoint.errors)
        self.start = checkpoint.position
        # Due since the run began, its rows are older than those of new orders, and
        # a part of each claim is for the newest.
        self.shared["next_attempt_at"] = as_parameter(
            "next_attempt_at", checkpoint.started_at, using=self.using
        )

    def run(self) -> Iterator[Batch]:
        """Do it, and yield what became of the orders, batch by batch."""
        for page in self.pages(after=self.start):
            yield self.do(page)
            if self.is_enough:
                return
        if self.start and not keys_grow(self.adapter.model):
            # Orders that came since the run began may have keys anywhere.
            for page in self.pages(until=self.start):
                yield self.do_again(page)
                if self.is_enough:
                    return
        self.is_done = True

    def total(self) -> int | None:
        """Return how many orders there are to go through, for a progress bar."""
        if self.wanted:
            return None
        orders = self.source
        if self.start:
            orders = orders.filter(pk__gt=self.key(self.start))
        count = orders.count()
        return count if self.limit is None else min(count, self.limit)

    @property
    def is_enough(self) -> bool:
        return self.left == 0

    @property
    def left(self) -> int | None:
        return None if self.limit is None else self.limit - self.seen

    def pages(self, *, after: str = "", until: str = "") -> Iterator[list[Any]]:
        """Yield the orders by key, so that the last page costs what the first does."""
        size = min(self.batch_size, LARGEST_BATCH)
        bounds = {"pk__lte": self.key(until)} if until else {}
        if after:
            bounds["pk__gt"] = self.key(after)
        while page := list(self.source.filter(**bounds).order_by("pk")[:size]):
            yield page
            bounds["pk__gt"] = page[-1].pk

    def key(self, text: str) -> Any:
        field: Any = self.adapter.model._meta.pk
        return field.to_python(text)

    def do(self, page: list[Any]) -> Batch:
        batch, last = self.identify(page, most=self.left)
        if self.dry_run:
            batch.try_out()
        else:
            batch.write(and_also=lambda: self.note(batch, last))
        self.add_up(batch)
        return batch

    def do_again(self, page: list[Any]) -> Batch:
        """Do orders that were done before: what counts is what is new."""
        batch, _ = self.identify(page)
        batch.counts, batch.errors = Counter(), []
        if self.left is not None:
            batch.rows = batch.new_rows()[: self.left]
        if self.dry_run:
            batch.try_out()
        else:
            batch.write()
        del batch.counts["already_there"]
        batch.seen = batch.counts["created"]
        self.add_up(batch)
        return batch

    def note(self, batch: Batch, last: Any) -> None:
        """Write down how far this is, in the transaction of the batch."""
        if self.checkpoint is not None:
            self.checkpoint.advance(
                position=key_of(last),
                counts=self.counts + batch.counts,
                errors=kept(self.errors + batch.errors),
            )

    def add_up(self, batch: Batch) -> None:
        self.seen += batch.seen
        self.counts += batch.counts
        self.errors = kept(self.errors + batch.errors)

    def identify(
        self, page: list[Any], *, most: int | None = None
    ) -> tuple[Batch, Any]:
        """Return a batch of the orders that are wanted, and the last one looked at."""
        batch = Batch(
            using=self.using,
            names=COLUMNS,
            shared=self.shared,
            lock_waits=self.lock_waits,
        )
        order = None
        with connections[self.using].execute_wrapper(self.note_query):
            for order in page:
                self.identify_one(order, batch)
                if batch.seen == most:
                    break
        return batch, order

    def note_query(self, execute: Any, *args: Any) -> Any:
        # One query for each relation, rather than one for each order.
        self.source = self.orders
        return execute(*args)

    def identify_one(self, order: Any, batch: Batch) -> None:
        identity, error, is_known = RowKey(self.adapter, order), "", False
        try:
            is_known = self.find(identity)
            refuse_long_account(identity)
        except Exception as exc:  # noqa: BLE001 - counted and told; the rest goes on
            if isinstance(exc, (OperationalError, InterfaceError)):
                self.see_that_it_answers()
            error = describe_exception(exc, identity.asking)
        if self.wanted and identity.order_id not in self.wanted:
            return
        batch.seen += 1
        if error:
            batch.refuse(f"{identity.order_id}: {error}")
        elif is_known and identity.is_reportable:
            batch.rows.append((identity.account, identity.order_id, str(order.pk)))
        else:
            batch.counts["not_reportable"] += 1

    def find(self, identity: RowKey) -> bool:
        try:
            # For adapters that ask the database.
            with LazySavepoint(self.using):
                return identity.find()
        except OperationalError:
            # Something that passes, or wrong SQL, which SQLite and MySQL call so, too.
            with LazySavepoint(self.using):
                return identity.find()

    def see_that_it_answers(self) -> None:
        """Raise if the database is away, which says nothing about an order."""
        ButtonOrder.objects.using(self.using).exists()


def keys_grow(model: type[Model]) -> bool:
    """Return whether a new order has a greater key than those before it."""
    key: Any = model._meta.pk
    while key.remote_field:
        key = key.target_field
    return isinstance(key, IntegerField)


def key_of(order: Model) -> str:
    """Return the key of an order as text, for its field's ``to_python()``."""
    key: Any = order._meta.pk
    return str(key.value_to_string(order))
