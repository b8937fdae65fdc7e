"""Reporting one row, or whatever is due."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from django.db import DatabaseError, InterfaceError, OperationalError

from django_button_orders.conf import get_settings
from django_button_orders.delivery.attempt import Attempt, give_back_verdict
from django_button_orders.delivery.call import perform
from django_button_orders.delivery.calls import Multiplexer
from django_button_orders.delivery.claims import Claims, claim_one, enabled_rows
from django_button_orders.delivery.prepare import prepare_all
from django_button_orders.delivery.rate_limit import (
    AHEAD_SECONDS,
    seconds_ahead,
    wait_until,
)
from django_button_orders.delivery.record import record_all, record_surely
from django_button_orders.delivery.verdicts import INTERRUPTED, Result
from django_button_orders.models import ButtonOrder
from django_button_orders.models.querysets import ButtonOrderQuerySet
from django_button_orders.report.privacy import describe_for_log

logger = logging.getLogger(__name__)

# What is done is written down at least that often.
FLUSH_SECONDS = 0.1
# What answers a ring may keep other orders waiting for so long.
HEAD_START_SECONDS = 0.01

Progress = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class SweepLimits:
    """
    How long a sweep may last, in about so many seconds, and what ends it before.

    Once ``is_stopped()``, what has begun is finished and the rest given back.
    ``on_backlog`` is called once, if there is more than a batch to do.
    ``on_throttled`` is called where an account's ``RATE_LIMIT`` leaves something to
    do, with the seconds until there is a turn for it. One who ``is_patient`` waits
    for turns that others have taken, because nobody else would come back.
    """

    seconds: float = float("inf")
    is_stopped: Callable[[], bool] = lambda: False
    on_backlog: Callable[[], object] = lambda: None
    on_throttled: Callable[[float], object] = lambda seconds: None
    is_patient: bool = False


def report(
    pk: int, *, using: str, trigger: str = "save", user_id: str | None = None
) -> float | None:
    """
    Make one attempt at a row, if it is due and nobody else's.

    Return the seconds until its next attempt, or None when there is none.
    """
    attempts = claim_one(pk, using=using, trigger=trigger, user_id=user_id)
    try:
        for attempt in prepare_all(attempts):
            wait_until(attempt.not_before)
            perform(attempt)
        return next((attempt.delay for attempt in record_all(attempts)), None)
    except BaseException:
        give_back(attempts)
        raise


def report_with_others(
    pk: int, *, using: str, trigger: str, user_id: str | None, shift: SweepLimits
) -> float | None:
    """
    Make one attempt at a row, and report what else is due.

    One ring may stand for many rows. Where others are busy with a whole batch
    already, the rest is left to them. Return as ``report`` does.
    """
    attempts = claim_one(
        pk,
        using=using,
        trigger=trigger,
        user_id=user_id,
        on_throttled=lambda: shift.on_throttled(AHEAD_SECONDS),
    )
    report_due(
        using=using,
        # What a person has asked for is this one row.
        trigger=trigger if user_id is None else "sweep",
        first=attempts,
        leaves_rest=lambda: is_crowded(using),
        shift=shift,
    )
    return attempts[0].delay if attempts else None


def is_crowded(using: str) -> bool:
    enough = get_settings().batch_size
    in_flight = ButtonOrder.objects.using(using).in_flight().values_list("pk")
    return len(in_flight[:enough]) == enough


def report_due(
    *,
    using: str,
    trigger: str = "sweep",
    rows: ButtonOrderQuerySet | None = None,
    first: Iterable[Attempt] = (),
    leaves_rest: Callable[[], bool] = lambda: False,
    shift: SweepLimits = SweepLimits(),
    progress: Progress = lambda outcome: None,
) -> Counter[str]:
    """
    Report what is due in one database.

    ``rows`` narrows it down, and ``first`` are attempts that are claimed
    already; the rest is left to others if ``leaves_rest()``. ``progress`` is
    called with each outcome. Return how many attempts had which outcome.
    """
    rows = enabled_rows(using) if rows is None else rows
    sweep = Sweep(
        claims=Claims(rows, trigger=trigger),
        shift=shift,
        ends=time.monotonic() + shift.seconds,
        leaves_rest=leaves_rest,
        progress=progress,
    )
    return sweep.run(list(first))


@dataclass(kw_only=True)
class Sweep:
    """
    A stream of attempts: claimed, prepared, sent and written down, in batches.

    Calls are under way all the while, and seen to in between.

    An account whose key is refused gets no more calls. When the process is told
    to end, or the database is gone, what has begun is finished and the rest is
    given back. ``ends`` and ``look_at`` are moments of ``time.monotonic()``.
    """

    claims: Claims
    shift: SweepLimits
    ends: float
    leaves_rest: Callable[[], bool]
    progress: Progress
    batch_size: int = field(default_factory=lambda: get_settings().batch_size)
    concurrency: int = field(default_factory=lambda: get_settings().concurrency)
    outcomes: Counter[str] = field(default_factory=Counter)
    # What is claimed and not written down, by id(attempt), and the keys of rows
    # that were given back and not claimed again.
    unsettled: dict[int, Attempt] = field(default_factory=dict)
    released: set[int] = field(default_factory=set)
    released_in_a_row: int = 0
    # Prepared, but it is not their turn yet.
    early: deque[Attempt] = field(default_factory=deque)
    done: list[Attempt] = field(default_factory=list)
    # Done as well, but the shop has locked their rows.
    locked: list[Attempt] = field(default_factory=list)
    flush_at: float = 0
    look_at: float = 0
    has_backlog: bool = False
    # Accounts whose key was refused: what was leased until then is not sent.
    refused: dict[str, float] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)

    @cached_property
    def calls(self) -> Multiplexer:
        return Multiplexer(
            self.concurrency,
            is_stopped=self.is_stopped_for,
            on_end=self.heed,
        )

    def run(self, first: list[Attempt]) -> Counter[str]:
        self.unsettled = {id(attempt): attempt for attempt in first}
        try:
            with self.calls:
                self.report(first)
        except BaseException:
            self.give_back()
            raise
        if self.claims.unfinished and not self.has_backlog:
            # Only as fast as the account may be called: another has to go on.
            ahead = min(map(seconds_ahead, self.claims.unfinished))
            self.shift.on_throttled(max(ahead, 0.0))
        if self.released:
            self.outcomes[Result.RELEASE.value] = len(self.released)
        return self.outcomes

    def give_back(self) -> None:
        # There may not have been the file descriptors for any.
        calls = vars(self).get("calls")
        if calls is not None:
            # Once more, should that have been interrupted, too.
            calls.close()
        is_over = calls is None or not calls.active
        give_back(list(self.unsettled.values()), is_over=is_over)

    def report(self, first: list[Attempt]) -> None:
        try:
            self.send(first)
            self.give_head_start()
            if self.leaves_rest():
                self.ends = 0
            self.stream()
        except BaseException:
            self.is_over.set()
            raise

    def give_head_start(self) -> None:
        """Let the first be over before others are looked for, if that is soon."""
        if self.calls.in_flight:
            self.tend_calls(HEAD_START_SECONDS)
        if not self.calls.in_flight:
            self.flush()

    def stream(self) -> None:
        while True:
            self.send_early()
            if self.may_claim():
                self.send(self.claim())
            if not self.unsettled and not self.must_wait:
                return
            if self.calls.in_flight:
                self.tend_calls(FLUSH_SECONDS)
            elif self.early or self.must_wait or (self.locked and self.is_open):
                time.sleep(FLUSH_SECONDS)
            if not self.calls.in_flight:
                self.flush(waits=not self.is_open)
            elif len(self.done) >= self.batch_size:
                self.flush()
            else:
                self.keep_up()

    @property
    def must_wait(self) -> bool:
        """Whether there is something to do later, and nobody to come back for it."""
        is_endless = math.isinf(self.shift.seconds)
        is_patient = self.shift.is_patient or is_endless
        may_go_on = self.is_fruitful and self.is_open
        return self.claims.is_throttled and is_patient and may_go_on

    @property
    def is_open(self) -> bool:
        """Whether there is time to begin with more."""
        return time.monotonic() < self.ends and not self.shift.is_stopped()

    def may_claim(self) -> bool:
        now = time.monotonic()
        # Enough for the connections while the next are prepared.
        is_hungry = self.calls.in_flight + len(self.early) < 2 * self.concurrency
        is_time = now >= self.look_at or not self.unsettled
        return is_hungry and is_time and self.is_fruitful and self.is_open

    @property
    def is_fruitful(self) -> bool:
        # What was only given back would be claimed again, without end.
        return self.released_in_a_row <= 2 * self.batch_size

    def claim(self) -> list[Attempt]:
        attempts = self.claims.take(self.batch_size)
        if not attempts:
            self.look_at = time.monotonic() + FLUSH_SECONDS
        elif len(attempts) >= self.batch_size and not self.has_backlog:
            self.has_backlog = True
            self.shift.on_backlog()
        return attempts

    def send(self, attempts: list[Attempt]) -> None:
        self.unsettled |= {id(attempt): attempt for attempt in attempts}
        self.tend_calls()
        # The first are sent while the others are prepared, and only as long as
        # there is time to send them: the rest is given back.
        for attempt in prepare_all(
            attempts, is_stopped=self.is_stopped_for, meanwhile=self.tend_calls
        ):
            if attempt.verdict is not None:
                self.done.append(attempt)
            elif attempt.not_before:
                self.early.append(attempt)
            else:
                self.calls.put(attempt)
            # An adapter may take its time over each of them.
            self.keep_up()

    def send_early(self) -> None:
        """
        Send those whose turn comes before the next look.

        The others must not keep what has no limit from being sent.
        """
        soon = time.monotonic() + FLUSH_SECONDS
        for attempt in [self.early.popleft() for _ in range(len(self.early))]:
            if self.is_stopped_for(attempt) or self.claims.pace.call(attempt, soon):
                self.calls.put(attempt)
            else:
                self.early.append(attempt)

    def heed(self, attempt: Attempt) -> None:
        """Make no more calls for an account whose key was refused."""
        if is_refused(attempt):
            self.refused[attempt.row.account] = float("inf")

    def is_stopped_for(self, attempt: Attempt) -> bool:
        return (
            attempt.lease_ends < self.refused.get(attempt.row.account, 0)
            or self.is_over.is_set()
            or self.shift.is_stopped()
        )

    def tend_calls(self, seconds: float = 0) -> None:
        """See to the calls, which nobody else does."""
        self.done += self.calls.take(seconds)

    def keep_up(self) -> None:
        """Take what is done, and write it down if it is time."""
        self.tend_calls()
        if time.monotonic() >= self.flush_at:
            self.flush()

    def flush(self, *, waits: bool = False) -> None:
        """Write down what is done; where rows are locked, later, unless it waits."""
        done, self.done = self.done + self.locked, []
        for attempt in record_all(done, waits=waits, meanwhile=self.tend_calls):
            del self.unsettled[id(attempt)]
            self.count(attempt)
        self.locked = [attempt for attempt in done if id(attempt) in self.unsettled]
        self.flush_at = time.monotonic() + FLUSH_SECONDS

    def count(self, attempt: Attempt) -> None:
        outcome = attempt.verdict.result if attempt.verdict else Result.RELEASE
        if outcome is Result.RELEASE:
            self.released.add(attempt.row.pk)
            self.released_in_a_row += 1
        else:
            self.released.discard(attempt.row.pk)
            self.released_in_a_row = 0
            self.outcomes[outcome.value] += 1
        self.claims.pace.note_calls(attempt.row.account, len(attempt.exchanges))
        if is_refused(attempt):
            # From now on, its pause keeps its rows from being claimed. One that is
            # claimed all the same is a probe, or the pause is over.
            ends = time.monotonic() + get_settings().lease_seconds
            self.refused[attempt.row.account] = ends
        self.progress(outcome.value)


def is_refused(attempt: Attempt) -> bool:
    verdict = attempt.verdict
    return verdict is not None and verdict.result is Result.PAUSE


def judge_interrupted(attempt: Attempt) -> None:
    """Set the verdict of an attempt that was interrupted."""
    if not attempt.has_begun:
        attempt.verdict = give_back_verdict(attempt)
    elif attempt.call is not None:
        attempt.call.abandon()
    else:
        attempt.verdict = INTERRUPTED


def give_back(attempts: list[Attempt], *, is_over: bool = True) -> None:
    """
    Settle what an error has left behind: nobody has to wait for a lease.

    Unless ``is_over``, somebody may still be sending what has begun.
    """
    for attempt in attempts:
        if attempt.verdict is None:
            if attempt.has_begun and not is_over:
                # Its lease has to expire.
                continue
            judge_interrupted(attempt)
        try:
            record_surely(attempt)
        except DatabaseError as exc:
            # It falls due by itself, when the lease expires.
            name, what = attempt.row.order_id, describe_for_log(exc)
            logger.warning("Order %s cannot be given back: %s", name, what)
            if isinstance(exc, OperationalError | InterfaceError):
                # The database is away, and would be for the others.
                return
