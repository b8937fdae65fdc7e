"""Select rows by their state, move them between states, and claim due rows, in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from django.db import connections, models, transaction
from django.db.models import Case, F, Q, Value, When

from django_button_orders.conf import first_report_delay
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.states import (
    FREE,
    NEW,
    STATES,
    Reason,
    Status,
    of_this_site,
)

if TYPE_CHECKING:
    from typing_extensions import Self

# Stands for the model, which imports this module.
Row = TypeVar("Row", bound=models.Model)

# The number of races for due rows that a claim may lose before it gives up.
CLAIM_RACES = 20
# The number of rows that one transaction writes.
MANY = 500
DAY_SECONDS = 24 * 60 * 60
# Columns that no attempt reads.
DATES = (
    "next_attempt_at",
    "lease_expires_at",
    "reported_at",
    "created_at",
    "updated_at",
)


def can_skip_locked(using: str) -> bool:
    """Return whether a database can skip the rows that another transaction locks."""
    return connections[using].features.has_select_for_update_skip_locked


class LockableQuerySet(models.QuerySet[Row]):
    """A queryset that can lock its rows."""

    def unlocked(self) -> Self:
        """
        Return the rows that no other transaction has locked, and lock them.

        Evaluate it in the transaction that writes them. If the database cannot skip
        locked rows, it returns all rows and locks none: SQLite has only one writer at a
        time, and in other databases the UPDATE waits.
        """
        if not can_skip_locked(self.db):
            return self
        return self.select_for_update(skip_locked=True)

    def unlocked_keys(self, pks: Sequence[Any]) -> Sequence[Any]:
        """
        Lock the rows with these keys, and return the keys of the locked rows.

        Rows that another transaction has locked are skipped::

            with transaction.atomic(using=using):
                rows.filter(pk__in=rows.unlocked_keys(pks)).update(...)

        If the database cannot skip locked rows, all keys are returned without a query,
        because a SQLite transaction that begins with a SELECT may fail to write later.
        """
        if not can_skip_locked(self.db):
            return pks
        return list(self.filter(pk__in=pks).unlocked().values_list("pk", flat=True))


class StateQuerySet(LockableQuerySet[Row]):
    """Selections by state, and moves between states. A move returns a row count."""

    # Selections: adjectives.

    def pending(self) -> Self:
        """Return the pending Button orders."""
        return self.filter(status=Status.PENDING)

    def failed(self) -> Self:
        """Return the failed Button orders."""
        return self.filter(status=Status.FAILED)

    def closed(self) -> Self:
        """Return the Button orders whose last change came too late for Button."""
        return self.filter(status=Status.CLOSED)

    def in_flight(self) -> Self:
        """Return the pending Button orders that a worker holds."""
        return self.pending().filter(STATES["in_flight"])

    def unleased(self) -> Self:
        """Return the rows that no worker holds a lease on."""
        return self.filter(FREE)

    def of_this_site(self) -> Self:
        """Return the pending Button orders that this site may report."""
        return self.pending().filter(of_this_site())

    def of_other_sites(self) -> Self:
        """Return the pending Button orders that another site reports."""
        return self.pending().exclude(of_this_site())

    def due(self) -> Self:
        """Return the pending Button orders that can be claimed now."""
        return self.of_this_site().filter(STATES["due"])

    def waiting(self) -> Self:
        """Return the pending Button orders whose next attempt is later."""
        return self.of_this_site().filter(STATES["waiting"])

    def stuck(self) -> Self:
        """Return those due for more than ten minutes, and those whose worker died."""
        return self.of_this_site().filter(STATES["stuck"])

    def taken(self) -> Self:
        """Return the failed Button orders whose ID another order has at Button."""
        return self.failed().filter(reason=Reason.TAKEN)

    def retryable(self) -> Self:
        """Return the failed, dismissed and closed Button orders."""
        return self.filter(status__in=[Status.FAILED, Status.DISMISSED, Status.CLOSED])

    def closing_unsent(self, seconds: float = DAY_SECONDS) -> Self:
        """
        Return the orders whose change window closes before their change is sent.

        They are pending or failed, and Button accepts changes for at most ``seconds``
        more. If that time has passed, a pending order counts until it is closed.
        """
        # An order that is cancelled at Button cannot change, whatever its window is.
        is_open = Q(finalizes_at__gt=DatabaseNow()) & ~Q(reason=Reason.FINALIZED)
        unsent = Q(status=Status.PENDING) | Q(status=Status.FAILED) & is_open
        closing = Q(finalizes_at__lte=from_now(seconds))
        return self.filter(unsent, closing, of_this_site())

    def cancellable(self) -> Self:
        """Return those neither cancelled nor requested to be cancelled."""
        return self.filter(cancel_requested_at__isnull=True).exclude(
            status=Status.CANCELLED
        )

    def not_erased(self) -> Self:
        """Return those whose personal data was not erased."""
        return self.filter(erased_at__isnull=True)

    # Moves: verbs. Each is a conditional UPDATE.

    def mark_changed(self, **values: Any) -> int:
        """Mark them as changed, so that a worker reports them. Also set ``values``."""
        changed = self.changed_values(holds=first_report_delay() > 0)
        return self.update(**{**changed, **values})

    def changed_values(self, *, holds: bool) -> dict[str, Any]:
        """
        Return the new values of a row that is marked changed.

        The attempts start at zero again, unless a worker holds a lease. That worker may
        have been killed by this row, so its attempt must count. If it ``holds`` first
        reports, a new row keeps its time, even if that has not come.
        """
        is_due = Q(status=Status.PENDING, next_attempt_at__lte=DatabaseNow())
        return {
            # A row that is due keeps its time, and so its place in the index. This is
            # the first column, because MySQL sees the new values of earlier columns.
            "next_attempt_at": Case(
                When(is_due | NEW if holds else is_due, then=F("next_attempt_at")),
                default=DatabaseNow(),
            ),
            "status": Status.PENDING,
            "reason": "",
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
        """
        Make failed, dismissed and closed orders due, with all attempts again.

        The next attempt at a closed order makes its call, even after the known end of
        the change window.
        """
        # MySQL sees the new status if this column comes after it.
        end = Case(When(status=Status.CLOSED, then=None), default=F("finalizes_at"))
        return self.retryable().make_pending(finalizes_at=end)

    def overwrite(self) -> int:
        """
        Make the failed Button orders due whose ID another order has at Button.

        They count as acknowledged, so the next attempt sends an update, not a create.
        """
        return self.taken().make_pending(reported_revision=0)

    def make_pending(self, **values: Any) -> int:
        """Make settled rows due, with all attempts again. Also set ``values``."""
        return self.update(
            **values,
            status=Status.PENDING,
            reason="",
            last_error="",
            attempts=0,
            next_attempt_at=DatabaseNow(),
            updated_at=DatabaseNow(),
        )

    def make_due(self) -> int:
        """Make waiting Button orders due now, in batches. Skip locked ones."""
        waiting, moved = self.waiting(), 0
        for pks in Keyset(waiting, ("next_attempt_at", "pk")).key_pages(MANY):
            with transaction.atomic(using=self.db):
                free = waiting.filter(pk__in=waiting.unlocked_keys(pks))
                moved += free.update(next_attempt_at=DatabaseNow())
        return moved

    def make_unauthorized_due(self) -> int:
        """Make due the rows that wait because Button has refused an account's key."""
        unauthorized = self.filter(reason=Reason.UNAUTHORIZED)
        # Button answers 403 about one order, and a new key does not change that.
        return unauthorized.exclude(last_status_code=403).make_due()

    def dismiss(self, note: str = "") -> int:
        """Dismiss failed Button orders. A ``note`` replaces their last error."""
        values: dict[str, Any] = {"last_error": note} if note else {}
        return self.failed().update(
            status=Status.DISMISSED, updated_at=DatabaseNow(), **values
        )

    def cancel(self) -> int:
        """Request the cancellation of these orders at Button."""
        return self.cancellable().mark_changed(cancel_requested_at=DatabaseNow())

    def claim(self, *, limit: int, lease_seconds: float) -> list[Row]:
        """
        Claim up to ``limit`` due rows for ``lease_seconds``, and return them.

        Three quarters are the oldest rows, and one quarter the newest, so that fresh
        orders do not wait for a backlog.

        One conditional UPDATE writes the lease, so only one worker gets a row. If that
        worker dies, the row is due again when the lease expires. The attempt is counted
        here, so that a row which kills its workers fails in the end.
        """
        token = uuid4()
        lease = {
            "lease_token": token,
            "lease_expires_at": from_now(lease_seconds),
            "attempts": F("attempts") + 1,
            "unanswered": F("unanswered") + 1,
        }
        if can_skip_locked(self.db):
            pks = self.lease_unlocked(limit, lease)
        else:
            pks = self.lease_in_a_race(limit, lease)
        if not pks:
            return []
        rows = self.model._default_manager.using(self.db)
        held = rows.filter(pk__in=pks, lease_token=token).order_by("pk")
        # Parsing dates is slow, and no attempt reads these.
        return list(held.defer(*DATES))

    def lease_unlocked(self, limit: int, lease: dict[str, Any]) -> list[int]:
        """Write a lease on due rows that nobody has locked. Return their keys."""
        rows = self.model._default_manager.using(self.db)
        with transaction.atomic(using=self.db):
            pks = self.due().unlocked().oldest_and_newest(limit)
            if pks:
                rows.filter(pk__in=pks).update(**lease)
        return pks

    def lease_in_a_race(self, limit: int, lease: dict[str, Any]) -> list[int]:
        """
        Write a lease on due rows that other workers may be claiming, too.

        Return keys, at least one of which got the lease, or none if nothing is due.
        """
        for _ in range(CLAIM_RACES):
            pks = self.due().oldest_and_newest(limit)
            if not pks or self.due().filter(pk__in=pks).update(**lease):
                return pks
        return []

    def oldest_and_newest(self, limit: int) -> list[int]:
        """Return the keys of ``limit`` rows, a quarter of which are the newest."""
        keys = self.values_list("pk", flat=True)
        newest = limit // 4
        oldest = list(keys.order_by("next_attempt_at", "pk")[: limit - newest])
        if not newest or len(oldest) < limit - newest:
            return oldest
        others = keys.exclude(pk__in=oldest)
        return oldest + list(others.order_by("-next_attempt_at", "-pk")[:newest])

    def accounts(self) -> list[str]:
        """Return the accounts of these rows. It reads one row for each account."""
        # The index of due rows has these columns in this order.
        return self.values_in("account", "next_attempt_at", "pk")

    def values_in(self, field: str, *others: str) -> list[Any]:
        """
        Return the distinct values of a field. It reads one row for each value.

        There must be an index that begins with the field and the ``others``.
        """
        found: list[Any] = []
        values = self.order_by(field, *others).values_list(field, flat=True)
        value = values.filter(**{f"{field}__isnull": False}).first()
        while value is not None:
            found.append(value)
            value = values.filter(**{f"{field}__gt": value}).first()
        return found
