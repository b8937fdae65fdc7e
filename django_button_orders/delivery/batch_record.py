"""
Writing down many attempts at once: one statement for each table.

For rows that are as they were when they were claimed, which nearly all are.
What else can have happened to a row is for ``record``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connections, transaction
from django.db.models import Expression

from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.outcome import row_values, submissions_of, with_delay
from django_button_orders.delivery.verdicts import Result
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.bulk import FENCE, Change, bulk_sql_for

# What ends here. What waits has a moment of its own, and pauses concern others.
ENDS = {Result.REPORTED, Result.CANCELLED, Result.FAILED, Result.DISMISSED}


class MovedError(Exception):
    """A row is not as it was when it was claimed: nothing was written."""


def write_down(
    attempts: list[Attempt],
    *,
    using: str,
) -> dict[int, list[Submission]]:
    """
    Write attempts down whose rows are as they were, and return their submissions.

    They are by ``id(attempt)``; the others are left out. Raises
    ``MovedError`` where that is seen too late, which leaves all of them out.
    """
    paused = set(PausedAccount.objects.using(using).values_list("account", flat=True))
    ended = [
        attempt
        for attempt in attempts
        if attempt.verdict is not None
        and attempt.verdict.result in ENDS
        # An answer lifts the pause.
        and attempt.row.account not in paused
    ]
    if not ended:
        return {}
    writing = Writing(ended, using=using)
    with transaction.atomic(using=using):
        fenced = lock(ended, using=using)
        if len(fenced) < len(ended):
            writing = Writing(fenced, using=using)
        writing.run()
    return writing.submissions


def lock(attempts: list[Attempt], *, using: str) -> list[Attempt]:
    """
    Return those whose rows are free to write, and lock them.

    Nobody is waited for: the shop may hold one of the rows, and want another.
    Databases without row locks let in one writer at a time.
    """
    if not connections[using].features.has_select_for_update_skip_locked:
        return attempts
    rows = ButtonOrder.objects.using(using).select_for_update(skip_locked=True)
    keys = [attempt.row.pk for attempt in attempts]
    free = set(rows.filter(pk__in=keys).values_list(*FENCE))
    return [attempt for attempt in attempts if fence_of(attempt) in free]


def fence_of(attempt: Attempt) -> tuple[Any, ...]:
    return tuple(getattr(attempt.row, name) for name in FENCE)


class Writing:
    """The statements that write attempts down, ready to be run."""

    def __init__(self, attempts: list[Attempt], *, using: str) -> None:
        self.statements = bulk_sql_for(using)
        # Not by row: a process that was frozen may have two attempts at one.
        self.submissions = {
            id(attempt): submissions_of(attempt, with_delay(attempt)[0])
            for attempt in attempts
        }
        made = [call for calls in self.submissions.values() for call in calls]
        self.insert = self.statements.prepare_insert(made) if made else None
        self.updates = list(self.prepare_updates(attempts))

    def prepare_updates(
        self, attempts: list[Attempt]
    ) -> Iterator[tuple[Callable[[], int], int]]:
        """Yield a statement for those that get the same columns, and their number."""
        groups: defaultdict[tuple[str, ...], list[Change]] = defaultdict(list)
        shared: dict[tuple[str, ...], dict[str, Expression]] = {}
        for attempt in attempts:
            values = row_values(attempt, *with_delay(attempt))
            expressions = {
                name: values.pop(name)
                for name in list(values)
                if isinstance(values[name], Expression)
            }
            names = (*values, *expressions)
            groups[names].append(Change(fence_of(attempt), values))
            shared[names] = expressions
        for names, changes in groups.items():
            yield self.statements.prepare_update(changes, shared[names]), len(changes)

    def run(self) -> None:
        """Write rows and submissions. Raises ``MovedError``."""
        for update, count in self.updates:
            if update() != count:
                raise MovedError
        if self.insert is not None:
            self.insert()
