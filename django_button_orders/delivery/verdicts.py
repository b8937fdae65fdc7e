"""
What an answer of Button means: the whole table, without side effects.

The meanings of 409 on a create and of 403 on a change are known from one third
party; that 2xx may come without JSON is on Button's own page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus

from django_button_orders.client.answers import Answer
from django_button_orders.client.exceptions import ButtonError, NotSentError
from django_button_orders.models import ButtonOrder, Submission

Operation = Submission.Operation
Reason = ButtonOrder.Reason

CHANGES = (Operation.UPDATE, Operation.CANCEL)
NOT_NOW = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}


class Result(Enum):
    REPORTED = "reported"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DISMISSED = "dismissed"
    # Try again later: at the next turn of the schedule, once the account is
    # not paused any more, or at once because the attempt was not made.
    RETRY = "retry"
    PAUSE = "pause"
    RELEASE = "release"


SUCCESSES = (Result.REPORTED, Result.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """
    What follows from an attempt.

    ``is_definite`` is false where Button may have acted without our knowing.
    ``retry_after`` is what Button asked for, in seconds.
    """

    result: Result
    reason: str = ""
    error: str = ""
    is_definite: bool = True
    retry_after: float | None = None


def judge(operation: str, answer: Answer | ButtonError) -> Verdict | str:
    """Return a verdict, or the name of the operation that has to follow."""
    if isinstance(answer, ButtonError):
        is_definite = isinstance(answer, NotSentError)
        return Verdict(
            result=Result.RETRY,
            reason=Reason.UNAVAILABLE,
            error=str(answer),
            is_definite=is_definite,
        )
    if answer.is_ok:
        return RULES_OK[operation]
    follow_up = FOLLOW_UPS.get((operation, answer.status_code))
    if follow_up is not None:
        return follow_up
    if operation == Operation.RETRIEVE and is_refusal(answer):
        # A question that Button does not take says nothing about the order.
        return Operation.CREATE
    return judge_error(operation, answer)


RULES_OK: dict[str, Verdict | str] = {
    Operation.CREATE: Verdict(result=Result.REPORTED),
    Operation.UPDATE: Verdict(result=Result.REPORTED),
    Operation.CANCEL: Verdict(result=Result.CANCELLED),
    Operation.RETRIEVE: Operation.UPDATE,
}

FOLLOW_UPS: dict[tuple[str, int], Verdict | str] = {
    (Operation.CREATE, HTTPStatus.CONFLICT): Operation.UPDATE,
    (Operation.UPDATE, HTTPStatus.NOT_FOUND): Operation.CREATE,
    (Operation.CANCEL, HTTPStatus.NOT_FOUND): Verdict(result=Result.CANCELLED),
    (Operation.RETRIEVE, HTTPStatus.NOT_FOUND): Operation.CREATE,
}


def is_refusal(answer: Answer) -> bool:
    special = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *NOT_NOW}
    return 400 <= answer.status_code < 500 and answer.status_code not in special


def judge_error(operation: str, answer: Answer) -> Verdict:
    status = answer.status_code
    error = describe_answer(operation, answer)
    if status == HTTPStatus.UNAUTHORIZED:
        return Verdict(result=Result.PAUSE, reason=Reason.UNAUTHORIZED, error=error)
    if status == HTTPStatus.FORBIDDEN and operation in CHANGES:
        return Verdict(result=Result.FAILED, reason=Reason.FINALIZED, error=error)
    if status == HTTPStatus.FORBIDDEN:
        return Verdict(result=Result.RETRY, reason=Reason.UNAUTHORIZED, error=error)
    if is_retryable(operation, status):
        return Verdict(
            result=Result.RETRY,
            reason=Reason.UNAVAILABLE,
            error=error,
            is_definite=300 <= status < 500,
            retry_after=answer.retry_after,
        )
    return Verdict(result=Result.FAILED, reason=Reason.REFUSED, error=error)


def is_retryable(operation: str, status: int) -> bool:
    if status in NOT_NOW or not 300 <= status < 500:
        return True
    return status == HTTPStatus.CONFLICT and operation in CHANGES


def describe_answer(operation: str, answer: Answer) -> str:
    """Return one sentence about an answer, in Button's words where it has any."""
    if 300 <= answer.status_code < 400:
        return (
            f"Button answered {answer.status_code} to {operation}: a redirect, "
            "which is never followed. Check BASE_URL."
        )
    if answer.is_html:
        return (
            f"A page of HTML came back with status {answer.status_code}: "
            "a proxy answered, not Button."
        )
    message = answer.message or WITHOUT_MESSAGE
    return f"Button answered {answer.status_code} to {operation}: {message}"


WITHOUT_MESSAGE = "without a message"
PREAMBLE = re.compile(
    r"(Gave up after all attempts\. The last one: )?"
    r"(Button answered [0-9]{3} to [a-z]+: )?"
)


def message_of(error: str) -> str:
    """Return the words of Button's in what is kept of an answer, or all of it."""
    message = PREAMBLE.sub("", error, count=1)
    return "" if message == WITHOUT_MESSAGE else message


def exhausted(verdict: Verdict) -> Verdict:
    """Return what becomes of one that waits when there is no attempt left."""
    error = f"Gave up after all attempts. The last one: {verdict.error}"
    return replace(verdict, result=Result.FAILED, reason=Reason.EXHAUSTED, error=error)


def unknown_outcome(error: str) -> Verdict:
    """Return that an attempt ended without our knowing what Button has done."""
    return Verdict(
        result=Result.RETRY, reason=Reason.UNAVAILABLE, error=error, is_definite=False
    )


def interrupted() -> Verdict:
    return unknown_outcome("The worker ended in the middle of a call.")
