"""The sheet of a walk through Button's guide, as lines of text or as JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_button_orders import __version__
from django_button_orders.conf import get_settings
from django_button_orders.management.base import counted
from django_button_orders.models import Submission
from django_button_orders.reconcile.steps import Step
from django_button_orders.reconcile.walk import Walk
from django_button_orders.report.money import to_decimal

Operation = Submission.Operation
NAMES = {
    Operation.CREATE: "Create",
    Operation.UPDATE: "Return a part",
    Operation.CANCEL: "Cancel",
    Operation.RETRIEVE: "Ask Button",
}


@dataclass(kw_only=True)
class Sheet:
    """What Button's QA gets: when, where and with which orders, and what happened."""

    account: str
    moment: datetime
    walks: list[Walk]
    is_interrupted: bool = False

    @property
    def steps(self) -> list[Step]:
        return [step for walk in self.walks for step in walk.steps]

    @property
    def counts(self) -> dict[str, int]:
        bad = [step.result for step in self.steps if not step.is_good]
        return {
            "calls": len(self.steps),
            "failed": bad.count("failed"),
            "differ": bad.count("differs"),
        }

    @property
    def left_open(self) -> list[str]:
        """Return the IDs of the orders that may be open at Button."""
        return [walk.order_id for walk in self.walks if walk.may_be_there]

    @property
    def facts(self) -> dict[str, str]:
        return {
            "date": self.moment.strftime("%Y-%m-%d %H:%M UTC"),
            "account": self.account,
            "host": get_settings(self.account).base_url,
            "app": f"django-button-orders {__version__}",
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the sheet as JSON values."""
        return {
            **self.facts,
            **self.counts,
            "interrupted": self.is_interrupted,
            "left_at_button": self.left_open,
            "orders": [
                {
                    "order_id": walk.order_id,
                    "btn_ref": walk.report.btn_ref or "",
                    "button_order_id": button_order_id(walk),
                    "expected": describe_expected(walk),
                    "steps": [step_as_dict(step) for step in walk.steps],
                }
                for walk in self.walks
            ],
        }

    def as_lines(self) -> Iterator[str]:
        """Yield the sheet as lines of text."""
        yield "Sheet for Button's QA"
        for name, value in self.facts.items():
            yield f"{name.capitalize()}: {value}"
        for number, walk in enumerate(self.walks, start=1):
            yield ""
            yield f"Order {number}: {walk.order_id}"
            yield f"  Attribution token: {walk.report.btn_ref or 'none'}"
            yield f"  Button's order ID: {button_order_id(walk) or 'not shown'}"
            for at, step in enumerate(walk.steps, start=1):
                yield from describe_step(at, step)
        yield ""
        yield "Expected in the Orders tab of Button's dashboard:"
        for walk in self.walks:
            yield f"  {walk.order_id}: {describe_expected(walk)}"
        yield ""
        if self.left_open:
            yield from self.describe_left_open()

    def describe_left_open(self) -> Iterator[str]:
        yield "Button may have these orders. Ask Button to look for them:"
        for order_id in self.left_open:
            yield f"  {order_id} (DELETE /v1/order/{order_id})"


def button_order_id(walk: Walk) -> str:
    """Return the ID that Button has given to an order, or ""."""
    return next(filter(None, (step.button_order_id for step in walk.steps)), "")


def describe_expected(walk: Walk) -> str:
    """Return a sentence on what the dashboard should show of an order."""
    done = {step.operation for step in walk.steps if step.result != "failed"}
    if Operation.CREATE not in done:
        state = "Not there, or open" if walk.may_be_there else "Not there, or deleted"
        return f"{state}: the call that creates it failed."
    last = walk.returned if Operation.UPDATE in done and walk.returned else walk.report
    total = f"{to_decimal(last.total, last.currency)} {last.currency}"
    token = f"token {last.btn_ref}" if last.btn_ref else "no token"
    state = "Deleted" if Operation.CANCEL in done else "Open"
    count = counted(len(last.line_items or ()), "line")
    return f"{state}. Its last state: total {total}, {count}, {token}."


def describe_step(number: int, step: Step) -> Iterator[str]:
    """Yield the lines of a step: the call, what was sent, and what Button shows."""
    status = step.status_code or "no answer"
    name = NAMES[Operation(step.operation)]
    yield f"  {number}. {name}: {step.result}. {step.words}"
    yield f"     {step.call} → {status}, {step.duration_ms} ms"
    if step.sent:
        yield f"     Sent: {json.dumps(step.sent, ensure_ascii=False)}"
    for field, (ours, theirs) in step.differences.items():
        yield f"     {field}: sent {as_json(ours)}, Button shows {as_json(theirs)}"
    if step.not_shown:
        yield f"     Not shown by Button: {', '.join(step.not_shown)}"
    if step.can_be_changed_until and step.operation == Operation.RETRIEVE:
        yield f"     It can be changed until {step.can_be_changed_until}."


def as_json(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def step_as_dict(step: Step) -> dict[str, Any]:
    return {
        "step": NAMES[Operation(step.operation)],
        "operation": step.operation,
        "call": step.call,
        "status_code": step.status_code,
        "duration_ms": step.duration_ms,
        "result": step.result,
        "words": step.words,
        "sent": step.sent,
        "differences": step.differences,
        "not_shown": list(step.not_shown),
        "can_be_changed_until": step.can_be_changed_until,
    }
