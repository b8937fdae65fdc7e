"""
Record the outcomes of attempts in the database.

Only the holder of a row's lease writes the row. An attempt that lost its lease
adds its submissions, and its success still counts for the revision it reported.
``record_all`` writes what it can with ``record_batch``, many rows at once, and the
rest with ``record_one``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)
from django.db.models import Q
from django.dispatch import Signal

from django_button_orders.client import Answer
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.batch import write_batch
from django_button_orders.delivery.outcome import (
    STATUSES,
    Outcome,
    acknowledged_values,
    changed_row_values,
    find_outcome,
    with_update_to_come,
)
from django_button_orders.delivery.verdicts import SUCCESSES, Result
from django_button_orders.models import (
    PAYLOAD_FIELDS,
    ButtonOrder,
    PausedAccount,
    Submission,
)
from django_button_orders.models.accounts import PAUSE_SECONDS
from django_button_orders.models.bulk import FIELDS, fit
from django_button_orders.models.encoding import escape_all, is_refusal
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.models.querysets import can_skip_locked
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_for_log
from django_button_orders.signals import order_cancelled, order_failed, order_reported

logger = get_logger(__name__)

Status = ButtonOrder.Status
T = TypeVar("T")

# Seconds to wait before each new try to record an outcome.
RECORD_WAITS = (0.1, 0.5, 2.0)
# What is recorded of texts that the database refuses even with escapes.
UNSTORABLE = "The database refuses the words of the error."
SIGNALS: dict[str, Signal] = {
    Status.REPORTED: order_reported,
    Status.CANCELLED: order_cancelled,
    Status.FAILED: order_failed,
}


def record_all(attempts: list[Attempt], *, waits: bool = True) -> Iterator[Attempt]:
    """
    Record attempts at rows of one database, and yield each when it is recorded.

    Unless it ``waits`` for locks, attempts whose rows another transaction has locked
    are left out. Raises ``DatabaseError`` if the database does not answer.
    """
    # record_one() writes a single row, rows that stay pending, because each is due at
    # another time, and the rows that record_batch() leaves out.
    ended = [attempt for attempt in attempts if has_ended(attempt)]
    recorded = record_batch(ended) if len(ended) > 1 else set()
    for attempt in attempts:
        if id(attempt) in recorded or record_with_retries(attempt, waits=waits):
            yield attempt


def has_ended(attempt: Attempt) -> bool:
    """Return whether an attempt does not leave its row pending."""
    return attempt.verdict is not None and attempt.verdict.result in STATUSES


def record_batch(attempts: list[Attempt]) -> set[int]:
    """
    Record attempts that have ended, with one statement for each table.

    Return the ``id()`` of each recorded attempt. The others need ``record_one``:
    attempts whose rows are locked or have changed since they were claimed, attempts
    of paused accounts, and all of them if the database refuses one.
    """
    using = alias_of(attempts[0])
    try:
        paused = PausedAccount.objects.using(using).values_list("account", flat=True)
        accounts = set(paused)
        outcomes = [
            find_outcome(attempt)
            for attempt in attempts
            if attempt.row.account not in accounts
        ]
        outcomes = write_batch(outcomes, using=using)
    except (DatabaseError, InterfaceError, ValidationError, ValueError) as exc:
        logger.warning(
            "A batch could not be recorded, so each order is recorded alone: %s",
            describe_for_log(exc),
        )
        return set()
    with_retries(using, lambda: announce(outcomes, using=using))
    return {id(outcome.attempt) for outcome in outcomes}


def record_with_retries(attempt: Attempt, *, waits: bool = True) -> bool:
    """
    Record one attempt, with retries while the database does not answer.

    What the database refuses is recorded in simpler forms, and the last resort is to
    leave the row to its lease: it must not keep others from being recorded. Return
    False if another transaction has locked the row, and this one does not wait for it.
    """
    using, order_id = alias_of(attempt), attempt.row.order_id
    for simplify in (as_it_is, in_ascii, without_texts):
        record = partial(record_one, attempt, simplify, using=using, waits=waits)
        try:
            return with_retries(using, record)
        except (DatabaseError, ValidationError, ValueError) as exc:
            if not is_refusal(exc):
                raise
            what = describe_for_log(exc)
            logger.warning(
                "Order %s: the database refused the record: %s", order_id, what
            )
    logger.error(
        "Order %s could not be recorded. It is retried when its lease has expired.",
        order_id,
    )
    return True


def as_it_is(outcome: Outcome) -> Outcome:
    return outcome


def in_ascii(outcome: Outcome) -> Outcome:
    """Return an outcome with escapes for all characters that are not ASCII."""
    for submission in outcome.submissions:
        for name in ("url", "request_body", "response_body", "error"):
            setattr(submission, name, escape_all(getattr(submission, name)))
    return replace(outcome, values=escape_all(outcome.values))


def without_texts(outcome: Outcome) -> Outcome:
    """Return an outcome without what the shop, Button or an error says."""
    for submission in outcome.submissions:
        submission.request_body = submission.response_body = ""
        submission.error = UNSTORABLE if submission.error else ""
        submission.has_bodies = False
    foreign = (*PAYLOAD_FIELDS, "button_order_id")
    values = {name: v for name, v in outcome.values.items() if name not in foreign}
    values["last_error"] = UNSTORABLE if values["last_error"] else ""
    return replace(outcome, values=values)


def with_retries(using: str, action: Callable[[], T]) -> T:
    """
    Return what an action returns, with retries while the database does not answer.

    A connection may have been cut, or a deadlock resolved against this transaction.
    """
    for seconds in RECORD_WAITS:
        try:
            return action()
        except (OperationalError, InterfaceError) as exc:
            if connections[using].in_atomic_block or is_refusal(exc):
                raise
            logger.warning("Recording an attempt is retried: %s", describe_for_log(exc))
            connections[using].close_if_unusable_or_obsolete()
            time.sleep(seconds)
    return action()


def record_one(
    attempt: Attempt,
    simplify: Callable[[Outcome], Outcome],
    *,
    using: str,
    waits: bool,
) -> bool:
    """
    Record one attempt, whatever has happened to its row since it was claimed.

    Sets the attempt's ``delay``. Returns as ``record_with_retries`` does.
    """
    row = attempt.row
    rows = ButtonOrder.objects.using(using).filter(pk=row.pk)
    outcome = fitting_outcome(attempt, simplify, using=using)
    recorded: list[Submission] = []
    with transaction.atomic(using=using):
        if not waits and not try_to_lock(rows.filter(lease_token=row.lease_token)):
            return False
        is_resumed = pause_or_resume(outcome, using=using)
        is_leased, is_unchanged = write_row(outcome, rows)
        if not is_leased and was_erased_since(attempt, rows):
            attempt.erase()
            outcome = fitting_outcome(attempt, simplify, using=using)
            is_leased, is_unchanged = write_row(outcome, rows)
        if is_leased:
            recorded = outcome.submissions
            Submission.objects.using(using).bulk_create(recorded)
        elif not (recorded := find_recorded(attempt, using=using)):
            record_late(outcome, rows)
    if is_resumed:
        waiting = ButtonOrder.objects.using(using).filter(account=row.account)
        waiting.make_unauthorized_due()
    if not is_leased and not recorded:
        logger.warning(
            "Order %s: the lease was lost. Another worker may also have attempted it.",
            row.order_id,
        )
    elif is_unchanged or rows.filter(revision=row.revision).exists():
        # A row that was released is left to the next sweep.
        is_released = outcome.verdict.result is Result.RELEASE
        attempt.delay = None if is_released else outcome.delay
        announce([replace(outcome, submissions=recorded)], using=using)
    else:
        logger.info("Order %s changed during the attempt.", row.order_id)
        attempt.delay = 0.0 if rows.pending().exists() else None
    return True


def fitting_outcome(
    attempt: Attempt, simplify: Callable[[Outcome], Outcome], *, using: str
) -> Outcome:
    """Return the outcome of an attempt with values that fit their columns."""
    outcome = simplify(find_outcome(attempt))
    return replace(outcome, values=fit_all(outcome.values, using=using))


def write_row(outcome: Outcome, rows: ButtonOrderQuerySet) -> tuple[bool, bool]:
    """
    Write the row of an attempt that holds its lease.

    Return whether it does, and whether the row is as it was when it was claimed.
    """
    row = outcome.attempt.row
    leased = rows.filter(lease_token=row.lease_token)
    if leased.filter(revision=row.revision).update(**outcome.values):
        return True, True
    return leased.update(**changed_row_values(outcome)) == 1, False


def was_erased_since(attempt: Attempt, rows: ButtonOrderQuerySet) -> bool:
    """
    Return whether a row was erased since it was claimed, and lock it.

    Whoever erases it later finds the submissions of this transaction.
    """
    if attempt.row.erased_at is not None:
        return False
    erased = rows.select_for_update().values_list("erased_at", flat=True)
    return any(moment is not None for moment in erased)


def fit_all(values: dict[str, Any], *, using: str) -> dict[str, Any]:
    """Return the values of a row with texts that fit their columns."""
    fields, connection = FIELDS[ButtonOrder], connections[using]
    return {name: fit(fields[name], v, connection) for name, v in values.items()}


def try_to_lock(rows: ButtonOrderQuerySet) -> bool:
    """Lock a row. Return False if another transaction has locked it already."""
    if not can_skip_locked(rows.db):
        return True
    return bool(rows.unlocked().values_list("pk")) or not rows.exists()


def pause_or_resume(outcome: Outcome, *, using: str) -> bool:
    """
    Pause an account whose key Button refused, or resume one that it answered.

    Return whether the account was resumed.
    """
    attempt, account = outcome.attempt, outcome.attempt.row.account
    paused = PausedAccount.objects.using(using)
    if outcome.verdict.result is Result.PAUSE:
        error = outcome.values["last_error"]
        paused.pause(account, seconds=PAUSE_SECONDS, error=error)
        return False
    if attempt.is_probe and not attempt.calls:
        # This row needed no call, so the next row probes the account.
        paused.probe_now(account)
    if not any(isinstance(call.answer, Answer) for call in attempt.calls):
        return False
    return paused.filter(account=account).delete()[0] > 0


def find_recorded(attempt: Attempt, *, using: str) -> list[Submission]:
    """
    Return the submissions that an earlier try has recorded of an attempt.

    The connection may have been cut after the database committed them.
    """
    if not attempt.calls:
        return []
    submissions = Submission.objects.using(using).filter(
        button_order=attempt.row,
        revision=attempt.row.revision,
        started_at__in=[call.started_at for call in attempt.calls],
    )
    return list(submissions.order_by("pk"))


def record_late(outcome: Outcome, rows: ButtonOrderQuerySet) -> None:
    """
    Record an outcome whose lease was lost, without overwriting the row.

    A success counts for the revision that it reported, unless a newer revision is
    acknowledged. A row that was deleted gets no submissions.
    """
    if outcome.verdict.result in SUCCESSES:
        record_late_success(outcome, rows)
    if rows.exists():
        Submission.objects.using(rows.db).bulk_create(outcome.submissions)


def record_late_success(outcome: Outcome, rows: ButtonOrderQuerySet) -> None:
    """
    Record that Button acknowledged a revision although the lease was lost.

    Set the row's final state if nothing is newer and nobody holds it.
    """
    revision = outcome.attempt.row.revision
    older = Q(reported_revision__isnull=True) | Q(reported_revision__lt=revision)
    acknowledged = acknowledged_values(outcome.attempt)
    if outcome.attempt.was_erased:
        acknowledged = with_update_to_come(acknowledged)
    if acknowledged and rows.filter(older).update(**acknowledged):
        values = {name: v for name, v in outcome.values.items() if name != "attempts"}
        unreported = rows.filter(
            status__in=[Status.PENDING, Status.FAILED, Status.CLOSED]
        )
        # Another worker may have closed the row, because this success came first.
        values["late_amount"] = None
        unreported.unleased().filter(revision=revision).update(**values)


def announce(outcomes: list[Outcome], *, using: str) -> None:
    """Log outcomes, and send the signals that have receivers."""
    pks = [outcome.attempt.row.pk for outcome in outcomes if has_receivers(outcome)]
    rows = ButtonOrder.objects.using(using).in_bulk(pks) if pks else {}
    for outcome in outcomes:
        row, status = outcome.attempt.row, outcome.status
        # What has failed in a sweep is logged as a warning in one line at its end.
        reason = outcome.verdict.reason
        ending = f"{status} ({reason})" if reason else f"{status}"
        logger.info("Order %s: %s", row.order_id, ending)
        if row.pk in rows and has_receivers(outcome):
            send_signal(outcome, rows[row.pk])


def has_receivers(outcome: Outcome) -> bool:
    """Return whether an outcome has a signal, and the signal has a receiver."""
    if outcome.status not in SIGNALS:
        return False
    # An order that Button knew already in this state is not reported again.
    is_news = has_succeeded(outcome) or outcome.status != Status.REPORTED
    return is_news and SIGNALS[outcome.status].has_listeners(ButtonOrder)


def has_succeeded(outcome: Outcome) -> bool:
    succeeded = Submission.Outcome.SUCCEEDED
    return any(item.outcome == succeeded for item in outcome.submissions)


def send_signal(outcome: Outcome, row: ButtonOrder) -> None:
    """Send the signal of an outcome to the project's receivers."""
    SIGNALS[outcome.status].send_robust(
        sender=ButtonOrder,
        button_order=row,
        submission=outcome.submissions[-1] if outcome.submissions else None,
    )


def alias_of(attempt: Attempt) -> str:
    """Return the alias of the database that has the row of an attempt."""
    return attempt.row._state.db or DEFAULT_DB_ALIAS
