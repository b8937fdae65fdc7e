"""
Judge the calls of a walk through Button's guide, and compare what Button shows.

Nothing here makes a call. All values are of invented orders, so they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_button_orders.client import Answer
from django_button_orders.client.answers import parse_object
from django_button_orders.delivery.attempt import Attempt, Call
from django_button_orders.delivery.outcome import redacted
from django_button_orders.delivery.verdicts import (
    SUCCESSES,
    Verdict,
    describe_answer,
    judge,
    judge_retrieve,
    knows_order,
)
from django_button_orders.delivery.window import NAMES
from django_button_orders.reconcile.values import (
    MAX_LENGTH,
    MAX_SHOWN,
    Path,
    Values,
    as_button_shows,
    find_certain_differences,
    flatten,
    name_of,
)
from django_button_orders.report.validation import make_storable

OK, DIFFERS, NOT_SHOWN, FAILED = "ok", "differs", "not shown", "failed"
DELETED, FINALIZED = "deleted", "finalized"
ACCEPTED, NOT_FOUND = 202, 404


@dataclass(frozen=True, kw_only=True)
class Step:
    """
    One call of a walk, and what it has shown.

    ``result`` is "ok", "differs" (Button shows another value), "not shown" (Button
    shows nothing to compare) or "failed". ``words`` explains it. ``sent`` and ``shown``
    are the JSON objects of both sides. ``differences`` has our value and Button's by
    the name of the field, and ``not_shown`` names the fields that Button leaves out.
    """

    operation: str
    call: str
    status_code: int | None
    duration_ms: int
    result: str
    words: str
    sent: Mapping[str, Any] = field(default_factory=dict)
    shown: Mapping[str, Any] = field(default_factory=dict)
    differences: Mapping[str, list[Any]] = field(default_factory=dict)
    not_shown: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.result in (OK, NOT_SHOWN)

    @property
    def button_order_id(self) -> str:
        return as_text(self.shown.get("button_order_id"))

    @property
    def can_be_changed_until(self) -> str:
        """The moment that Button shows of an open order, as written there, or ""."""
        if self.shown.get("status") in (DELETED, FINALIZED):
            return ""
        return next(filter(None, (as_text(self.shown.get(name)) for name in NAMES)), "")


def as_step(
    attempt: Attempt, call: Call, result: str, words: str, **values: Any
) -> Step:
    """Return the step of a call. Button's words are shown without the API key."""
    answer = call.answer
    return Step(
        operation=str(call.operation),
        call=f"{call.method} {call.url}",
        status_code=call.status_code,
        duration_ms=call.duration_ms,
        result=result,
        words=redacted(attempt, words),
        sent=parse_object(call.request_body) or {},
        shown=answer.order if isinstance(answer, Answer) else {},
        **values,
    )


def judge_change(attempt: Attempt, call: Call) -> Step:
    """Return the step of a create, an update or a cancellation."""
    verdict = judge(call.operation, call.answer)
    if isinstance(verdict, Verdict) and verdict.result in SUCCESSES:
        return as_step(attempt, call, OK, describe_success(call))
    if isinstance(verdict, Verdict):
        return as_step(attempt, call, FAILED, verdict.error)
    # A worker would make another call, as after a create that Button knows already.
    words = describe_answer(call.operation, call.answer)  # type: ignore[arg-type]  # it follows only from an answer
    return as_step(attempt, call, FAILED, words)


def describe_success(call: Call) -> str:
    if call.status_code == NOT_FOUND:
        return "Button does not have the order (any more)."
    if call.status_code == ACCEPTED:
        return "Button accepted it, and may apply it later."
    return "Button accepted it."


def compare_with_sent(attempt: Attempt, call: Call) -> Step:
    """Return the step of a question about an order that Button should have."""
    if problem := find_problem(attempt, call):
        return problem
    order = order_of(call)
    if knows_order(call.answer) is False:
        return as_step(attempt, call, FAILED, "Button does not have the order.")
    if not order:
        return as_step(
            attempt, call, NOT_SHOWN, "Button's answer does not show the order."
        )
    if order.get("status") == DELETED:
        return differs_in_status(attempt, call, "open", DELETED)
    assert attempt.desired is not None  # noqa: S101 - Walk.call() sets it
    theirs = flatten(order)
    if "btn_ref" in order and order["btn_ref"] is None:
        # Button shows null for an order without a token.
        theirs["btn_ref",] = ""
    ours = as_button_shows(
        attempt.desired.payload,
        theirs,
        total_as_decimal=attempt.settings.total_as_decimal,
    )
    paths = find_certain_differences(ours, theirs)
    values: dict[str, Any] = {
        "differences": as_plain(paths, ours, theirs),
        "not_shown": tuple(names_not_shown(ours, theirs)),
    }
    if paths:
        words = "Button shows other values than were sent."
        return as_step(attempt, call, DIFFERS, words, **values)
    if not ours.keys() & theirs.keys():
        words = "Button shows none of the fields that were sent."
        return as_step(attempt, call, NOT_SHOWN, words, **values)
    return as_step(attempt, call, OK, "Button shows what was sent.", **values)


def check_cancelled(attempt: Attempt, call: Call) -> Step:
    """
    Return the step of a question about a cancelled order.

    Button does not publish whether it still shows such an order, so both are right.
    """
    if problem := find_problem(attempt, call):
        return problem
    status = order_of(call).get("status")
    if knows_order(call.answer) is False:
        return as_step(attempt, call, OK, "Button no longer shows the order.")
    if status == DELETED:
        return as_step(attempt, call, OK, "Button shows the order as deleted.")
    if not isinstance(status, str):
        return as_step(attempt, call, NOT_SHOWN, "Button does not show the status.")
    return differs_in_status(attempt, call, DELETED, status)


def differs_in_status(attempt: Attempt, call: Call, ours: str, theirs: str) -> Step:
    theirs = as_text(theirs)
    words = f"Button shows the order as {theirs}."
    return as_step(
        attempt, call, DIFFERS, words, differences={"status": [ours, theirs]}
    )


def find_problem(attempt: Attempt, call: Call) -> Step | None:
    """Return the step of a question that Button did not answer, or None."""
    verdict = judge_retrieve(call.answer)
    if verdict.result in SUCCESSES:
        return None
    return as_step(attempt, call, FAILED, verdict.error)


def order_of(call: Call) -> dict[str, Any]:
    return call.answer.order if isinstance(call.answer, Answer) else {}


def as_plain(paths: list[Path], ours: Values, theirs: Values) -> dict[str, list[Any]]:
    """Return both sides' values of some paths by name. All are invented."""
    return {
        name_of(path): [as_value(ours.get(path)), as_value(theirs.get(path))]
        for path in paths[:MAX_SHOWN]
    }


def as_value(value: Any) -> Any:
    return as_text(value) if isinstance(value, str) else value


def as_text(value: Any) -> str:
    """Return a text of Button that is safe to store and to show, or ""."""
    return make_storable(value)[:MAX_LENGTH] if isinstance(value, str) else ""


def names_not_shown(ours: Values, theirs: Values) -> list[str]:
    """Return the names of the fields that were sent and that Button leaves out."""
    tops = {path[0] for path in theirs}
    return sorted(
        {
            f"{path[0]}.{path[-1]}" if path[0] in tops else path[0]
            for path in ours.keys() - theirs.keys()
        }
    )
