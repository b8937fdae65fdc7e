"""
Ask Button about many orders of one account with GET requests.

The requests are made in parallel, within the rate limit. Those that Button fails to
answer are repeated a few times.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from django_button_orders.client import CallPool
from django_button_orders.clock import monotonic
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.call import make_call
from django_button_orders.delivery.outcome import redacted
from django_button_orders.delivery.rate_limit import (
    AHEAD_SECONDS,
    rate_of,
    reserve_turns,
)
from django_button_orders.delivery.verdicts import (
    Result,
    Verdict,
    judge_retrieve,
    with_full_stop,
)
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.operations.throttle import Throttle

Operation = Submission.Operation
Reason = ButtonOrder.Reason

# Seconds to wait before each repetition of questions without an answer.
WAITS = (1.0, 5.0, 15.0, 30.0)
# If Button has answered other questions, the order itself is probably the cause.
WAITS_FOR_ONE = WAITS[:2]
# If Button asks for a longer wait, the comparison ends. It can be resumed later.
MAX_WAIT_SECONDS = 300.0
# After this number of failures in a row, Button is probably down.
MANY_FAILURES = 5
POLL_SECONDS = 0.1

Wait = Callable[[float], object]


class AccountTurns:
    """Waits for the turns that ``RATE_LIMIT`` gives one account."""

    def __init__(self, account: str, *, wait: Wait = time.sleep) -> None:
        self.account = account
        self.wait = wait
        self.moments: deque[float] = deque()

    def wait_for_turn(self) -> None:
        """Wait for the next turn. One query reserves the turns of a second."""
        rate = rate_of(self.account)
        if rate is None:
            return
        # A turn that was not used in time is lost, as in a sweep.
        while self.moments and self.moments[0] < monotonic() - 1 / rate:
            self.moments.popleft()
        if not self.moments:
            count = max(1, int(rate * AHEAD_SECONDS))
            first = monotonic() + reserve_turns(self.account, count)
            self.moments.extend(first + turn / rate for turn in range(count))
        seconds = self.moments.popleft() - monotonic()
        if seconds > 0:
            self.wait(seconds)


@dataclass(kw_only=True)
class Questions:
    """
    Asks Button about orders of one account.

    ``tell`` is called with a sentence before each wait for Button. ``ended`` is the
    reason why no more questions can be asked, or "".
    """

    concurrency: int
    turns: AccountTurns
    throttle: Throttle
    is_stopped: Callable[[], bool]
    wait: Wait
    tell: Callable[[str], object] = lambda text: None
    ended: str = ""
    failures_in_a_row: int = 0
    asked_to_wait: float = 0.0
    # Set when Button needs a rest: no thread asks the next question.
    must_wait: threading.Event = field(default_factory=threading.Event)

    def ask(self, attempts: list[Attempt]) -> Iterator[list[Attempt]]:
        """
        Ask about orders until Button has answered, or more tries are useless.

        Yields the attempts of each round. The next round repeats those without an
        answer, after a wait.
        """
        waits, has_answered = iter(WAITS), False
        while attempts:
            asked = self.ask_once(attempts)
            yield asked
            failed = [reset(attempt) for attempt in asked if is_unanswered(attempt)]
            untried = [attempt for attempt in attempts if not attempt.calls]
            if len(failed) < len(asked):
                waits, has_answered = iter(WAITS_FOR_ONE), True
            # Repetitions come last, so that no order delays the others.
            attempts = untried + failed
            seconds = next(waits, None)
            if seconds is None and not has_answered:
                self.ended = self.ended or describe_failure(asked)
            if not attempts or seconds is None:
                return
            if not self.wait_for_next_round(seconds, asked):
                return

    def wait_for_next_round(self, seconds: float, asked: list[Attempt]) -> bool:
        """Wait, and return whether another round may begin."""
        seconds, self.asked_to_wait = max(seconds, self.asked_to_wait), 0.0
        if seconds > MAX_WAIT_SECONDS and not self.ended:
            self.ended = f"Button asks to retry in {seconds:.0f} seconds."
        if not self.ended and not self.is_stopped():
            if error := find_last_error(asked):
                why = with_full_stop(error)
                self.tell(f"No answer yet: {why} Retrying in {seconds:.0f} s.")
            self.wait(seconds)
        return not self.ended and not self.is_stopped()

    def ask_once(self, attempts: list[Attempt]) -> list[Attempt]:
        self.must_wait.clear()
        self.failures_in_a_row = 0
        asked: list[Attempt] = []
        with CallPool(self.concurrency, self.perform) as pool:
            for attempt in attempts:
                while pool.in_flight >= self.concurrency:
                    asked += pool.pop_done(POLL_SECONDS)
                if not self.must_stop():
                    self.throttle.admit()
                    self.turns.wait_for_turn()
                if self.must_stop():
                    break
                pool.put(attempt)
            while pool.in_flight:
                asked += pool.pop_done(POLL_SECONDS)
        return [attempt for attempt in asked if attempt.calls]

    def must_stop(self) -> bool:
        return self.must_wait.is_set() or self.is_stopped()

    def perform(self, attempt: Attempt) -> None:
        """Ask about one order, in a thread of the pool."""
        if not self.must_stop():
            call = make_call(attempt, Operation.RETRIEVE, monotonic())
            attempt.verdict = judge_retrieve(call.answer)
            self.count_failures(attempt, attempt.verdict)

    def count_failures(self, attempt: Attempt, verdict: Verdict) -> None:
        """Stop the round when an answer says that Button needs a rest."""
        if verdict.result is Result.PAUSE:
            self.ended = redacted(attempt, verdict.error)
            self.must_wait.set()
        elif verdict.result is not Result.RETRY:
            self.failures_in_a_row = 0
        else:
            self.failures_in_a_row += 1
            self.asked_to_wait = max(self.asked_to_wait, verdict.retry_after or 0.0)
            if self.asked_to_wait or self.failures_in_a_row >= MANY_FAILURES:
                self.must_wait.set()


def is_unanswered(attempt: Attempt) -> bool:
    verdict = attempt.verdict
    # A 403 is an answer: it concerns this order alone.
    return verdict is not None and verdict.reason == Reason.UNAVAILABLE


def reset(attempt: Attempt) -> Attempt:
    return replace(attempt, verdict=None, calls=[])


def describe_failure(attempts: list[Attempt]) -> str:
    error = with_full_stop(find_last_error(attempts))
    return f"Button does not answer. The last error: {error}"


def find_last_error(attempts: list[Attempt]) -> str:
    """Return why the last of the questions without an answer has none, or ""."""
    errors = [
        redacted(attempt, attempt.verdict.error)
        for attempt in attempts
        if attempt.verdict is not None and is_unanswered(attempt)
    ]
    return errors[-1] if errors else ""
