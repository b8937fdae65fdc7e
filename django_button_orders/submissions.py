"""What goes on record of an attempt's calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_button_orders import verdicts
from django_button_orders.answers import Answer
from django_button_orders.attempts import Attempt, Exchange
from django_button_orders.failures import clip
from django_button_orders.models import Submission, as_stored
from django_button_orders.redaction import redact_word
from django_button_orders.verdicts import SUCCESSES, Outcome, Verdict

Outcomes = Submission.Outcome


def submissions_of(attempt: Attempt, verdict: Verdict) -> list[Submission]:
    """Return what is to be written of an attempt: one for each of its calls."""
    if not attempt.exchanges:
        return []
    last = attempt.exchanges[-1]
    return [
        Submission(
            button_order=attempt.row,
            operation=exchange.operation,
            trigger=attempt.trigger,
            user_id=attempt.user_id,
            revision=attempt.row.revision,
            outcome=outcome_of(exchange, verdict if exchange is last else None),
            error=error_of(exchange, attempt, verdict if exchange is last else None),
            **facts_of(exchange),
        )
        for exchange in attempt.exchanges
    ]


def facts_of(exchange: Exchange) -> Mapping[str, Any]:
    answer = exchange.answer
    response_body = answer.body if isinstance(answer, Answer) else ""
    return {
        "started_at": as_stored(exchange.started_at),
        "duration_ms": exchange.duration_ms,
        "method": exchange.method,
        "url": exchange.url,
        "request_body": exchange.request_body,
        "status_code": exchange.status_code,
        "response_body": response_body,
        "has_bodies": bool(exchange.request_body or response_body),
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
    return words(attempt, error)


def words(attempt: Attempt, error: str) -> str:
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
    return clip(error)


def customer_of(attempt: Attempt) -> Mapping[str, Any]:
    fields = attempt.desired.fields if attempt.desired else {}
    customer = fields.get("customer") or attempt.row.customer
    return customer if isinstance(customer, Mapping) else {}
