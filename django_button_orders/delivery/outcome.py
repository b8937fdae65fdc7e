"""What becomes of a row after an attempt: its new values, and when it is due."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

from django.dispatch import Signal

from django_button_orders.client.answers import Answer
from django_button_orders.client.redaction import redact_word
from django_button_orders.delivery import verdicts
from django_button_orders.delivery.attempt import Attempt, Call
from django_button_orders.delivery.backoff import next_delay
from django_button_orders.delivery.verdicts import SUCCESSES, Result, Verdict
from django_button_orders.models import ButtonOrder, Submission, as_stored
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.report.validation import make_storable
from django_button_orders.signals import order_cancelled, order_failed, order_reported

logger = logging.getLogger(__name__)

# One row probes a paused account after this long.
PAUSE_SECONDS = 300.0

Status = ButtonOrder.Status
Operation = Submission.Operation
STATUSES = {
    Result.REPORTED: Status.REPORTED,
    Result.CANCELLED: Status.CANCELLED,
    Result.FAILED: Status.FAILED,
    Result.DISMISSED: Status.DISMISSED,
}


def with_delay(
    attempt: Attempt, rng: Callable[[], float] = random.random
) -> tuple[Verdict, float | None]:
    """Return the verdict, and for one that waits how long, in seconds."""
    verdict = attempt.verdict
    assert verdict is not None  # noqa: S101 - perform() has seen to it
    if verdict.result is Result.PAUSE:
        return verdict, PAUSE_SECONDS
    if verdict.result is Result.RELEASE:
        return verdict, 0.0
    if verdict.result is not Result.RETRY:
        return verdict, None
    delay = next_delay(
        attempt.row.attempts,
        attempt.settings.retry_schedule,
        asked=verdict.retry_after,
        asked_max=attempt.settings.retry_after_max,
        rng=rng,
    )
    if delay is None:
        return verdicts.as_exhausted(verdict), None
    return verdict, delay


def row_values(
    attempt: Attempt, verdict: Verdict, delay: float | None
) -> dict[str, Any]:
    """
    Return the new values of a row that has not changed since it was claimed.

    Nobody else writes a row while it is leased, except to note that its order
    has changed, or to cancel it, which raises its revision.
    """
    row = attempt.row
    values: dict[str, Any] = {
        "status": STATUSES.get(verdict.result, Status.PENDING),
        "reason": verdict.reason,
        "next_attempt_at": None if delay is None else from_now(delay),
        "last_error": redacted(attempt, verdict.error),
        "attempts": row.attempts,
        "unanswered": unanswered_after(attempt, verdict),
        "lease_token": None,
        "lease_expires_at": None,
        "updated_at": DatabaseNow(),
        **report_values(attempt),
    }
    if attempt.calls:
        values["last_status_code"] = attempt.calls[-1].status_code
    if verdict.result in SUCCESSES:
        values |= acknowledged_values(attempt)
    if verdict.result in (Result.PAUSE, Result.RELEASE):
        # No attempt was made, so none is used up.
        values["attempts"] = max(row.attempts - 1, 0)
    return values


def unanswered_after(attempt: Attempt, verdict: Verdict) -> int:
    """Return how many attempts there are of which Button's answer is not known."""
    unanswered = attempt.row.unanswered
    if tells_nothing_new(attempt, verdict):
        return max(unanswered - 1, 0)
    if settles_creation(attempt, verdict):
        return 0
    if verdict.is_definite and len(attempt.calls) == 1:
        return max(unanswered - 1, 0)
    return unanswered


def tells_nothing_new(attempt: Attempt, verdict: Verdict) -> bool:
    """Return whether Button knows of the order just what it knew before."""
    if not attempt.calls:
        return True
    if verdict.result is Result.PAUSE:
        # Before the key was refused, Button may have said that it has the order.
        return len(attempt.calls) == 1
    is_question = attempt.calls[-1].operation == Operation.RETRIEVE
    return is_question and verdict.result is Result.RETRY


def settles_creation(attempt: Attempt, verdict: Verdict) -> bool:
    """
    Return whether it is certain now if Button has the order.

    A refused update or cancellation says nothing about a create before it.
    """
    if verdict.result in SUCCESSES:
        return True
    return verdict.is_definite and attempt.calls[-1].operation == Operation.CREATE


