"""
Writing down what came of an attempt, fenced by the lease.

Only the holder of the lease writes the row. One that lost it writes its
submissions, and of the row only that a newer state was acknowledged.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import Case, F, IntegerField, Q, Value, When
from django.dispatch import Signal

from django_button_orders import verdicts
from django_button_orders.answers import Answer
from django_button_orders.backoff import next_delay
from django_button_orders.delivery import Attempt, Exchange
from django_button_orders.failures import clip
from django_button_orders.models import (
    ButtonOrder,
    PausedAccount,
    Submission,
    as_stored,
)
from django_button_orders.querysets import ButtonOrderQuerySet, DatabaseNow, from_now
from django_button_orders.signals import order_cancelled, order_failed, order_reported
from django_button_orders.verdicts import Outcome, Verdict

logger = logging.getLogger(__name__)

# One row probes a paused account after this long.
PAUSE_SECONDS = 300.0

Status = ButtonOrder.Status
Outcomes = Submission.Outcome
FIELDS = {field.name: field for field in ButtonOrder._meta.concrete_fields}
SUCCESSES = (Outcome.REPORTED, Outcome.CANCELLED)
STATUSES = {
    Outcome.REPORTED: Status.REPORTED,
    Outcome.CANCELLED: Status.CANCELLED,
    Outcome.FAILED: Status.FAILED,
    Outcome.DISMISSED: Status.DISMISSED,
}
SIGNALS: dict[str, Signal] = {
    Status.REPORTED: order_reported,
    Status.CANCELLED: order_cancelled,
    Status.FAILED: order_failed,
}


def record(
    attempt: Attempt,
    *,
    trigger: str,
    user_id: str | None = None,
    rng: Callable[[], float] = random.random,
) -> float | None:
    """
    Write an attempt down, tell the project's receivers, and return the wait.

    The wait is in seconds until the row is due again, or None when it is not.
    """
    verdict, delay = schedule(attempt, rng)
    row = attempt.row
    using = row._state.db
    rows = ButtonOrder.objects.using(using).filter(pk=row.pk)
    with transaction.atomic(using=using):
        if verdict.outcome is Outcome.PAUSE:
            paused = PausedAccount.objects.using(using)
            paused.pause(row.account, seconds=PAUSE_SECONDS, error=verdict.error)
        elif any(isinstance(item.answer, Answer) for item in attempt.exchanges):
            resume_account(row.account, using=using)
        held = rows.filter(lease_token=row.lease_token)
        is_held = held.update(**changes(attempt, verdict, delay)) == 1
        if not is_held and verdict.outcome in SUCCESSES:
            record_late_success(rows, attempt, verdict)
        submissions = write_submissions(rows, attempt, verdict, trigger, user_id)
    if not is_held:
        logger.warning("Order %s: the lease was lost.", row.order_id)
        return None
    return announce(attempt, verdict, delay, submissions)


def schedule(
    attempt: Attempt, rng: Callable[[], float]
) -> tuple[Verdict, float | None]:
    """Return the verdict, and for one that waits how long, in seconds."""
    verdict = attempt.verdict
    assert verdict is not None  # noqa: S101 - perform() has seen to it
    if verdict.outcome is Outcome.PAUSE:
        return verdict, PAUSE_SECONDS
    if verdict.outcome is Outcome.RELEASE:
        return verdict, 0.0
    if verdict.outcome is not Outcome.RETRY:
        return verdict, None
    delay = next_delay(
        attempt.row.attempts,
        attempt.settings.retry_schedule,
        asked=verdict.retry_after,
        asked_max=attempt.settings.retry_after_max,
        rng=rng,
    )
    if delay is None:
        return verdicts.exhausted(verdict), None
    return verdict, delay


def changes(attempt: Attempt, verdict: Verdict, delay: float | None) -> dict[str, Any]:
    """Return the new values of the row, whose order may have changed meanwhile."""
    row = attempt.row
    status = STATUSES.get(verdict.outcome, Status.PENDING)
    due = None if delay is None else from_now(delay)
    values: dict[str, Any] = {
        "status": unless_moved(row, "status", status),
        "reason": unless_moved(row, "reason", verdict.reason),
        "next_attempt_at": unless_moved(row, "next_attempt_at", due),
        "last_error": unless_moved(
            row, "last_error", clip(attempt.client.redact(verdict.error))
        ),
        # What has changed gets a fresh set of attempts.
        "attempts": Case(
            When(revision=row.revision, then=F("attempts")),
            default=Value(0),
            output_field=IntegerField(),
        ),
        "lease_token": None,
        "lease_expires_at": None,
        "updated_at": DatabaseNow(),
    }
    if attempt.desired and not row.is_direct:
        values |= payload_values(attempt.desired.fields)
    if attempt.exchanges:
        values["last_status_code"] = attempt.exchanges[-1].status_code
    if verdict.outcome in SUCCESSES:
        values |= acknowledgement(attempt)
    if verdict.outcome in (Outcome.PAUSE, Outcome.RELEASE):
        # No attempt was made, so none is used up.
        values["attempts"] = one_less("attempts")
    if tells_nothing_new(attempt, verdict):
        values["unanswered"] = one_less("unanswered")
    elif settles_creation(attempt, verdict):
        values["unanswered"] = 0
    elif verdict.is_definite and len(attempt.exchanges) == 1:
        values["unanswered"] = one_less("unanswered")
    return values


def tells_nothing_new(attempt: Attempt, verdict: Verdict) -> bool:
    """Return whether Button knows of the order just what it knew before."""
    if not attempt.exchanges or verdict.outcome is Outcome.PAUSE:
        return True
    is_question = attempt.exchanges[-1].operation == verdicts.RETRIEVE
    return is_question and verdict.outcome is Outcome.RETRY


def settles_creation(attempt: Attempt, verdict: Verdict) -> bool:
    """
    Return whether it is certain now if Button has the order.

    A refused update or cancellation says nothing about a create before it.
    """
    if verdict.outcome in SUCCESSES:
        return True
    return verdict.is_definite and attempt.exchanges[-1].operation == verdicts.CREATE


def unless_moved(row: ButtonOrder, name: str, value: Any) -> Case:
    """Return a value, or what the order's change since the claim has set."""
    return Case(
        When(revision=row.revision, then=as_expression(value)),
        default=F(name),
        output_field=FIELDS[name],
    )


