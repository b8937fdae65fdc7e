"""
Forgetting: what was sent and answered first, that it was later.

What a pending row needs is kept: all of its submissions. A person who looks at
why it waits sees what Button was told and what it said, however long ago.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connections, transaction
from django.db.models import Q, QuerySet

from django_button_orders.conf import DEFAULT_ACCOUNT, account_names, get_settings
from django_button_orders.models import ButtonOrder, Difference, Submission
from django_button_orders.models.clock import DatabaseNow

CHUNK = 1000

Submissions = QuerySet[Submission]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """For how many days what was sent for some accounts is kept."""

    bodies_days: int
    submissions_days: int
    accounts: Q

    def deletable(self, using: str) -> Submissions:
        return self.settled(using).filter(started_at__lt=ago(self.submissions_days))

    def emptiable(self, using: str) -> Submissions:
        """Return those that have bodies to lose, and are not deletable."""
        return self.settled(using).filter(
            # In SQLite, the index is not used for the test of a bare boolean.
            has_bodies__in=[True],
            started_at__lt=ago(self.bodies_days),
            started_at__gte=ago(self.submissions_days),
        )

    def settled(self, using: str) -> Submissions:
        submissions = Submission.objects.using(using).filter(self.accounts)
        return submissions.exclude(button_order__status=ButtonOrder.Status.PENDING)


def ago(days: int) -> Any:
    return DatabaseNow() - timedelta(days=days)


def find_retentions(
    *, bodies_days: int | None = None, submissions_days: int | None = None
) -> list[Retention]:
    """
    Return what the settings say, or these days for all accounts.

    Rows of accounts that are gone from the settings go with the default one.
    """
    groups: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for name in account_names():
        settings = get_settings(name)
        days = (
            bodies_days or settings.keep_bodies_days,
            submissions_days or settings.keep_submissions_days,
        )
        groups[days].append(name)
    return [
        Retention(
            bodies_days=days[0],
            submissions_days=days[1],
            accounts=rows_of(names, others=set(account_names()) - set(names)),
        )
        for days, names in groups.items()
    ]


def rows_of(names: list[str], *, others: set[str]) -> Q:
    if DEFAULT_ACCOUNT not in names:
        return Q(button_order__account__in=names)
    return ~Q(button_order__account__in=sorted(others)) if others else Q()


@dataclass(kw_only=True)
class PruneResult:
    """What was pruned, and whether nothing is left."""

    bodies_emptied: int = 0
    submissions_deleted: int = 0
    is_complete: bool = True

    def __iadd__(self, other: PruneResult) -> PruneResult:
        self.bodies_emptied += other.bodies_emptied
        self.submissions_deleted += other.submissions_deleted
        self.is_complete &= other.is_complete
        return self


def prune_submissions(
    *,
    using: str,
    retentions: list[Retention] | None = None,
    batch_size: int = CHUNK,
    is_stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], object] = lambda done: None,
) -> PruneResult:
    """
    Delete the oldest submissions, and empty the bodies of old ones.

    In short transactions, until there is nothing left or ``is_stopped()``; what
    is done until then stays done. ``progress`` is called with how many were
    pruned just now.
    """
    pruning = Pruner(
        using=using, batch_size=batch_size, is_stopped=is_stopped, progress=progress
    )
    return pruning.run(find_retentions() if retentions is None else retentions)


def count_prunable(*, using: str, retentions: list[Retention]) -> PruneResult:
    """Return what ``prune_submissions`` would do."""
    return PruneResult(
        bodies_emptied=sum(item.emptiable(using).count() for item in retentions),
        submissions_deleted=sum(item.deletable(using).count() for item in retentions),
    )


def delete_rows(submissions: Submissions) -> int:
    return submissions.delete()[0]


def empty_bodies(submissions: Submissions) -> int:
    return submissions.update(request_body="", response_body="", has_bodies=False)


@dataclass(kw_only=True)
class Pruner:
    """Prunes in one database, chunk by chunk."""

    using: str
    batch_size: int
    is_stopped: Callable[[], bool]
    progress: Callable[[int], object]
    pruned: PruneResult = field(default_factory=PruneResult)

    def run(self, retentions: list[Retention]) -> PruneResult:
        for retention in retentions:
            self.pruned.submissions_deleted += self.act_on(
                retention.deletable(self.using), delete_rows
            )
            self.pruned.bodies_emptied += self.act_on(
                retention.emptiable(self.using), empty_bodies
            )
        return self.pruned

    def act_on(
        self, submissions: Submissions, act: Callable[[Submissions], int]
    ) -> int:
        done = 0
        for pks in self.pages(submissions) if self.pruned.is_complete else ():
            began = time.monotonic()
            changed = self.change(submissions, pks, act)
            done += changed
            self.progress(changed)
            # Not before: whoever has little time would never get anywhere.
            if self.is_stopped():
                self.pruned.is_complete = False
                break
            # The shop waits for the same disk, and in SQLite for the same lock:
            # it gets as much of their time.
            time.sleep(time.monotonic() - began)
        return done

    def pages(self, submissions: Submissions) -> Iterator[list[int]]:
        """
        Yield keys in the order of the index, each page from where the last ended.

        A page that began at the start again would have to pass by all that was
        pruned just now.
        """
        ordered = submissions.order_by("started_at", "pk")
        keys = ordered.values_list("started_at", "pk")
        page = list(keys[: self.batch_size])
        while page:
            yield [pk for _, pk in page]
            started_at, pk = page[-1]
            later = Q(started_at__gt=started_at) | Q(pk__gt=pk)
            page = list(
                keys.filter(later, started_at__gte=started_at)[: self.batch_size]
            )

    def change(
        self,
        submissions: Submissions,
        pks: list[int],
        act: Callable[[Submissions], int],
    ) -> int:
        with transaction.atomic(using=self.using):
            if connections[self.using].features.has_select_for_update_skip_locked:
                # A shop that deletes one of the orders must not keep us, nor we
                # it. The next run finds what is left.
                rows = Submission.objects.using(self.using).filter(pk__in=pks)
                free = rows.select_for_update(skip_locked=True)
                pks = list(free.values_list("pk", flat=True))
            # An order may have become pending since they were looked up.
            return act(submissions.filter(pk__in=pks))


def prune_differences(*, using: str) -> None:
    """Forget what was found as long ago as the oldest submissions were made."""
    differences = Difference.objects.using(using)
    days = timedelta(days=get_settings().keep_submissions_days)
    old = differences.filter(found_at__lt=DatabaseNow() - days)
    while pks := list(old.values_list("pk", flat=True)[:CHUNK]):
        differences.filter(pk__in=pks).delete()
