"""Rows of orders that are made many at a time, and what became of the orders."""

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
from django_button_orders.models.querysets import ButtonOrderQuerySet

# Reasons that are kept to be shown; all are counted.
KEPT_ERRORS = 10
# Seconds until a batch is tried again, when somebody has locked what it needs.
LOCK_WAITS = (0.1, 1.0, 5.0, 15.0, 60.0)
# Less than PostgreSQL waits before it looks for a deadlock, and ends it at the
# expense of one of both: it must not be the shop.
GIVE_WAY = "SET LOCAL lock_timeout = '500ms'"

# Databases have their limits for one statement.
LARGEST_BATCH = 10_000


@dataclass(kw_only=True)
class Batch:
    """
    Some orders, and the rows that they must have.

    ``rows`` are values of the columns ``names``, of which account and order id
    are the first two, and ``shared`` are what all of them have, as the database
    takes it.
    """

    using: str
    names: Sequence[str]
    shared: Mapping[str, Any] = field(default_factory=dict)
    rows: list[Sequence[Any]] = field(default_factory=list)
    seen: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    lock_waits: Sequence[float] = LOCK_WAITS

    @property
    def order_ids(self) -> set[str]:
        return {row[1] for row in self.rows}

    def refuse(self, error: str) -> None:
        self.counts["invalid"] += 1
        self.errors = kept([*self.errors, error])

    def queryset(self) -> ButtonOrderQuerySet:
        """Return the rows of these orders, new or not."""
        accounts = {row[0] for row in self.rows}
        rows = ButtonOrder.objects.using(self.using)
        return rows.filter(account__in=accounts, order_id__in=self.order_ids)

    def write(self, and_also: Callable[[], object] = lambda: None) -> None:
        """
        Make the rows that are not there, and count them.

        What is done ``and_also`` is in the same transaction, and finds the counts.
        """
        counts = self.counts
        for seconds in (*self.lock_waits, None):
            self.counts = counts.copy()
            try:
                with transaction.atomic(using=self.using):
                    self.count(self.insert())
                    and_also()
                break
            except OperationalError:
                if seconds is None or not may_try_again(self.using):
                    raise
                time.sleep(seconds)
        if settings.DEBUG:
            # Django would keep the texts of thousands of such statements.
            reset_queries()

    def insert(self) -> int:
        if not self.rows:
            return 0
        if connections[self.using].vendor == "postgresql":
            with connections[self.using].cursor() as cursor:
                cursor.execute(GIVE_WAY)
        statements = bulk_sql_for(self.using)
        return statements.add_orders(self.names, self.rows, self.shared)

    def try_out(self) -> None:
        """Count the rows that are not there, and make none."""
        self.count(len({tuple(row[:2]) for row in self.new_rows()}))

    def new_rows(self) -> list[Sequence[Any]]:
        known = set(self.queryset().values_list("account", "order_id"))
        return [row for row in self.rows if tuple(row[:2]) not in known]

    def count(self, created: int) -> None:
        self.counts["created"] += created
        self.counts["already_there"] += len(self.rows) - created


def may_try_again(using: str) -> bool:
    """Return whether the database is there, and nobody else's transaction around."""
    connection = connections[using]
    return not connection.in_atomic_block and bool(connection.is_usable())


def kept(errors: list[str]) -> list[str]:
    return errors[:KEPT_ERRORS]


def as_parameter(name: str, value: Any, *, using: str) -> Any:
    """Return the value of a field as the database takes it."""
    field: Any = ButtonOrder._meta.get_field(name)
    return field.get_db_prep_save(value, connections[using])
