"""
Writing down what came of attempts, fenced by their leases.

Only the holder of the lease writes the row. One that lost it writes its
submissions, and of the row only that a newer state was acknowledged.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.models import Case, F, IntegerField, Q, Value, When

from django_button_orders.client.answers import Answer
from django_button_orders.delivery import batch_record
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.outcome import (
    PAUSE_SECONDS,
    STATUSES,
    acknowledged_values,
    redacted,
    report_values,
    row_values,
    send_signal,
    somebody_listens,
    submissions_of,
    with_delay,
)
from django_button_orders.delivery.verdicts import SUCCESSES, Result, Verdict
from django_button_orders.models import (
    ButtonOrder,
    PausedAccount,
    Submission,
    as_stored,
)
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.report.privacy import describe_for_log

logger = logging.getLogger(__name__)

# Seconds between tries to write something down.
RECORD_WAITS = (0.1, 0.5, 2.0)

Status = ButtonOrder.Status
FIELDS = {field.name: field for field in ButtonOrder._meta.concrete_fields}
# What a change of the order since the claim has set, and keeps.
MOVED = ("status", "reason", "next_attempt_at", "last_error")


def record_all(
    attempts: list[Attempt],
    *,
    waits: bool = True,
) -> Iterator[Attempt]:
    """
    Write attempts down, many at a time, and yield each once it is written.

    They are all of one database. Unless it ``waits``, those whose rows somebody
    else has locked are left out.
    """
    written = write_down(attempts)
    announce_all(attempts, written)
    for attempt in attempts:
        if id(attempt) in written:
            yield attempt
        else:
            if record_surely(attempt, waits=waits):
                yield attempt


def write_down(
    attempts: list[Attempt],
) -> dict[int, list[Submission]]:
    """Write down what can be written together; the rest is for ``record_surely``."""
    if not attempts:
        return {}
    try:
        return batch_record.write_down(attempts, using=alias_of(attempts[0]))
    except (OperationalError, InterfaceError) as exc:
        # Whatever this was: each is tried again by itself, with patience.
        logger.warning("A batch is recorded row by row: %s", describe_for_log(exc))
        return {}
    except (batch_record.MovedError, DatabaseError) as exc:
        if len(attempts) == 1:
            return {}
        # One of them spoils it for the others of its half alone.
        logger.info("A batch is recorded in halves: %s", describe_for_log(exc))
        half = len(attempts) // 2
        first, second = attempts[:half], attempts[half:]
        return write_down(first) | write_down(second)


def alias_of(attempt: Attempt) -> str:
    return attempt.row._state.db or DEFAULT_DB_ALIAS


def record_surely(attempt: Attempt, *, waits: bool = True) -> bool:
    """
    Record an attempt, again if the database does not take it at once.

    What Button has answered is worth some patience: a connection may have been
    cut, or a deadlock resolved at our expense. Returns as ``record`` does.
    """
    recorded: bool = patiently(alias_of(attempt), lambda: record(attempt, waits=waits))
    return recorded


def patiently(alias: str, action: Callable[[], Any]) -> Any:
    for seconds in RECORD_WAITS:
        try:
            return action()
        except (OperationalError, InterfaceError) as exc:
            if connections[alias].in_atomic_block:
                raise
            logger.warning("The record is tried again: %s", describe_for_log(exc))
            connections[alias].close_if_unusable_or_obsolete()
            time.sleep(seconds)
    return action()


def record(
    attempt: Attempt,
    *,
    waits: bool = True,
    rng: Callable[[], float] = random.random,
) -> bool:
    """
    Write an attempt down, and tell the project's receivers.

    Sets the attempt's ``delay``: the seconds until the row is due again, or
    None when it is not. Return whether it is done: unless it ``waits``, a row
    that somebody else has locked is left alone.
    """
    verdict, delay = with_delay(attempt, rng)
    row = attempt.row
    using = row._state.db
    rows = ButtonOrder.objects.using(using).filter(pk=row.pk)
    with transaction.atomic(using=using):
        held = rows.filter(lease_token=row.lease_token)
        if not waits and is_locked(held):
            return False
        is_resumed = note_account(attempt, verdict, using=using)
        is_held = held.update(**changes(attempt, verdict, delay)) == 1
        submissions = [] if is_held else written_before(attempt, using=using)
        is_held = is_held or bool(submissions)
        if not is_held and verdict.result in SUCCESSES:
            record_late_success(rows, attempt, verdict)
        # A row that was deleted meanwhile stays deleted, and so does its history.
        if not submissions and rows.exists():
            submissions = Submission.objects.using(using).bulk_create(
                submissions_of(attempt, verdict)
            )
    if is_resumed:
        waiting = ButtonOrder.objects.using(using).filter(account=row.account)
        waiting.make_unauthorized_due()
    if is_held:
        announce(attempt, verdict, delay, submissions)
    else:
        logger.warning("Order %s: the lease was lost.", row.order_id)
    return True


def is_locked(held: ButtonOrderQuerySet) -> bool:
    """Return whether somebody else has locked a row; if not, lock it."""
    if not connections[held.db].features.has_select_for_update_skip_locked:
        return False
    free = held.select_for_update(skip_locked=True).values_list("pk")
    return not list(free) and held.exists()


def note_account(attempt: Attempt, verdict: Verdict, *, using: str | None) -> bool:
    """
    Pause the account whose key is refused, and resume one that is answered.

    Return whether it was resumed.
    """
    paused = PausedAccount.objects.using(using)
    account = attempt.row.account
    if verdict.result is Result.PAUSE:
        error = redacted(attempt, verdict.error)
        paused.pause(account, seconds=PAUSE_SECONDS, error=error)
        return False
    if attempt.is_probe and not attempt.calls:
        # There was nothing to say to Button. The next row is the probe.
        paused.probe_now(account)
    if not any(isinstance(item.answer, Answer) for item in attempt.calls):
        return False
    return bool(paused.filter(account=account).delete()[0])


def changes(attempt: Attempt, verdict: Verdict, delay: float | None) -> dict[str, Any]:
    """Return the new values of the row, whose order may have changed meanwhile."""
    row = attempt.row
    values = row_values(attempt, verdict, delay)
    for name in MOVED:
        values[name] = unless_moved(row, name, values[name])
    if verdict.result not in (Result.PAUSE, Result.RELEASE):
        # What has changed gets a fresh set of attempts.
        values["attempts"] = Case(
            When(revision=row.revision, then=F("attempts")),
            default=Value(0),
            output_field=IntegerField(),
        )
    return values


def unless_moved(row: ButtonOrder, name: str, value: Any) -> Case:
    """Return a value, or what the order's change since the claim has set."""
    return Case(
        When(revision=row.revision, then=as_expression(value)),
        default=F(name),
        output_field=FIELDS[name],
    )


