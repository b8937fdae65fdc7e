"""
What an attempt changes: the values of its row, and a submission for each call.

``find_outcome`` computes both. Nothing here touches the database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django_button_orders.client import Answer
from django_button_orders.client.redaction import redact_word
from django_button_orders.delivery.attempt import Attempt, Call
from django_button_orders.delivery.backoff import next_delay
from django_button_orders.delivery.tokens import find_tied_token
from django_button_orders.delivery.verdicts import (
    CUSTOMER_KEPT,
    SUCCESSES,
    Result,
    Verdict,
    as_exhausted,
    describe_answer,
    knows_order,
    without_foreign_words,
)
from django_button_orders.delivery.window import late_values, window_values
from django_button_orders.models import CANCELLED_DIGEST, ButtonOrder, Submission
from django_button_orders.models.accounts import PAUSE_SECONDS
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.orders import is_late_token, late_token_changes
from django_button_orders.report.erasing import as_untold, without_customer
from django_button_orders.report.objects import with_refused_customer
from django_button_orders.report.validation import make_storable

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason
Operation = Submission.Operation
# What is kept of Button's view of an order that was erased here.
SHOWN_OF_ERASED = (
    "order_id",
    "button_order_id",
    "status",
    "total",
    "currency",
    "purchase_date",
    "finalization_date",
    "finalized_date",
)
# Results that are not in here leave the row pending.
STATUSES = {
    Result.REPORTED: Status.REPORTED,
    Result.CANCELLED: Status.CANCELLED,
    Result.CLOSED: Status.CLOSED,
    Result.FAILED: Status.FAILED,
    Result.DISMISSED: Status.DISMISSED,
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    What an attempt changes.

    ``delay`` is the number of seconds until the row is due again, or None if it is
    not. ``values`` are the new values of a row that has not changed since it was
    claimed. ``submissions`` are not saved yet.
    """

    attempt: Attempt
    verdict: Verdict
    delay: float | None
    values: dict[str, Any]
    submissions: list[Submission]

    @property
    def status(self) -> str:
        return STATUSES.get(self.verdict.result, Status.PENDING)


def find_outcome(attempt: Attempt) -> Outcome:
    """Return the outcome of an attempt that has a verdict."""
    verdict, delay = with_delay(attempt)
    return Outcome(
        attempt=attempt,
        verdict=verdict,
        delay=delay,
        values=row_values(attempt, verdict, delay),
        submissions=submissions_of(attempt, verdict),
    )


def with_delay(attempt: Attempt) -> tuple[Verdict, float | None]:
    """
    Return the verdict of an attempt, and the seconds until its row is due again.

    A retry becomes a failure when ``RETRY_SCHEDULE`` is used up.
    """
    verdict = attempt.verdict
    assert verdict is not None  # noqa: S101 - only attempts with a verdict are recorded
    if verdict.result is Result.PAUSE:
        return verdict, PAUSE_SECONDS
    if verdict.result is Result.RELEASE:
        return verdict, 0.0
    if verdict.result is not Result.RETRY:
        return verdict, None
    delay = next_delay(
        attempt.row.attempts,
        attempt.settings.retry_schedule,
        retry_after=verdict.retry_after,
        retry_after_max=attempt.settings.retry_after_max,
    )
    return (as_exhausted(verdict) if delay is None else verdict), delay


def row_values(
    attempt: Attempt, verdict: Verdict, delay: float | None
) -> dict[str, Any]:
    """
    Return the new values of a row that has not changed since it was claimed.

    While a row is leased, others write it only to mark a change, which raises its
    revision.
    """
    row = attempt.row
    values: dict[str, Any] = {
        "status": STATUSES.get(verdict.result, Status.PENDING),
        "reason": verdict.reason,
        "next_attempt_at": None if delay is None else from_now(delay),
        "last_error": redacted(attempt, verdict.error),
        # The claim has counted the attempt.
        "attempts": row.attempts if uses_attempt(verdict) else max(row.attempts - 1, 0),
        "unanswered": unanswered_after(attempt, verdict),
        "lease_token": None,
        "lease_expires_at": None,
        "updated_at": DatabaseNow(),
        **report_values(attempt, verdict),
        **late_token_values(attempt),
        **tied_token_values(attempt),
        **window_values(attempt),
        **late_values(attempt, verdict),
    }
    if attempt.calls:
        judged = attempt.judged_call
        values["last_status_code"] = judged.status_code if judged else None
    if verdict.result in SUCCESSES:
        values |= acknowledged_values(attempt)
    return values


