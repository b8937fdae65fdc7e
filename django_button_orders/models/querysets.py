"""The selections of rows by state, and the moves between states, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from django.db import connections, models, transaction
from django.db.models import Case, F, Value, When

from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.states import FREE, STATES, Reason, Status

if TYPE_CHECKING:
    from typing_extensions import Self

# The model, which imports this module.
Row = TypeVar("Row", bound=models.Model)

# Lost races for due rows, until they are left to the winners.
CLAIM_RACES = 20
# Rows that are written in one transaction.
MANY = 500
# Columns that no attempt looks at.
DATES = (
    "next_attempt_at",
    "lease_expires_at",
    "reported_at",
    "created_at",
    "updated_at",
)


class LockableQuerySet(models.QuerySet[Row]):
    def unlocked(self) -> Self:
        """
        Return the rows that no other transaction has locked, and lock them.

        Evaluate it in the transaction that writes them::

            with transaction.atomic(using=using):
                pks = list(rows.unlocked().values_list("pk", flat=True))
                rows.filter(pk__in=pks).update(...)

        Databases that cannot skip locked rows return all rows, and lock none: in
        SQLite there is one writer at a time, and elsewhere the UPDATE waits.
        """
        if not connections[self.db].features.has_select_for_update_skip_locked:
            return self
        return self.select_for_update(skip_locked=True)

    def unlocked_keys(self, pks: Sequence[Any]) -> Sequence[Any]:
        """
        Lock those of some rows that no other transaction has locked.

        Return their keys. Databases that cannot skip locked rows return all keys,
        without a query: a SQLite transaction that begins with one may fail to write.
        """
        if not connections[self.db].features.has_select_for_update_skip_locked:
            return pks
        return list(self.filter(pk__in=pks).unlocked().values_list("pk", flat=True))


class StateQuerySet(LockableQuerySet[Row]):
    # States. Adjectives narrow and chain.

    def pending(self) -> Self:
        return self.filter(status=Status.PENDING)

    def failed(self) -> Self:
        return self.filter(status=Status.FAILED)

    def in_flight(self) -> Self:
        return self.pending().filter(STATES["in_flight"])

    def unleased(self) -> Self:
        return self.filter(FREE)

    def due(self) -> Self:
        return self.pending().filter(STATES["due"])

    def waiting(self) -> Self:
        return self.pending().filter(STATES["waiting"])

    def stuck(self) -> Self:
        """Due rows that should have been reported long ago."""
        return self.pending().filter(STATES["stuck"])

    def retryable(self) -> Self:
        return self.filter(status__in=[Status.FAILED, Status.DISMISSED])

    def cancellable(self) -> Self:
        """Rows that nobody asked to cancel yet, and that are not cancelled."""
        return self.filter(cancel_requested_at__isnull=True).exclude(
            status=Status.CANCELLED
        )

    # Moves. Verbs are one conditional UPDATE and return how many rows moved.

    def mark_changed(self, **values: Any) -> int:
        """Note that Button should know something new."""
        return self.update(**{**self.changed_values(), **values})

    def changed_values(self) -> dict[str, Any]:
        """
        Return what a row is set to when Button should know something new.

        Attempts start afresh, except under a lease: its holder may be dead,
        and then its attempt is not accounted for.
        """
        return {
            "status": Status.PENDING,
            "reason": "",
            # What is due already stays where it is, also in its index.
            "next_attempt_at": Case(
                When(
                    status=Status.PENDING,
                    next_attempt_at__lte=DatabaseNow(),
                    then=F("next_attempt_at"),
                ),
                default=DatabaseNow(),
            ),
            "last_error": "",
            "revision": F("revision") + 1,
            "attempts": Case(
                When(lease_token__isnull=True, then=Value(0)),
                default=F("attempts"),
                output_field=models.IntegerField(),
            ),
            "updated_at": DatabaseNow(),
        }

    def retry(self) -> int:
        """Make failed and dismissed rows due, with a fresh set of attempts."""
        return self.retryable().update(
            status=Status.PENDING,
            reason="",
            last_error="",
            attempts=0,
            next_attempt_at=DatabaseNow(),
            updated_at=DatabaseNow(),
        )

    def make_due(self) -> int:
        """Make waiting rows due now, in batches. Skip rows that others have locked."""
        waiting, moved = self.waiting(), 0
        for pks in Keyset(waiting, ("next_attempt_at", "pk")).key_pages(MANY):
            with transaction.atomic(using=self.db):
                free = waiting.filter(pk__in=waiting.unlocked_keys(pks))
                moved += free.update(next_attempt_at=DatabaseNow())
        return moved

    def make_unauthorized_due(self) -> int:
        """Make due now what waits because Button refused the key of an account."""
        unauthorized = self.filter(reason=Reason.UNAUTHORIZED)
        # Button answers 403 about one order, and a new key does not change that.
        return unauthorized.exclude(last_status_code=403).make_due()

    def dismiss(self, note: str = "") -> int:
        """Take failed rows off the list of what needs a person."""
        values: dict[str, Any] = {"last_error": note} if note else {}
        return self.failed().update(
            status=Status.DISMISSED, updated_at=DatabaseNow(), **values
        )

    def cancel(self) -> int:
        """Ask for cancellation at Button."""
        return self.cancellable().mark_changed(cancel_requested_at=DatabaseNow())

    def claim(self, *, limit: int, lease_seconds: float) -> list[Row]:
        """
        Lease up to ``limit`` due rows to the caller.

        They are the oldest ones, and, where there are more, the newest ones for
        a quarter: a backlog must not keep fresh orders waiting.

        One conditional UPDATE takes them, so only one worker can have a row.
        It falls due again by itself if that worker dies. The attempt is
        counted here, so a row that kills its worker still comes to an end.
        """
        token = uuid4()
        lease = {
            "lease_token": token,
            "lease_expires_at": from_now(lease_seconds),
            "attempts": F("attempts") + 1,
            "unanswered": F("unanswered") + 1,
        }
        if connections[self.db].features.has_select_for_update_skip_locked:
            pks = self.lease_what_is_free(limit, lease)
        else:
            pks = self.lease_in_a_race(limit, lease)
        if not pks:
            return []
        rows = self.model._default_manager.using(self.db)
        held = rows.filter(pk__in=pks, lease_token=token).order_by("pk")
        # Drivers take their time over dates.
        return list(held.defer(*DATES))

    def lease_what_is_free(self, limit: int, lease: dict[str, Any]) -> list[int]:
        rows = self.model._default_manager.using(self.db)
        with transaction.atomic(using=self.db):
            pks = self.due().unlocked().oldest_and_newest(limit)
            if pks:
                rows.filter(pk__in=pks).update(**lease)
        return pks

    def lease_in_a_race(self, limit: int, lease: dict[str, Any]) -> list[int]:
        """Return keys of which some are leased, unless nothing is due."""
        # All look at the same rows, and one of them gets them.
        for _ in range(CLAIM_RACES):
            pks = self.due().oldest_and_newest(limit)
            if not pks or self.due().filter(pk__in=pks).update(**lease):
                return pks
        return []

    def oldest_and_newest(self, limit: int) -> list[int]:
        keys = self.values_list("pk", flat=True)
        newest = limit // 4
        oldest = list(keys.order_by("next_attempt_at", "pk")[: limit - newest])
        if not newest or len(oldest) < limit - newest:
            return oldest
        others = keys.exclude(pk__in=oldest)
        return oldest + list(others.order_by("-next_attempt_at", "-pk")[:newest])

    def accounts(self) -> list[str]:
        """Return the accounts of these rows, with one step in the index for each."""
        # In the order of the index of due rows.
        return self.values_in("account", "next_attempt_at", "pk")

    def values_in(self, field: str, *others: str) -> list[Any]:
        """
        Return the values of a field, with one step in an index for each.

        The index begins with the field and goes on with the others.
        """
        found: list[Any] = []
        values = self.order_by(field, *others).values_list(field, flat=True)
        value = values.filter(**{f"{field}__isnull": False}).first()
        while value is not None:
            found.append(value)
            value = values.filter(**{f"{field}__gt": value}).first()
        return found
