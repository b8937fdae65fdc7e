"""Asking Button about many orders: in parallel, at a pace, and with patience."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from django_button_orders.client.answers import Answer
from django_button_orders.client.exceptions import ButtonError
from django_button_orders.delivery import verdicts
from django_button_orders.delivery.attempt import Attempt, Exchange
from django_button_orders.delivery.call import make_call
from django_button_orders.delivery.rate_limit import AHEAD_SECONDS, rate_of, take_turns
from django_button_orders.delivery.threads import Senders
from django_button_orders.delivery.verdicts import Result, Verdict, judge
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.operations.throttle import Throttle

Operation = Submission.Operation
Reason = ButtonOrder.Reason

# Seconds until those are asked about again that Button did not answer for.
WAITS = (1.0, 5.0, 15.0, 30.0)
# Where it has answered for others, it is up to the order.
WAITS_FOR_ONE = WAITS[:2]
# If Button asks for more, that is the end of it: it can go on another time.
PATIENCE_SECONDS = 300.0
# So many failures in a row are not the fault of the orders.
MANY_FAILURES = 5
POLL_SECONDS = 0.1

Wait = Callable[[float], object]


class AccountTurns:
    """The turns to call an account, where ``RATE_LIMIT`` says how many there are."""

    def __init__(self, account: str, *, wait: Wait = time.sleep) -> None:
        self.account = account
        self.wait = wait
        self.moments: deque[float] = deque()

    def wait_for_turn(self) -> None:
        """Wait for one's turn. Some are taken ahead, with one look at the clock."""
        rate = rate_of(self.account)
        if rate is None:
            return
        # Turns that have passed are gone, as they are for everybody.
        while self.moments and self.moments[0] < time.monotonic() - 1 / rate:
            self.moments.popleft()
        if not self.moments:
            count = max(1, int(rate * AHEAD_SECONDS))
            first = time.monotonic() + take_turns(self.account, count)
            self.moments.extend(first + turn / rate for turn in range(count))
        seconds = self.moments.popleft() - time.monotonic()
        if seconds > 0:
            self.wait(seconds)


@dataclass(kw_only=True)
class Questions:
    """Questions to one account at Button. ``ended`` says why there are no more."""

    concurrency: int
    turns: AccountTurns
    throttle: Throttle
    is_stopped: Callable[[], bool]
    wait: Wait
    ended: str = ""
    failures_in_a_row: int = 0
    asked_to_wait: float = 0.0
    # Set when Button had better be left alone for a while.
    is_enough: threading.Event = field(default_factory=threading.Event)

    def ask(self, attempts: list[Attempt]) -> Iterator[list[Attempt]]:
        """
        Ask until Button has answered, or there is no use in it.

        Yields what was asked, round by round. What Button did not answer for is
        asked about again, once there has been some time.
        """
        waits, has_answered = iter(WAITS), False
        while attempts:
            asked = self.ask_once(attempts)
            yield asked
            failed = [afresh(attempt) for attempt in asked if is_unanswered(attempt)]
            untried = [attempt for attempt in attempts if not attempt.has_begun]
            if len(failed) < len(asked):
                waits, has_answered = iter(WAITS_FOR_ONE), True
            # One that fails each time must not keep the others waiting.
            attempts = untried + failed
            seconds = next(waits, None)
            if seconds is None and not has_answered:
                self.ended = self.ended or describe_failure(asked)
            if not attempts or seconds is None or not self.may_go_on(seconds):
                return

    def may_go_on(self, seconds: float) -> bool:
        seconds, self.asked_to_wait = max(seconds, self.asked_to_wait), 0.0
        if seconds > PATIENCE_SECONDS and not self.ended:
            self.ended = f"Button asks to come again in {seconds:.0f} seconds."
        if not self.ended and not self.is_stopped():
            self.wait(seconds)
        return not self.ended and not self.is_stopped()

    def ask_once(self, attempts: list[Attempt]) -> list[Attempt]:
        self.is_enough.clear()
        self.failures_in_a_row = 0
        done: list[Attempt] = []
        with Senders(self.concurrency, self.perform) as senders:
            for attempt in attempts:
                while senders.in_flight >= self.concurrency:
                    done += senders.take(POLL_SECONDS)
                if not self.is_over():
                    self.throttle.admit()
                    self.turns.wait_for_turn()
                if self.is_over():
                    break
                senders.put(attempt)
            while senders.in_flight:
                done += senders.take(POLL_SECONDS)
        return [attempt for attempt in done if attempt.has_begun]

    def is_over(self) -> bool:
        return self.is_enough.is_set() or self.is_stopped()

    def perform(self, attempt: Attempt) -> None:
        """Ask one question. Threads do this."""
        if not self.is_over():
            exchange = make_call(attempt, Operation.RETRIEVE, time.monotonic())
            attempt.verdict = read_answer(exchange)
            self.heed(attempt.verdict)

    def heed(self, verdict: Verdict) -> None:
        if verdict.result is Result.PAUSE:
            self.ended = verdict.error
            self.is_enough.set()
        elif verdict.result is not Result.RETRY:
            self.failures_in_a_row = 0
        else:
            self.failures_in_a_row += 1
            self.asked_to_wait = max(self.asked_to_wait, verdict.retry_after or 0.0)
            if self.asked_to_wait or self.failures_in_a_row >= MANY_FAILURES:
                self.is_enough.set()


def read_answer(exchange: Exchange) -> Verdict:
    """Return how a question ended: that an order is not known is an answer, too."""
    result = judge(Operation.RETRIEVE, exchange.answer)
    if isinstance(result, Verdict):
        return result
    answer = exchange.answer
    error = (
        verdicts.describe_answer(Operation.RETRIEVE, answer)
        if isinstance(answer, Answer)
        else str(answer)
    )
    if is_from_others(answer):
        return Verdict(result=Result.RETRY, reason=Reason.UNAVAILABLE, error=error)
    if result == Operation.UPDATE or exchange.status_code == 404:
        return Verdict(result=Result.REPORTED)
    return Verdict(result=Result.FAILED, reason=Reason.REFUSED, error=error)


def is_from_others(answer: Answer | ButtonError) -> bool:
    """
    Return whether a proxy, say, does not know the address: Button answers in JSON.

    Taken for Button's word, it would have all the orders there are sent again.
    """
    if not isinstance(answer, Answer) or answer.status_code != 404:
        return False
    return answer.is_html or not answer.is_json


def is_unanswered(attempt: Attempt) -> bool:
    verdict = attempt.verdict
    # A 403 is an answer about this one order: others are none of its business.
    return verdict is not None and verdict.reason == Reason.UNAVAILABLE


def afresh(attempt: Attempt) -> Attempt:
    return replace(attempt, verdict=None, has_begun=False, exchanges=[])


def describe_failure(attempts: list[Attempt]) -> str:
    errors = [item.verdict.error for item in attempts if item.verdict is not None]
    return f"Button does not answer. The last error: {errors[-1]}"
