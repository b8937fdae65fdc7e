"""
Prune what is old: empty bodies of submissions, later delete them, erase customers.

A pending order keeps all of its submissions, however old: an operator who looks at why
it waits needs to see what was sent and what Button answered.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from django_button_orders.clock import monotonic
from django_button_orders.conf import DEFAULT_ACCOUNT, account_names, get_settings
from django_button_orders.models import ButtonOrder, Difference, Submission
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.keyset import Keyset
from django_button_orders.operations.expiry import count_expired, erase_expired

CHUNK = 1000

Submissions = QuerySet[Submission]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The number of days for which some accounts keep bodies and submissions."""

    bodies_days: int
    submissions_days: int
    accounts: Q

    def deletable(self, using: str) -> Submissions:
        return self.prunable(using).filter(started_at__lt=ago(self.submissions_days))

    def emptiable(self, using: str) -> Submissions:
        """Return submissions that have old bodies, but are too young to delete."""
        return self.prunable(using).filter(
            # SQLite uses the index for this test, but not for a bare boolean.
            has_bodies__in=[True],
            started_at__lt=ago(self.bodies_days),
            started_at__gte=ago(self.submissions_days),
        )

    def prunable(self, using: str) -> Submissions:
        submissions = Submission.objects.using(using).filter(self.accounts)
        return submissions.exclude(button_order__status=ButtonOrder.Status.PENDING)


def ago(days: int) -> Any:
    return DatabaseNow() - timedelta(days=days)


def find_retentions(
    *, bodies_days: int | None = None, submissions_days: int | None = None
) -> list[Retention]:
    """
    Return the retentions of the settings. Arguments override them for all accounts.

    Accounts that are no longer in the settings have the default account's retention.
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
            accounts=accounts_in(names, others=set(account_names()) - set(names)),
        )
        for days, names in groups.items()
    ]


def accounts_in(names: list[str], *, others: set[str]) -> Q:
    if DEFAULT_ACCOUNT not in names:
        return Q(button_order__account__in=names)
    return ~Q(button_order__account__in=sorted(others)) if others else Q()


@dataclass(kw_only=True)
class PruneResult:
    """The counts of emptied bodies, deleted submissions and erased orders."""

    bodies_emptied: int = 0
    submissions_deleted: int = 0
    orders_erased: int = 0
    is_complete: bool = True

    def __iadd__(self, other: PruneResult) -> PruneResult:
        self.bodies_emptied += other.bodies_emptied
        self.submissions_deleted += other.submissions_deleted
        self.orders_erased += other.orders_erased
        self.is_complete &= other.is_complete
        return self


def prune(
    *,
    using: str,
    retentions: list[Retention] | None = None,
    batch_size: int = CHUNK,
    is_stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], object] = lambda count: None,
) -> PruneResult:
    """
    Prune the submissions and differences of one database, and erase expired orders.

    Works in short transactions, each of which stays when ``is_stopped()`` ends the
    work between two of them. Calls ``progress`` with the number of each chunk.
    """
    pruner = Pruner(
        using=using, batch_size=batch_size, is_stopped=is_stopped, progress=progress
    )
    result = pruner.run(find_retentions() if retentions is None else retentions)
    if result.is_complete:
        prune_differences(using=using)
        result.orders_erased, result.is_complete = erase_expired(
            using, is_stopped=is_stopped
        )
    return result


def count_prunable(*, using: str, retentions: list[Retention]) -> PruneResult:
    """Count what ``prune`` would empty, delete and erase."""
    return PruneResult(
        bodies_emptied=sum(item.emptiable(using).count() for item in retentions),
        submissions_deleted=sum(item.deletable(using).count() for item in retentions),
        orders_erased=count_expired(using),
    )


def delete_rows(submissions: Submissions) -> int:
    return submissions.delete()[0]


def empty_bodies(submissions: Submissions) -> int:
    return submissions.update(request_body="", response_body="", has_bodies=False)


@dataclass(kw_only=True)
class Pruner:
    """Deletes and empties the old submissions of one database, chunk by chunk."""

    using: str
    batch_size: int
    is_stopped: Callable[[], bool]
    progress: Callable[[int], object]
    result: PruneResult = field(default_factory=PruneResult)

    def run(self, retentions: list[Retention]) -> PruneResult:
        for retention in retentions:
            self.result.submissions_deleted += self.prune(
                retention.deletable(self.using), delete_rows
            )
            self.result.bodies_emptied += self.prune(
                retention.emptiable(self.using), empty_bodies
            )
        return self.result

    def prune(
        self, submissions: Submissions, action: Callable[[Submissions], int]
    ) -> int:
        count = 0
        # In the order of the index by which the submissions are found.
        keyset = Keyset(submissions, ("started_at", "pk"))
        pages = keyset.key_pages(self.batch_size)
        for pks in pages if self.result.is_complete else ():
            began = monotonic()
            pruned = self.prune_chunk(submissions, pks, action)
            count += pruned
            self.progress(pruned)
            # Asked after a chunk, so that even a run without time prunes something.
            if self.is_stopped():
                self.result.is_complete = False
                break
            # The shop needs the same disk, and in SQLite the same lock, so it gets
            # as much time as the chunk took.
            time.sleep(monotonic() - began)
        return count

    def prune_chunk(
        self,
        submissions: Submissions,
        pks: Sequence[int],
        action: Callable[[Submissions], int],
    ) -> int:
        with transaction.atomic(using=self.using):
            # A shop that deletes one of the orders must not wait for this, nor this for
            # the shop. The next run finds the skipped submissions.
            free = Submission.objects.using(self.using).unlocked_keys(pks)
            # The filters apply again: an order may have become pending meanwhile.
            return action(submissions.filter(pk__in=free))


def prune_differences(*, using: str) -> None:
    """Delete the differences that are older than any submission may be."""
    differences = Difference.objects.using(using)
    old = differences.filter(found_at__lt=ago(get_settings().keep_submissions_days))
    for pks in Keyset(old, ("found_at", "pk")).key_pages(CHUNK):
        differences.filter(pk__in=pks).delete()