def as_expression(value: Any) -> Any:
    return value if hasattr(value, "resolve_expression") else Value(value)


def record_late_success(
    rows: ButtonOrderQuerySet, attempt: Attempt, verdict: Verdict
) -> None:
    """Let a success count for its revision, unless a newer one is acknowledged."""
    revision = attempt.row.revision
    older = Q(reported_revision__isnull=True) | Q(reported_revision__lt=revision)
    values = acknowledged_values(attempt)
    if not values or not rows.filter(older).update(**values):
        return
    settled = rows.unleased().filter(
        revision=revision, status__in=[Status.PENDING, Status.FAILED]
    )
    settled.update(
        **report_values(attempt),
        status=STATUSES[verdict.result],
        reason="",
        next_attempt_at=None,
        lease_token=None,
        lease_expires_at=None,
        unanswered=0,
        last_error="",
        updated_at=DatabaseNow(),
    )


def written_before(attempt: Attempt, *, using: str | None) -> list[Submission]:
    """
    Return what an earlier try has written of this attempt.

    Its commit may have succeeded although the connection was cut in it.
    """
    if not attempt.calls:
        return []
    written = Submission.objects.using(using).filter(
        button_order=attempt.row,
        revision=attempt.row.revision,
        started_at__in=[as_stored(item.started_at) for item in attempt.calls],
    )
    return list(written.order_by("pk"))


def announce(
    attempt: Attempt,
    verdict: Verdict,
    delay: float | None,
    submissions: list[Submission],
) -> None:
    """Say what has become of a row, as it is now."""
    rows = ButtonOrder.objects.using(attempt.row._state.db)
    row = rows.filter(pk=attempt.row.pk).first()
    if row is None:
        logger.info("Order %s was deleted meanwhile.", attempt.row.order_id)
        return
    if row.revision != attempt.row.revision:
        logger.info("Order %s has changed meanwhile.", row.order_id)
        attempt.delay = 0.0 if row.status == Status.PENDING else None
        return
    send_signal(row, row.status, verdict.reason, submissions)
    # What was given back would only be given back again: the sweep's turn.
    attempt.delay = None if verdict.result is Result.RELEASE else delay


def announce_all(attempts: list[Attempt], written: dict[int, list[Submission]]) -> None:
    """Say what has become of rows, which are read only if somebody listens."""
    told = [attempt for attempt in attempts if id(attempt) in written]
    rows: dict[int, ButtonOrder] = {}
    if told and somebody_listens():
        alias = alias_of(told[0])
        here = ButtonOrder.objects.using(alias)
        keys = [attempt.row.pk for attempt in told]
        rows = patiently(alias, lambda: here.in_bulk(keys))
    for attempt in told:
        verdict, _ = with_delay(attempt)
        row = rows.get(attempt.row.pk, attempt.row)
        submissions = written[id(attempt)]
        send_signal(row, STATUSES[verdict.result], verdict.reason, submissions)
