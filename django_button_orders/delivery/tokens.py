"""
Find the attribution token that Button has tied to an order.

Button ties a token to an order when the order is created. No update changes that.
"""

from __future__ import annotations

from django_button_orders.client import Answer
from django_button_orders.delivery.attempt import Attempt, Call
from django_button_orders.delivery.verdicts import (
    SUCCESSES,
    Next,
    find_rule,
    with_error,
)
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.report.validation import is_btn_ref

Operation = Submission.Operation
Reason = ButtonOrder.Reason


def find_tied_token(attempt: Attempt) -> str | None:
    """
    Return the token that Button has tied to an attempt's order, as far as is known.

    It is "" if Button was told of none, and None if no create of the order is known.
    """
    if attempt.verdict is not None and attempt.verdict.reason == Reason.TAKEN:
        # What Button shows is another order.
        return None
    token: str | None = attempt.row.reported_btn_ref
    for call in attempt.calls:
        token = token_after(call, token, attempt)
    return token


def token_after(call: Call, before: str | None, attempt: Attempt) -> str | None:
    """Return the tied token as it is known after a call."""
    rule = find_rule(call.operation, call.answer)
    if isinstance(rule, Next) and rule.is_known is False:
        # Button does not have the order, so the next create counts.
        return None
    if call.operation == Operation.RETRIEVE:
        shown = shown_token(call, attempt)
        return before if shown is None else shown
    if call.operation != Operation.CREATE or isinstance(rule, Next):
        return before
    verdict = with_error(rule, call.operation, call.answer)
    if verdict.result in SUCCESSES:
        return sent_token(attempt)
    # Of several creates whose outcome is unknown, the first one counts.
    return before if verdict.is_definite or before is not None else sent_token(attempt)


def shown_token(call: Call, attempt: Attempt) -> str | None:
    """Return the token of the order that an answer shows, or None if it shows none."""
    order = call.answer.order if isinstance(call.answer, Answer) else {}
    if "btn_ref" not in order:
        return None
    token = order["btn_ref"]
    if token is None or token == "":
        return ""
    return str(attempt.client.redact(token)) if is_btn_ref(token) else None


def sent_token(attempt: Attempt) -> str:
    """Return the token that an attempt's create has sent, or ""."""
    assert attempt.desired is not None  # noqa: S101 - or else nothing was sent
    return str(attempt.desired.payload.get("btn_ref", ""))