def changed_row_values(outcome: Outcome) -> dict[str, Any]:
    """
    Return the new values of a row that has changed since it was claimed.

    The row keeps what the change has set, and gets a fresh set of attempts.
    """
    kept = ("status", "reason", "next_attempt_at", "last_error", "late_amount")
    values = {name: v for name, v in outcome.values.items() if name not in kept}
    if outcome.attempt.was_erased:
        values = with_update_to_come(values)
    return values | {"attempts": 0} if uses_attempt(outcome.verdict) else values


def with_update_to_come(values: dict[str, Any]) -> dict[str, Any]:
    """
    Return the values of a row that was erased and marked changed during an attempt.

    The call has sent the customer, so the next attempt updates the order without.
    """
    digest = values.get("reported_digest", CANCELLED_DIGEST)
    if digest == CANCELLED_DIGEST:
        return values
    told = {
        "reported_digest": without_customer(digest),
        "erased_digest": as_untold(digest),
    }
    return values | told


def uses_attempt(verdict: Verdict) -> bool:
    """Return whether an attempt counts. A refused key says nothing about the order."""
    return verdict.result not in (Result.PAUSE, Result.RELEASE)


def unanswered_after(attempt: Attempt, verdict: Verdict) -> int:
    """
    Return how many attempts at the row have an effect at Button that is not known.

    The claim has counted this attempt as one of them.
    """
    without_this = max(attempt.row.unanswered - 1, 0)
    if verdict.reason == Reason.TAKEN:
        # Button has another order in the place of this one.
        return 0
    if is_without_effect(attempt, verdict):
        return without_this
    if shows_creation(attempt, verdict):
        return 0
    is_known = verdict.is_definite and attempt.calls[0] is attempt.judged_call
    return without_this if is_known else attempt.row.unanswered


def is_without_effect(attempt: Attempt, verdict: Verdict) -> bool:
    """
    Return whether an attempt certainly changed nothing at Button.

    An attempt that found our order there counts, so that Button is asked again.
    """
    if not attempt.calls:
        return True
    if verdict.result is Result.PAUSE and len(attempt.calls) == 1:
        return True
    is_found = verdict.result in SUCCESSES or attempt.next_operation == Operation.UPDATE
    return not is_found and all(map(is_without_trace, attempt.calls))


def is_without_trace(call: Call) -> bool:
    """Return whether a call was a question, or a create that got 409."""
    is_conflict = call.status_code == HTTPStatus.CONFLICT
    is_refused = call.operation == Operation.CREATE and is_conflict
    return is_refused or call.operation == Operation.RETRIEVE


def shows_creation(attempt: Attempt, verdict: Verdict) -> bool:
    """
    Return whether an attempt shows if Button has the order.

    A refused update or cancellation says nothing about an earlier create.
    """
    if verdict.result in SUCCESSES:
        return True
    return verdict.is_definite and attempt.calls[-1].operation == Operation.CREATE


def report_values(attempt: Attempt, verdict: Verdict) -> dict[str, Any]:
    """Return the report of a host order as values of its row."""
    if attempt.desired is None or attempt.row.is_direct:
        return {}
    if has_only_asked(attempt, verdict):
        # The row keeps what was sent, to compare it with what Button will show.
        return {}
    fields = attempt.desired.fields.items()
    return {name: value for name, value in fields if name != "order_id"}


def has_only_asked(attempt: Attempt, verdict: Verdict) -> bool:
    """Return whether Button will be asked again about an unanswered attempt."""
    return (
        attempt.row.may_be_known
        and not attempt.row.is_acknowledged
        and verdict.result not in STATUSES
        and all(call.operation == Operation.RETRIEVE for call in attempt.calls)
    )


def acknowledged_values(attempt: Attempt) -> dict[str, Any]:
    """Return what a success shows of Button's view, as values of the row."""
    assert attempt.desired is not None  # noqa: S101 - or else it is no success
    if not attempt.calls and not attempt.row.is_acknowledged:
        # The order was cancelled before it was ever sent to Button.
        return {}
    values = {
        "reported_revision": attempt.row.revision,
        "reported_digest": attempt.desired.digest,
        "reported_at": DatabaseNow(),
        "reported_total": attempt.desired.total,
        **tied_token_values(attempt),
        **window_values(attempt),
    }
    if attempt.row.erased_at is not None:
        # Button has acknowledged more than the erased order.
        values["erased_digest"] = ""
    if keeps_refused_customer(attempt):
        values["reported_digest"] = with_refused_customer(attempt.desired.digest)
        del values["reported_at"]
    button_order_id = attempt.known_order.get("button_order_id")
    if isinstance(button_order_id, str) and button_order_id:
        text = make_storable(attempt.client.redact(button_order_id))
        values["button_order_id"] = text[:255]
    if attempt.settings.site and not attempt.row.site and attempt.calls:
        # From now on, only this installation reports it.
        values["site"] = attempt.settings.site
    return values