def as_expression(value: Any) -> Any:
    return value if hasattr(value, "resolve_expression") else Value(value)


def one_less(name: str) -> Case:
    return Case(
        When(**{f"{name}__gt": 0}, then=F(name) - 1),
        default=Value(0),
        output_field=IntegerField(),
    )


def payload_values(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: as_stored(value) for name, value in fields.items() if name != "order_id"
    }


def acknowledgement(attempt: Attempt) -> dict[str, Any]:
    assert attempt.desired is not None  # noqa: S101 - else there is no success
    if not attempt.exchanges and not attempt.row.is_acknowledged:
        # Cancelled before it was ever sent: Button knows nothing of it.
        return {}
    values = {
        "reported_revision": attempt.row.revision,
        "reported_digest": attempt.desired.digest,
        "reported_at": DatabaseNow(),
    }
    button_order_id = attempt.known_order.get("button_order_id")
    if isinstance(button_order_id, str) and button_order_id:
        redacted = attempt.client.redact(button_order_id)
        values["button_order_id"] = clip(redacted)[:255]
    return values


def record_late_success(
    rows: ButtonOrderQuerySet, attempt: Attempt, verdict: Verdict
) -> None:
    """Let a success count for its revision, unless a newer one is acknowledged."""
    revision = attempt.row.revision
    older = Q(reported_revision__isnull=True) | Q(reported_revision__lt=revision)
    values = acknowledgement(attempt)
    if not values or not rows.filter(older).update(**values):
        return
    settled = rows.unleased().filter(
        revision=revision, status__in=[Status.PENDING, Status.FAILED]
    )
    settled.update(
        status=STATUSES[verdict.outcome],
        reason="",
        next_attempt_at=None,
        lease_token=None,
        lease_expires_at=None,
        unanswered=0,
        last_error="",
        updated_at=DatabaseNow(),
    )


