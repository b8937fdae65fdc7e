"""
Walk through Button's guide "Validating Order Reporting" with an invented order.

The order is created, partly returned and cancelled at Button, and Button is asked for
it after each change. The calls are those of a worker, but no row and no submission is
written. ``samples`` invents the order, and ``steps`` judges each call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from django_button_orders.client import Answer, NotSentError
from django_button_orders.clock import monotonic
from django_button_orders.conf import Settings, get_settings
from django_button_orders.delivery.attempt import Attempt, Call
from django_button_orders.delivery.call import make_call
from django_button_orders.delivery.desired import Desired
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.reconcile.questions import AccountTurns, Wait
from django_button_orders.reconcile.steps import (
    DIFFERS,
    FAILED,
    NOT_FOUND,
    Step,
    check_cancelled,
    compare_with_sent,
    judge_change,
)
from django_button_orders.report.objects import OrderReport

Operation = Submission.Operation
JudgeCall = Callable[[Attempt, Call], Step]

# After these answers to a create, Button may have the order.
MAYBE_THERE = (408, 409)
# After these answers, a repetition may have another one.
PASSING = (404, 408, 409, 425, 429)
# Button may apply a change some seconds after it has accepted it. These are the seconds
# to wait before each repetition of a question, or of a cancellation that failed.
WAITS = (1.0, 4.0, 10.0)
LONGEST_WAIT = 60.0
TOO_EARLY = (
    "Button does not have the order. The call that creates it got no answer, and may "
    "still arrive."
)


@dataclass(kw_only=True)
class Walk:
    """
    The walk with one invented order.

    ``returned`` is the order after a partial return, or None to leave that step out.
    ``tell`` is called with each step. Once ``is_stopped()``, the order is cancelled
    and the walk ends.
    """

    account: str
    report: OrderReport
    returned: OrderReport | None = None
    tell: Callable[[Step], object] = lambda step: None
    is_stopped: Callable[[], bool] = lambda: False
    wait: Wait
    steps: list[Step] = field(default_factory=list)
    # Whether Button may have the order, so that it has to be cancelled.
    may_be_there: bool = False
    # Whether the create got no answer, so that Button may carry it out at any time.
    may_arrive_late: bool = False

    @property
    def order_id(self) -> str:
        return str(self.report.order_id)

    @property
    def is_good(self) -> bool:
        return all(step.is_good for step in self.steps)

    @cached_property
    def settings(self) -> Settings:
        return get_settings(self.account)

    @cached_property
    def turns(self) -> AccountTurns:
        return AccountTurns(self.account, wait=self.wait)

    def run(self) -> None:
        """Take the steps. Whatever happens, cancel an order that Button may have."""
        try:
            self.report_and_return()
        finally:
            if self.may_be_there:
                self.cancel()

    def report_and_return(self) -> None:
        """Create the order and return a part, as long as Button accepts it."""
        step = self.change(Operation.CREATE, self.report)
        if step.result == FAILED:
            return
        self.check(self.report)
        if self.returned is None or self.is_stopped():
            return
        if self.change(Operation.UPDATE, self.returned).result != FAILED:
            self.check(self.returned)

    def change(self, operation: str, report: OrderReport) -> Step:
        """Create or update the order. Neither is repeated if it fails."""
        if operation == Operation.CREATE:
            self.may_be_there = True
        attempt, call = self.call(operation, report)
        step = judge_change(attempt, call)
        if operation == Operation.CREATE:
            self.may_be_there = not is_refused(call)
            self.may_arrive_late = self.may_be_there and step.result == FAILED
        return self.add(step)

    def check(self, report: OrderReport) -> None:
        """Ask Button for the order, and compare it with what was sent."""
        self.repeat(Operation.RETRIEVE, report, compare_with_sent)

    def cancel(self) -> None:
        """Cancel the order, and ask Button for it."""
        if self.repeat(Operation.CANCEL, None, self.judge_cancel).is_good:
            step = self.repeat(Operation.RETRIEVE, None, check_cancelled)
            self.may_be_there = step.result == DIFFERS

    def judge_cancel(self, attempt: Attempt, call: Call) -> Step:
        """Return the step of a cancellation, which fails if it may be too early."""
        step = judge_change(attempt, call)
        if self.may_arrive_late and call.status_code == NOT_FOUND:
            return replace(step, result=FAILED, words=TOO_EARLY)
        return step

    def repeat(
        self, operation: str, report: OrderReport | None, judge_call: JudgeCall
    ) -> Step:
        """Repeat a call until its step is good. Stop if more calls are useless."""
        attempt, call = self.call(operation, report)
        step = judge_call(attempt, call)
        for seconds in WAITS:
            if step.is_good or is_final(call):
                break
            self.wait(max(seconds, asked_to_wait(call)))
            attempt, call = self.call(operation, report)
            step = judge_call(attempt, call)
        return self.add(step)

    def add(self, step: Step) -> Step:
        self.steps.append(step)
        self.tell(step)
        return step

    def call(self, operation: str, report: OrderReport | None) -> tuple[Attempt, Call]:
        """Make one call, as a worker would. The row is not saved."""
        attempt = Attempt(
            row=ButtonOrder(account=self.account, order_id=self.order_id),
            lease_ends=float("inf"),
            settings=self.settings,
            desired=Desired(order_id=self.order_id, report=report),
        )
        self.turns.wait_for_turn()
        return attempt, make_call(attempt, operation, monotonic())


def is_refused(call: Call) -> bool:
    """Return whether Button certainly did not carry out a create."""
    if isinstance(call.answer, Answer):
        status = call.answer.status_code
        return 300 <= status < 500 and status not in MAYBE_THERE
    return isinstance(call.answer, NotSentError)


def is_final(call: Call) -> bool:
    """Return whether the answer to a repetition would be the same."""
    if not isinstance(call.answer, Answer):
        return False
    status = call.answer.status_code
    return 300 <= status < 500 and status not in PASSING


def asked_to_wait(call: Call) -> float:
    """Return the seconds that Button asks to wait, up to ``LONGEST_WAIT``."""
    retry_after = getattr(call.answer, "retry_after", None)
    return min(retry_after or 0.0, LONGEST_WAIT)
