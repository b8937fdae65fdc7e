"""
What Button's answers mean: one table, without side effects.

Button's own page says that a 2xx may come without JSON. What 409 means for a
create, and 403 for an update or a cancellation, is known from one third party.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from django_button_orders.client.answers import Answer
from django_button_orders.client.exceptions import ButtonError, NotSentError
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.report.privacy import without_quotes

Operation = Submission.Operation
Reason = ButtonOrder.Reason


class Result(Enum):
    """How an attempt ends, and so what becomes of its row."""

    REPORTED = "reported"
    CANCELLED = "cancelled"
    CLOSED = "closed"
    FAILED = "failed"
    DISMISSED = "dismissed"
    # The row stays pending. After RETRY it waits for the next turn of the schedule,
    # after PAUSE until Button accepts the account's key again. After RELEASE it is
    # due at once, because no call was made.
    RETRY = "retry"
    PAUSE = "pause"
    RELEASE = "release"


SUCCESSES = (Result.REPORTED, Result.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """
    The result of an attempt, with the reason and error that the row shows.

    ``is_definite`` is false if Button may have carried out the operation although it
    did not say so. ``retry_after`` is the wait that Button asked for, in seconds.
    """

    result: Result
    reason: str = ""
    error: str = ""
    is_definite: bool = True
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Next:
    """
    The operation that has to follow an answer.

    ``is_known`` is whether Button has the order, or None if it did not say so.
    """

    operation: str
    is_known: bool | None


REPORTED = Verdict(result=Result.REPORTED)
CANCELLED = Verdict(result=Result.CANCELLED)
REFUSED = Verdict(result=Result.FAILED, reason=Reason.REFUSED)
# The change comes too late.
FINALIZED = Verdict(result=Result.CLOSED, reason=Reason.FINALIZED)
# The change that is too late is only one of the customer, which needs no person.
CUSTOMER_KEPT = Verdict(result=Result.REPORTED)
LATER = Verdict(result=Result.RETRY, reason=Reason.UNAVAILABLE)
FORBIDDEN = Verdict(result=Result.RETRY, reason=Reason.UNAUTHORIZED)
KEY_REFUSED = Verdict(result=Result.PAUSE, reason=Reason.UNAUTHORIZED)
KNOWN = Next(Operation.UPDATE, is_known=True)
# Button has an order under this id, and has to be asked whose it is.
EXISTS = Next(Operation.RETRIEVE, is_known=True)
UNKNOWN = Next(Operation.CREATE, is_known=False)
# Button did not accept the question, which says nothing about the order.
NOT_SAID = Next(Operation.CREATE, is_known=None)

OPERATIONS = (
    Operation.CREATE,
    Operation.UPDATE,
    Operation.CANCEL,
    Operation.RETRIEVE,
)
# What each answer means for each operation. To add an answer, add a row. An answer
# has the first row that fits: "none" if there is no answer, "ok" for a 2xx that its
# body does not contradict, then its status, then its hundred, then "other".
# fmt: off
ANSWERS: dict[str, tuple[Verdict | Next, ...]] = {
    #         create            update            cancel            retrieve
    "none":  (LATER,            LATER,            LATER,            LATER),
    "ok":    (REPORTED,         REPORTED,         CANCELLED,        KNOWN),
    "2xx":   (LATER,            LATER,            LATER,            LATER),
    "3xx":   (REFUSED,          REFUSED,          REFUSED,          REFUSED),
    "401":   (KEY_REFUSED,      KEY_REFUSED,      KEY_REFUSED,      KEY_REFUSED),
    "403":   (FORBIDDEN,        FINALIZED,        FINALIZED,        FORBIDDEN),
    "404":   (REFUSED,          UNKNOWN,          CANCELLED,        UNKNOWN),
    "408":   (LATER,            LATER,            LATER,            LATER),
    "409":   (EXISTS,           LATER,            LATER,            NOT_SAID),
    "425":   (LATER,            LATER,            LATER,            LATER),
    "429":   (LATER,            LATER,            LATER,            LATER),
    "4xx":   (REFUSED,          REFUSED,          REFUSED,          NOT_SAID),
    "5xx":   (LATER,            LATER,            LATER,            LATER),
    "other": (LATER,            LATER,            LATER,            LATER),
}
# fmt: on


def find_rule(operation: str, answer: Answer | ButtonError) -> Verdict | Next:
    """Return what the table says about an answer to an operation."""
    if isinstance(answer, ButtonError):
        keys = ["none"]
    elif answer.is_ok:
        keys = ["ok"]
    else:
        keys = [f"{answer.status_code}", f"{answer.status_code // 100}xx", "other"]
    row = next(ANSWERS[key] for key in keys if key in ANSWERS)
    rule = row[OPERATIONS.index(Operation(operation))]
    is_change = operation in (Operation.UPDATE, Operation.CANCEL)
    is_final = rule in (UNKNOWN, CANCELLED, FINALIZED)
    if is_change and is_final and is_page_of_proxy(answer):
        # Button may have the order, and still accept changes.
        return LATER
    return rule


def is_page_of_proxy(answer: Answer | ButtonError) -> bool:
    """Return whether a proxy answered with a page of HTML."""
    return isinstance(answer, Answer) and answer.is_html


def judge(operation: str, answer: Answer | ButtonError) -> Verdict | str:
    """Return the verdict on an answer, or the operation that has to follow it."""
    rule = find_rule(operation, answer)
    if isinstance(rule, Next):
        return rule.operation
    return with_error(rule, operation, answer)


def judge_retrieve(answer: Answer | ButtonError) -> Verdict:
    """
    Return the verdict on a retrieve that no other operation follows.

    It is a success if Button said whether it has the order.
    """
    rule = find_retrieve_rule(answer)
    if isinstance(rule, Next):
        return REPORTED
    return with_error(rule, Operation.RETRIEVE, answer)


def find_retrieve_rule(answer: Answer | ButtonError) -> Verdict | Next:
    """Return what an answer means to a retrieve that no other operation follows."""
    rule = find_rule(Operation.RETRIEVE, answer)
    if rule is NOT_SAID:
        return REFUSED
    if rule is UNKNOWN and not is_from_button(answer):
        # If a proxy's 404 counted as Button's, every order would be created again.
        return LATER
    return rule


def with_error(rule: Verdict, operation: str, answer: Answer | ButtonError) -> Verdict:
    """Return a verdict of the table with the error that the answer shows."""
    if rule.result in SUCCESSES:
        return rule
    if isinstance(answer, ButtonError):
        is_definite = isinstance(answer, NotSentError)
        return replace(rule, error=str(answer), is_definite=is_definite)
    return replace(
        rule,
        error=describe_answer(operation, answer),
        is_definite=300 <= answer.status_code < 500,
        retry_after=answer.retry_after if rule is LATER else None,
    )


def knows_order(answer: Answer | ButtonError) -> bool | None:
    """Return whether Button has the order it was asked for, or None if not said."""
    rule = find_retrieve_rule(answer)
    return rule.is_known if isinstance(rule, Next) else None


def is_from_button(answer: Answer | ButtonError) -> bool:
    """Return whether Button sent the answer: a proxy answers in text or HTML."""
    return isinstance(answer, Answer) and answer.is_json and not answer.is_html


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
    words = answer.words or WITHOUT_MESSAGE
    return f"Button answered {answer.status_code} to {operation}: {words}"


WITHOUT_MESSAGE = "without a message"
# Ends the error of a row whose id another order has at Button.
TAKEN_ADVICE = (
    "Report this order under another ID. If Button's order is this one, press "
    "'Report over it' in the admin."
)
PREAMBLE = re.compile(
    r"(Gave up after all attempts\. The last one: )?"
    r"(Button answered [0-9]{3} to [a-z]+: )?"
)

ENDS = (".", "!", "?", "…", "。")

BUTTON_SAID = re.compile(r"(Button answered [0-9]{3} to [a-z]+): .*", re.DOTALL)


def message_of(error: str) -> str:
    """Return a stored error without our words: what Button said, if it said so."""
    message = PREAMBLE.sub("", error, count=1).removesuffix(TAKEN_ADVICE).rstrip()
    return "" if message == WITHOUT_MESSAGE else message


def with_full_stop(text: str) -> str:
    """Return a text as a sentence. Others may write none at the end of an error."""
    return text if text.endswith(ENDS) else f"{text}."


def without_foreign_words(error: str) -> str:
    """Return an error without what Button, a proxy or an adapter's exception said."""
    return without_quotes(BUTTON_SAID.sub(r"\1.", error))


def as_exhausted(verdict: Verdict) -> Verdict:
    """Return the verdict on a row that has no attempt left to retry with."""
    error = f"Gave up after all attempts. The last one: {verdict.error}"
    return replace(verdict, result=Result.FAILED, reason=Reason.EXHAUSTED, error=error)


def unknown_outcome(error: str) -> Verdict:
    """Return the verdict on an attempt that may or may not have reached Button."""
    return replace(LATER, error=error, is_definite=False)


INTERRUPTED = unknown_outcome("The worker ended in the middle of a call.")


def taken(error: str) -> Verdict:
    """Return the verdict on an order whose id another order has at Button."""
    error = f"{error} {TAKEN_ADVICE}"
    return Verdict(result=Result.FAILED, reason=Reason.TAKEN, error=error)


def invalid(error: str) -> Verdict:
    """Return the verdict on an order for which no valid report can be built."""
    return Verdict(result=Result.FAILED, reason=Reason.INVALID, error=error)