def tied_token_values(attempt: Attempt) -> dict[str, Any]:
    """Return the token that Button has tied to the order, if that is news."""
    if attempt.row.erased_at is not None:
        return {}
    token = find_tied_token(attempt)
    return {} if token == attempt.row.reported_btn_ref else {"reported_btn_ref": token}


def late_token_values(attempt: Attempt) -> dict[str, Any]:
    """Return whether the order's token came too late, and when, if that is news."""
    if attempt.desired is None:
        return {}
    report = attempt.desired.report
    # A cancelled order needs no token.
    token = report.btn_ref if report is not None else ""
    is_late = is_late_token(token, find_tied_token(attempt))
    return {} if is_late == attempt.row.has_late_token else late_token_changes(is_late)


def keeps_refused_customer(attempt: Attempt) -> bool:
    """Return whether Button has refused the customer of the report, now or before."""
    assert attempt.desired is not None  # noqa: S101 - or else it is no success
    marked = with_refused_customer(attempt.desired.digest)
    was_refused = not attempt.calls and attempt.row.reported_digest == marked
    return attempt.verdict is CUSTOMER_KEPT or was_refused


def submissions_of(attempt: Attempt, verdict: Verdict) -> list[Submission]:
    """Return a submission for each call of an attempt. They are not saved."""
    about = attempt.judged_call
    judged = [(call, verdict if call is about else None) for call in attempt.calls]
    return [
        Submission(
            button_order=attempt.row,
            trigger=attempt.trigger,
            user_id=attempt.user_id,
            revision=attempt.row.revision,
            outcome=call_outcome(call, judgement),
            error=redacted(attempt, call_error(call, judgement)),
            **call_fields(call, is_erased=attempt.row.erased_at is not None),
        )
        for call, judgement in judged
    ]


def call_outcome(call: Call, verdict: Verdict | None) -> str:
    """Return how a call ended. ``verdict`` is for the one it is about."""
    outcomes = Submission.Outcome
    if verdict is None and call.operation == Operation.RETRIEVE:
        # The attempt goes on, but a refusal or a proxy's page is no answer to it.
        is_answered = knows_order(call.answer) is not None
        return outcomes.SUCCEEDED if is_answered else outcomes.FAILED
    if verdict is None:
        return outcomes.WILL_RETRY
    if verdict is CUSTOMER_KEPT:
        return outcomes.FAILED
    if verdict.result in SUCCESSES:
        return outcomes.SUCCEEDED
    has_failed = verdict.result in (Result.FAILED, Result.CLOSED)
    return outcomes.FAILED if has_failed else outcomes.WILL_RETRY


def call_error(call: Call, verdict: Verdict | None) -> str:
    """Return what went wrong with a call, as ``call_outcome`` does."""
    if verdict is not None and verdict is not CUSTOMER_KEPT:
        return verdict.error
    if isinstance(call.answer, Answer) and not call.answer.is_success:
        return describe_answer(call.operation, call.answer)
    return ""


def erased_body(answer: Answer) -> str:
    """
    Return a body with what an erased order may show of an answer, or "".

    Button may still show the customer of an order that was erased here.
    """
    order = {
        name: value
        for name, value in answer.order.items()
        if name in SHOWN_OF_ERASED and isinstance(value, str | int | float)
    }
    return json.dumps({"object": order}) if order else ""


def call_fields(call: Call, *, is_erased: bool) -> Mapping[str, Any]:
    """Return what was sent and answered, as values of a submission."""
    response_body = ""
    if isinstance(call.answer, Answer):
        response_body = erased_body(call.answer) if is_erased else call.answer.body
    return {
        "operation": call.operation,
        "method": call.method,
        "url": call.url,
        "request_body": call.request_body,
        "status_code": call.status_code,
        "response_body": response_body,
        "started_at": call.started_at,
        "duration_ms": call.duration_ms,
        "has_bodies": bool(call.request_body or response_body),
    }


def redacted(attempt: Attempt, error: str) -> str:
    """
    Return an error without the API key and the customer's data.

    Button may quote what it was sent.
    """
    if not error:
        return ""
    error = attempt.client.redact(error)
    if attempt.row.erased_at is not None:
        # The values to look for are not known any more.
        return make_storable(without_foreign_words(error))
    fields = attempt.desired.fields if attempt.desired else {}
    customer = fields.get("customer") or attempt.row.customer
    if isinstance(customer, Mapping):
        for value in customer.values():
            if isinstance(value, str):
                error = redact_word(error, value, "[customer]")
    return make_storable(error)
