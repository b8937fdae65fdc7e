"""Insert the rows of many orders in one transaction, and count what it did."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import OperationalError, connections, reset_queries, transaction

from django_button_orders.models import ButtonOrder
from django_button_orders.models.bulk import bulk_sql_for
from django_button_orders.models.orders import ButtonOrderQuerySet

# Error messages that a run shows; the counts have all errors.
MAX_ERRORS = 10
# Seconds before each new try of a batch whose locks another transaction held.
LOCK_WAITS = (0.1, 1.0, 5.0, 15.0, 60.0)
# PostgreSQL looks for a deadlock after one second, and ends one of the transactions.
# This one must give up earlier, so that PostgreSQL never ends the shop's.
SHORT_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"
# Databases limit the size of a statement.
LARGEST_BATCH = 10_000


@dataclass(kw_only=True)
class Batch:
    """
    The rows that some orders need, and the counts of what became of the orders.

    ``rows`` have the values of ``columns``; the first two columns are the account
    and the order ID. ``shared`` has the columns that are the same in all rows, as
    the database takes them. ``seen`` counts the orders that the batch stands for.
    """

    using: str
    columns: Sequence[str]
    shared: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Sequence[Any]] = field(default_factory=list)
    seen: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    lock_waits: Sequence[float] = LOCK_WAITS

    @property
    def order_ids(self) -> set[str]:
        return {row[1] for row in self.rows}

    def reject(self, error: str) -> None:
        """Count an order for which no row can be added."""
        self.counts["invalid"] += 1
        self.errors = first_errors([*self.errors, error])

    def queryset(self) -> ButtonOrderQuerySet:
        """Return the rows of these orders that the database has, new or old."""
        accounts = {row[0] for row in self.rows}
        rows = ButtonOrder.objects.using(self.using)
        return rows.filter(account__in=accounts, order_id__in=self.order_ids)

    def write(self, then: Callable[[], object] = lambda: None) -> None:
        """
        Add the missing rows, and count them.

        Calls ``then`` in the same transaction, after the rows are counted.
        """
        counts = self.counts
        for seconds in (*self.lock_waits, None):
            self.counts = counts.copy()
            try:
                with transaction.atomic(using=self.using):
                    self.add_counts(self.insert())
                    then()
                break
            except OperationalError:
                if seconds is None or not may_retry(self.using):
                    raise
                time.sleep(seconds)
        if settings.DEBUG:
            # Django would hold thousands of such statements in memory.
            reset_queries()

    def insert(self) -> int:
        if not self.rows:
            return 0
        if connections[self.using].vendor == "postgresql":
            with connections[self.using].cursor() as cursor:
                cursor.execute(SHORT_LOCK_TIMEOUT)
        statements = bulk_sql_for(self.using)
        return statements.insert_orders(self.columns, self.rows, self.shared)

    def dry_run(self) -> None:
        """Count the missing rows, and add none."""
        self.add_counts(len({tuple(row[:2]) for row in self.new_rows()}))

    def new_rows(self) -> list[Sequence[Any]]:
        """Return the rows that the database does not have."""
        known = set(self.queryset().values_list("account", "order_id"))
        return [row for row in self.rows if tuple(row[:2]) not in known]

    def add_counts(self, created: int) -> None:
        self.counts["created"] += created
        self.counts["already_there"] += len(self.rows) - created


def may_retry(using: str) -> bool:
    """Return whether the database answers, outside of any caller's transaction."""
    connection = connections[using]
    return not connection.in_atomic_block and bool(connection.is_usable())


def first_errors(errors: list[str]) -> list[str]:
    return errors[:MAX_ERRORS]


def as_parameter(name: str, value: Any, *, using: str) -> Any:
    """Return the value of a field as the database takes it."""
    field: Any = ButtonOrder._meta.get_field(name)
    return field.get_db_prep_save(value, connections[using])