def report_values(attempt: Attempt) -> dict[str, Any]:
    """Return what the row of a host order shows of its report."""
    if attempt.desired is None or attempt.row.is_direct:
        return {}
    fields = attempt.desired.fields.items()
    return {name: as_stored(value) for name, value in fields if name != "order_id"}


def acknowledged_values(attempt: Attempt) -> dict[str, Any]:
    """Return what is known of Button's view after a success."""
    assert attempt.desired is not None  # noqa: S101 - else there is no success
    if not attempt.calls and not attempt.row.is_acknowledged:
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
        values["button_order_id"] = make_storable(redacted)[:255]
    return values


SIGNALS: dict[str, Signal] = {
    Status.REPORTED: order_reported,
    Status.CANCELLED: order_cancelled,
    Status.FAILED: order_failed,
}


def somebody_listens() -> bool:
    return any(signal.has_listeners(ButtonOrder) for signal in SIGNALS.values())


def send_signal(
    row: ButtonOrder, status: str, reason: str, submissions: list[Submission]
) -> None:
    """Log an outcome, and tell the project's receivers."""
    level = logging.WARNING if status == Status.FAILED else logging.INFO
    logger.log(level, "Order %s: %s %s", row.order_id, status, reason)
    signal = SIGNALS.get(status)
    # Where Button knew it all already, there is no news.
    if signal is not None and (submissions or signal is not order_reported):
        signal.send_robust(
            sender=ButtonOrder,
            button_order=row,
            submission=submissions[-1] if submissions else None,
        )


Outcomes = Submission.Outcome


def submissions_of(attempt: Attempt, verdict: Verdict) -> list[Submission]:
    """Return what is to be written of an attempt: one for each of its calls."""
    if not attempt.calls:
        return []
    last = attempt.calls[-1]
    return [
        Submission(
            button_order=attempt.row,
            operation=call.operation,
            trigger=attempt.trigger,
            user_id=attempt.user_id,
            revision=attempt.row.revision,
            outcome=outcome_of(call, verdict if call is last else None),
            error=error_of(call, attempt, verdict if call is last else None),
            **call_fields(call),
        )
        for call in attempt.calls
    ]


def call_fields(call: Call) -> Mapping[str, Any]:
    answer = call.answer
    response_body = answer.body if isinstance(answer, Answer) else ""
    return {
        "started_at": as_stored(call.started_at),
        "duration_ms": call.duration_ms,
        "method": call.method,
        "url": call.url,
        "request_body": call.request_body,
        "status_code": call.status_code,
        "response_body": response_body,
        "has_bodies": bool(call.request_body or response_body),
    }


def outcome_of(call: Call, verdict: Verdict | None) -> str:
    """Return how a call ended; ``verdict`` is for the last one of an attempt."""
    if verdict is None:
        is_question = call.operation == Operation.RETRIEVE
        return Outcomes.SUCCEEDED if is_question else Outcomes.WILL_RETRY
    if verdict.result in SUCCESSES:
        return Outcomes.SUCCEEDED
    if verdict.result is Result.FAILED:
        return Outcomes.FAILED
    return Outcomes.WILL_RETRY


def error_of(call: Call, attempt: Attempt, verdict: Verdict | None) -> str:
    if verdict is not None:
        error = verdict.error
    elif isinstance(call.answer, Answer) and not call.answer.is_success:
        error = verdicts.describe_answer(call.operation, call.answer)
    else:
        error = ""
    return redacted(attempt, error)


def redacted(attempt: Attempt, error: str) -> str:
    """
    Return an error as it may be shown and kept for ever.

    Button may quote what it was sent: the key, or who the customer is.
    """
    if not error:
        return ""
    error = attempt.client.redact(error)
    for value in customer_of(attempt).values():
        if isinstance(value, str):
            error = redact_word(error, value, "[customer]")
    return make_storable(error)


def customer_of(attempt: Attempt) -> Mapping[str, Any]:
    fields = attempt.desired.fields if attempt.desired else {}
    customer = fields.get("customer") or attempt.row.customer
    return customer if isinstance(customer, Mapping) else {}