def write_submissions(
    rows: ButtonOrderQuerySet,
    attempt: Attempt,
    verdict: Verdict,
    trigger: str,
    user_id: str | None,
) -> list[Submission]:
    # A row that was deleted meanwhile stays deleted, and so does its history.
    if not attempt.exchanges or not rows.exists():
        return []
    last = attempt.exchanges[-1]
    submissions = [
        Submission(
            button_order=attempt.row,
            operation=exchange.operation,
            trigger=trigger,
            user_id=user_id,
            revision=attempt.row.revision,
            outcome=outcome_of(exchange, verdict if exchange is last else None),
            error=error_of(exchange, attempt, verdict if exchange is last else None),
            **facts_of(exchange),
        )
        for exchange in attempt.exchanges
    ]
    return Submission.objects.using(rows.db).bulk_create(submissions)


def facts_of(exchange: Exchange) -> Mapping[str, Any]:
    answer = exchange.answer
    return {
        "started_at": as_stored(exchange.started_at),
        "duration_ms": exchange.duration_ms,
        "method": exchange.method,
        "url": exchange.url,
        "request_body": exchange.request_body,
        "status_code": exchange.status_code,
        "response_body": answer.body if isinstance(answer, Answer) else "",
    }


def outcome_of(exchange: Exchange, verdict: Verdict | None) -> str:
    """Return how a call ended; ``verdict`` is for the last one of an attempt."""
    if verdict is None:
        is_question = exchange.operation == verdicts.RETRIEVE
        return Outcomes.SUCCEEDED if is_question else Outcomes.WILL_RETRY
    if verdict.outcome in SUCCESSES:
        return Outcomes.SUCCEEDED
    if verdict.outcome is Outcome.FAILED:
        return Outcomes.FAILED
    return Outcomes.WILL_RETRY


def error_of(exchange: Exchange, attempt: Attempt, verdict: Verdict | None) -> str:
    if verdict is not None:
        error = verdict.error
    elif isinstance(exchange.answer, Answer) and not exchange.answer.is_success:
        error = verdicts.describe(exchange.operation, exchange.answer)
    else:
        error = ""
    return clip(attempt.client.redact(error))


def resume_account(account: str, *, using: str | None) -> bool:
    """
    Lift the pause of an account, and make what waited for it due.

    Return whether the account was paused.
    """
    paused = PausedAccount.objects.using(using).filter(account=account)
    if not paused.delete()[0]:
        return False
    waiting = ButtonOrder.objects.using(using).waiting().filter(account=account)
    waiting.filter(reason=verdicts.UNAUTHORIZED).exclude(last_status_code=403).update(
        next_attempt_at=DatabaseNow()
    )
    return True


def announce(
    attempt: Attempt,
    verdict: Verdict,
    delay: float | None,
    submissions: list[Submission],
) -> float | None:
    """Log the outcome, tell the project's receivers, and return the wait."""
    row = ButtonOrder.objects.using(attempt.row._state.db).get(pk=attempt.row.pk)
    if row.revision != attempt.row.revision:
        logger.info("Order %s has changed meanwhile.", row.order_id)
        return 0.0 if row.status == Status.PENDING else None
    level = logging.WARNING if row.status == Status.FAILED else logging.INFO
    logger.log(level, "Order %s: %s %s", row.order_id, row.status, verdict.reason)
    signal = SIGNALS.get(row.status)
    # Where Button knew it all already, there is no news.
    if signal is not None and (submissions or signal is not order_reported):
        signal.send_robust(
            sender=ButtonOrder,
            button_order=row,
            submission=submissions[-1] if submissions else None,
        )
    # What was given back would only be given back again: the sweep's turn.
    return None if verdict.outcome is Outcome.RELEASE else delay
