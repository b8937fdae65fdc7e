"""
Write the outcomes of many attempts at once, with one statement for each table.

Only rows that have not changed since they were claimed are written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from django.db import transaction
from django.db.models import Expression

from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.outcome import Outcome
from django_button_orders.models import ButtonOrder
from django_button_orders.models.bulk import FENCE, BulkSQL, Change, bulk_sql_for
from django_button_orders.models.querysets import can_skip_locked


def write_batch(outcomes: list[Outcome], *, using: str) -> list[Outcome]:
    """Write outcomes in one transaction, and return those that were written."""
    write = prepare_batch(outcomes, using=using)
    with transaction.atomic(using=using):
        unchanged = lock_unchanged(outcomes, using=using)
        if len(unchanged) < len(outcomes):
            write = prepare_batch(unchanged, using=using)
        if write():
            return unchanged
        transaction.set_rollback(True, using=using)
    return []


def prepare_batch(outcomes: list[Outcome], *, using: str) -> Callable[[], bool]:
    """
    Return a function that writes outcomes.

    Its SQL is made here, before the rows are locked. It returns False if a row has
    changed since it was claimed.
    """
    sql = bulk_sql_for(using)
    groups: defaultdict[tuple[object, ...], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[statement_of(outcome)].append(outcome)
    updates = [prepare_update(group, sql) for group in groups.values()]
    submissions = [item for outcome in outcomes for item in outcome.submissions]
    insert = sql.prepare_insert(submissions) if submissions else lambda: None

    def write() -> bool:
        if sum(update() for update in updates) != len(outcomes):
            return False
        insert()
        return True

    return write


def statement_of(outcome: Outcome) -> tuple[object, ...]:
    """
    Return what the outcomes have in common that one statement can write.

    They change the same columns, and the same of them by the clock. One of these
    depends on the account: the end of the change window by ``FINALIZATION_DAYS``.
    """
    values = outcome.values.items()
    by_clock = [name for name, value in values if isinstance(value, Expression)]
    days = outcome.attempt.settings.finalization_days
    return (*outcome.values, *by_clock, days if "finalizes_at" in by_clock else None)


def prepare_update(outcomes: list[Outcome], sql: BulkSQL) -> Callable[[], int]:
    """Return a function that updates rows, all of them in the same columns."""
    # Expressions are the database's clock, which is the same for all rows.
    clocks = {
        name: value
        for name, value in outcomes[0].values.items()
        if isinstance(value, Expression)
    }
    changes = [
        Change(
            fence_of(outcome.attempt),
            {name: v for name, v in outcome.values.items() if name not in clocks},
        )
        for outcome in outcomes
    ]
    return sql.prepare_update(changes, clocks)


def fence_of(attempt: Attempt) -> tuple[object, ...]:
    """Return what the database has of a row that is as it was when it was claimed."""
    return tuple(getattr(attempt.row, name) for name in FENCE)


def lock_unchanged(outcomes: list[Outcome], *, using: str) -> list[Outcome]:
    """
    Lock the rows that have not changed since they were claimed. Return their outcomes.

    Rows that are locked are skipped, to avoid a deadlock with the shop. Without SKIP
    LOCKED nothing is locked here and all outcomes are returned; ``write()`` then
    returns False if a row has changed.
    """
    if not can_skip_locked(using):
        return outcomes
    pks = [outcome.attempt.row.pk for outcome in outcomes]
    rows = ButtonOrder.objects.using(using).filter(pk__in=pks).unlocked()
    unchanged = set(rows.values_list(*FENCE))
    return [item for item in outcomes if fence_of(item.attempt) in unchanged]
