"""The states of a row, and the moves between them, in SQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.conf import settings
from django.db import connections, models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

    from django_button_orders.models import (
        ButtonOrder,
        PausedAccount,  # noqa: F401 - in a string below
    )


class DatabaseNow(Now):
    """
    The database's clock, so that a worker with a wrong one does no harm.

    Django keeps UTC in MySQL, whose CURRENT_TIMESTAMP is in the server's zone.
    """

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> Any:
        if settings.USE_TZ:
            context["template"] = "UTC_TIMESTAMP(6)"
            return self.as_sql(compiler, connection, **context)
        return super().as_mysql(compiler, connection, **context)


def from_now(seconds: float) -> Any:
    """Return an expression for so many seconds from now, by the database."""
    return DatabaseNow() + timedelta(seconds=seconds)


class ButtonOrderQuerySet(models.QuerySet["ButtonOrder"]):
    # States. Adjectives narrow and chain.

    def pending(self) -> ButtonOrderQuerySet:
        return self.filter(status=self.model.Status.PENDING)

    def failed(self) -> ButtonOrderQuerySet:
        return self.filter(status=self.model.Status.FAILED)

    def in_flight(self) -> ButtonOrderQuerySet:
        return self.pending().filter(lease_expires_at__gt=DatabaseNow())

    def unleased(self) -> ButtonOrderQuerySet:
        free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=DatabaseNow())
        return self.filter(free)

    def due(self) -> ButtonOrderQuerySet:
        return self.pending().unleased().filter(next_attempt_at__lte=DatabaseNow())

    def waiting(self) -> ButtonOrderQuerySet:
        return self.pending().unleased().filter(next_attempt_at__gt=DatabaseNow())

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
        """
        Note that Button should know something new.

        Attempts start afresh, except under a lease: its holder may be dead,
        and then its attempt is not accounted for.
        """
        return self.update(
            **{
                "status": self.model.Status.PENDING,
                "reason": "",
                "next_attempt_at": DatabaseNow(),
                "last_error": "",
                **values,
                "revision": F("revision") + 1,
                "attempts": Case(
                    When(lease_token__isnull=True, then=Value(0)),
                    default=F("attempts"),
                    output_field=models.IntegerField(),
                ),
                "updated_at": DatabaseNow(),
            }
        )

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
        Lease up to ``limit`` due rows to the caller, oldest first.

        One conditional UPDATE takes them, so only one worker can have a row.
        It falls due again by itself if that worker dies. The attempt is
        counted here, so a row that kills its worker still comes to an end.
        """
        due = self.due()
        token = uuid4()
        lease = {
            "lease_token": token,
            "lease_expires_at": from_now(lease_seconds),
            "attempts": F("attempts") + 1,
            "unanswered": F("unanswered") + 1,
        }
        rows = self.model._default_manager.using(self.db)
        candidates = due.order_by("next_attempt_at", "pk").values_list("pk", flat=True)
        if connections[self.db].features.has_select_for_update_skip_locked:
            with transaction.atomic(using=self.db):
                locked = candidates.select_for_update(skip_locked=True)
                pks = list(locked[:limit])
                claimed = rows.filter(pk__in=pks).update(**lease) if pks else 0
        else:
            pks = list(candidates[:limit])
            claimed = rows.due().filter(pk__in=pks).update(**lease) if pks else 0
        if not claimed:
            return []
        return list(rows.filter(pk__in=pks, lease_token=token).order_by("pk"))


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

    def take_probe(self, account: str, *, seconds: float) -> bool:
        """Return whether the caller is the one who may probe the account now."""
        probe = self.probeable().filter(account=account)
        return probe.update(probe_at=from_now(seconds)) == 1
