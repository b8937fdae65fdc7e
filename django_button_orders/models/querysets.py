"""The states of a row, and the moves between them, in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.db import connections, models, transaction
from django.db.models import Case, F, Q, Value, When

from django_button_orders.models.clock import DatabaseNow, from_now

if TYPE_CHECKING:
    from django_button_orders.models import (
        ButtonOrder,
        Checkpoint,
        PausedAccount,  # noqa: F401 - in a string below
    )


# What is due for longer than this is stuck.
STUCK_SECONDS = 600

# Where a pending row stands. "stuck" are some of those that are "due": for whatever
# reason, nobody has taken them for a while, or who took them has died.
LEASED = Q(lease_expires_at__gt=DatabaseNow())
FREE = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=DatabaseNow())
DUE = FREE & Q(next_attempt_at__lte=DatabaseNow())
STATES = {
    "due": DUE,
    "waiting": FREE & Q(next_attempt_at__gt=DatabaseNow()),
    "in_flight": LEASED,
    "stuck": DUE
    & (
        Q(next_attempt_at__lte=from_now(-STUCK_SECONDS))
        | Q(lease_expires_at__isnull=False)
    ),
}

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


class ButtonOrderQuerySet(models.QuerySet["ButtonOrder"]):
    # States. Adjectives narrow and chain.

    def pending(self) -> ButtonOrderQuerySet:
        return self.filter(status=self.model.Status.PENDING)

    def failed(self) -> ButtonOrderQuerySet:
        return self.filter(status=self.model.Status.FAILED)

    def in_flight(self) -> ButtonOrderQuerySet:
        return self.pending().filter(STATES["in_flight"])

    def unleased(self) -> ButtonOrderQuerySet:
        return self.filter(FREE)

    def due(self) -> ButtonOrderQuerySet:
        return self.pending().filter(STATES["due"])

    def waiting(self) -> ButtonOrderQuerySet:
        return self.pending().filter(STATES["waiting"])

    def stuck(self) -> ButtonOrderQuerySet:
        """Due rows that should have been reported long ago."""
        return self.pending().filter(STATES["stuck"])

    def retryable(self) -> ButtonOrderQuerySet:
        return self.filter(
            status__in=[self.model.Status.FAILED, self.model.Status.DISMISSED]
        )

    def cancellable(self) -> ButtonOrderQuerySet:
        """Rows that nobody asked to cancel yet, and that are not cancelled."""
        return self.filter(cancel_requested_at__isnull=True).exclude(
            status=self.model.Status.CANCELLED
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
            "status": self.model.Status.PENDING,
            "reason": "",
            # What is due already stays where it is, also in its index.
            "next_attempt_at": Case(
                When(
                    status=self.model.Status.PENDING,
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
            status=self.model.Status.PENDING,
            reason="",
            last_error="",
            attempts=0,
            next_attempt_at=DatabaseNow(),
            updated_at=DatabaseNow(),
        )

    def make_due(self) -> int:
        """Let the time of waiting rows come, a batch at a time."""
        free = self
        if connections[self.db].features.has_select_for_update_skip_locked:
            # A shop that holds one of them must not keep us, with the others.
            free = self.select_for_update(skip_locked=True)
        rows, moved = self.model._default_manager.using(self.db), 0
        while True:
            with transaction.atomic(using=self.db):
                pks = list(free.values_list("pk", flat=True)[:MANY])
                moved += rows.filter(pk__in=pks).update(next_attempt_at=DatabaseNow())
            if len(pks) < MANY:
                return moved

    def dismiss(self, note: str = "") -> int:
        """Take failed rows off the list of what needs a person."""
        values: dict[str, Any] = {"last_error": note} if note else {}
        return self.failed().update(
            status=self.model.Status.DISMISSED, updated_at=DatabaseNow(), **values
        )

    def cancel(self) -> int:
        """Ask for cancellation at Button."""
        return self.cancellable().mark_changed(cancel_requested_at=DatabaseNow())

    def claim(self, *, limit: int, lease_seconds: float) -> list[ButtonOrder]:
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
            free = self.due().select_for_update(skip_locked=True)
            pks = free.oldest_and_newest(limit)
            if pks:
                rows.filter(pk__in=pks).update(**lease)
        return pks

    def lease_in_a_race(self, limit: int, lease: dict[str, Any]) -> list[int]:
        """Return keys of which some are leased, unless nothing is due."""
        rows = self.model._default_manager.using(self.db)
        # All look at the same rows, and one of them gets them.
        for _ in range(CLAIM_RACES):
            pks = self.due().oldest_and_newest(limit)
            if not pks or rows.due().filter(pk__in=pks).update(**lease):
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


class PausedAccountQuerySet(models.QuerySet["PausedAccount"]):
    def probeable(self) -> PausedAccountQuerySet:
        return self.filter(probe_at__lte=DatabaseNow())

    def pause(self, account: str, *, seconds: float, error: str) -> None:
        """Stop calls for an account, until one row may probe it."""
        values = {"probe_at": from_now(seconds), "last_error": error}
        if not self.filter(account=account).update(**values):
            self.bulk_create(
                [self.model(account=account, **values)], ignore_conflicts=True
            )

    def probe_now(self, account: str) -> None:
        self.filter(account=account).update(probe_at=DatabaseNow())

    def take_probe(self, account: str, *, seconds: float) -> bool:
        """Return whether the caller is the one who may probe the account now."""
        probe = self.probeable().filter(account=account)
        return probe.update(probe_at=from_now(seconds)) == 1


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def begin(self, name: str) -> Checkpoint:
        """Return a checkpoint at the start, in place of one that there may be."""
        values = {"position": "", "counts": {}, "errors": []}
        moments = {"started_at": DatabaseNow(), "updated_at": DatabaseNow()}
        checkpoint, _ = self.update_or_create(
            name=name, defaults={**values, **moments}, create_defaults=values
        )
        checkpoint.refresh_from_db(using=self.db)
        return checkpoint
