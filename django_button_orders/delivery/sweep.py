"""
Report one row, or every row that is due: claim, prepare, call, record.

The other modules of this folder are its steps, in that order.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, OperationalError

from django_button_orders.client import CallPool
from django_button_orders.clock import monotonic
from django_button_orders.conf import get_settings
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.call import perform
from django_button_orders.delivery.claims import Claims, claim_one, enabled_rows
from django_button_orders.delivery.prepare import prepare_all
from django_button_orders.delivery.rate_limit import (
    AHEAD_SECONDS,
    seconds_ahead,
    wait_until,
)
from django_button_orders.delivery.record import record_all, record_with_retries
from django_button_orders.delivery.troubles import Troubles, final_verdict
from django_button_orders.delivery.verdicts import INTERRUPTED, Result
from django_button_orders.models import ButtonOrder
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_for_log

logger = get_logger(__name__)

# After this time, a sweep with more to do makes room for the other tasks of a worker,
# or for the other databases of the loop.
SWEEP_SECONDS = 10.0
# The time between two records of what is done, and between two looks for more to do.
# A record costs as much as some tens of orders, so not each order gets its own.
FLUSH_SECONDS = 0.25
STEP_SECONDS = 0.1
# How long the row that was rung for may delay the other rows.
HEAD_START_SECONDS = 0.01

Progress = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class SweepLimits:
    """
    When a sweep ends, and whom it tells what.

    It begins nothing new after about ``seconds``. Once ``is_stopped()``, it finishes
    the attempts that have begun and releases the others. It calls ``on_backlog()``
    once if more than a batch is due, and ``on_throttled(seconds)`` if ``RATE_LIMIT``
    leaves work for later, with the seconds until the next free turn. If
    ``is_patient``, it waits for that turn itself, because no other sweep will come.
    What has not succeeded is noted in ``troubles``, or else logged at the end.
    """

    seconds: float = float("inf")
    is_stopped: Callable[[], bool] = lambda: False
    on_backlog: Callable[[], object] = lambda: None
    on_throttled: Callable[[float], object] = lambda seconds: None
    is_patient: bool = False
    troubles: Troubles | None = None


def report(
    pk: int, *, using: str, trigger: str = "save", user_id: str | None = None
) -> float | None:
    """
    Make one attempt at a row, if it is due and nobody else has it.

    Return the seconds until its next attempt, or None if there is none.
    """
    attempts = claim_one(pk, using=using, trigger=trigger, user_id=user_id)
    try:
        for attempt in prepare_all(attempts):
            if attempt.not_before:
                wait_until(attempt.not_before)
            perform(attempt)
        recorded = list(record_all(attempts))
        troubles = Troubles()
        for attempt in recorded:
            troubles.note(attempt)
        troubles.log(using)
        return next((attempt.delay for attempt in recorded), None)
    except BaseException:
        record_interrupted(attempts)
        raise


def report_with_others(
    pk: int, *, using: str, trigger: str, user_id: str | None, limits: SweepLimits
) -> float | None:
    """
    Make one attempt at a row, and report every other row that is due.

    One ring may stand for many rows. If other processes have a whole batch in
    flight, the other rows are left to them. Returns what ``report`` returns.
    """
    attempts = claim_one(
        pk,
        using=using,
        trigger=trigger,
        user_id=user_id,
        on_throttled=lambda: limits.on_throttled(AHEAD_SECONDS),
    )
    report_due(
        using=using,
        # A person has asked for this one row, not for the others.
        trigger=trigger if user_id is None else "sweep",
        first=attempts,
        leaves_rest=lambda: is_crowded(using),
        limits=limits,
    )
    return attempts[0].delay if attempts else None


def is_crowded(using: str) -> bool:
    """Return whether a whole batch is in flight already."""
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
    limits: SweepLimits = SweepLimits(),
    progress: Progress = lambda outcome: None,
) -> Counter[str]:
    """
    Report the rows that are due in one database.

    ``rows`` narrows them down, and ``first`` are attempts that are claimed already.
    Where ``leaves_rest()``, only those are made. ``progress`` is called with the
    outcome of each attempt. Returns how many attempts had which outcome.
    """
    rows = enabled_rows(using) if rows is None else rows
    troubles = Troubles() if limits.troubles is None else limits.troubles
    sweep = Sweep(
        claims=Claims(rows, trigger=trigger),
        limits=limits,
        ends=monotonic() + limits.seconds,
        leaves_rest=leaves_rest,
        progress=progress,
        troubles=troubles,
    )
    try:
        return sweep.run(list(first))
    finally:
        if limits.troubles is None:
            troubles.log(using)


@dataclass(kw_only=True)
class Sweep:
    """
    A stream of attempts: claimed and prepared here, made by threads, recorded here.

    A refused key ends the calls of its account. When the process is told to end, or
    the database is away, the calls under way are finished and recorded, and all
    other attempts are released. ``ends`` and ``claim_at`` are moments of
    ``clock.monotonic()``.
    """

    claims: Claims
    limits: SweepLimits
    ends: float
    leaves_rest: Callable[[], bool]
    progress: Progress
    troubles: Troubles
    batch_size: int = field(default_factory=lambda: get_settings().batch_size)
    concurrency: int = field(default_factory=lambda: get_settings().concurrency)
    outcomes: Counter[str] = field(default_factory=Counter)
    # The attempts that are claimed and not recorded, by id(attempt).
    open: dict[int, Attempt] = field(default_factory=dict)
    # The keys of rows that were released and not claimed again.
    released: set[int] = field(default_factory=set)
    released_in_a_row: int = 0
    # Prepared attempts whose turn to call has not come.
    early: deque[Attempt] = field(default_factory=deque)
    # Attempts that are to be recorded, and those of them whose rows the shop holds.
    done: list[Attempt] = field(default_factory=list)
    locked: list[Attempt] = field(default_factory=list)
    flush_at: float = 0
    claim_at: float = 0
    has_backlog: bool = False
    # Accounts whose key was refused: attempts whose lease ends before this moment
    # make no call.
    refused: dict[str, float] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.calls = CallPool(self.concurrency, self.make_calls)

    def run(self, first: list[Attempt]) -> Counter[str]:
        """Report ``first`` and whatever is due. Return how many had which outcome."""
        self.open = {id(attempt): attempt for attempt in first}
        try:
            with self.calls:
                self.work(first)
        except BaseException:
            self.record_interrupted()
            raise
        if self.claims.unfinished and not self.has_backlog:
            # RATE_LIMIT leaves something to do: another sweep has to go on.
            ahead = min(map(seconds_ahead, self.claims.unfinished))
            self.limits.on_throttled(max(ahead, 0.0))
        if self.released:
            self.outcomes[Result.RELEASE.value] = len(self.released)
        return self.outcomes

    def work(self, first: list[Attempt]) -> None:
        """Make the first attempts, and then those at other due rows."""
        try:
            self.send(first)
            self.finish_first()
            if self.leaves_rest():
                self.ends = 0
            self.stream()
        except BaseException:
            self.is_over.set()
            raise

    def finish_first(self) -> None:
        """
        Wait briefly for the first attempts, and record them if all calls have ended.

        This is done before more rows are claimed.
        """
        if self.calls.in_flight:
            self.poll_calls(HEAD_START_SECONDS)
        if not self.calls.in_flight:
            self.flush()

    def stream(self) -> None:
        """Claim, send and record until nothing is due, or there is no time."""
        while True:
            self.send_early()
            claimed = self.claim() if self.may_claim() else []
            self.send(claimed)
            # A batch that is recorded already says nothing about what else is due.
            if not claimed and not self.open and not self.must_wait:
                return
            self.wait()
            if not self.calls.in_flight:
                self.flush(waits=not self.has_time)
            elif len(self.done) >= self.batch_size:
                self.flush()
            else:
                self.flush_if_due()

    def wait(self) -> None:
        """Wait for a call to end, or for the next turn or look."""
        if self.calls.in_flight:
            self.poll_calls(STEP_SECONDS)
        elif self.early or self.must_wait or (self.locked and self.has_time):
            time.sleep(STEP_SECONDS)

    @property
    def must_wait(self) -> bool:
        """Whether RATE_LIMIT leaves work for later that no other process will do."""
        is_endless = math.isinf(self.limits.seconds)
        is_patient = self.limits.is_patient or is_endless
        may_go_on = self.makes_progress and self.has_time
        return self.claims.is_throttled and is_patient and may_go_on

    @property
    def has_time(self) -> bool:
        """Whether there is time to begin with more."""
        return monotonic() < self.ends and not self.limits.is_stopped()

    @property
    def makes_progress(self) -> bool:
        # Rows that are only released would be claimed again, without end.
        return self.released_in_a_row <= 2 * self.batch_size

    def may_claim(self) -> bool:
        """Return whether more should be claimed now."""
        # The threads have enough to do while the next attempts are prepared.
        has_room = self.calls.in_flight + len(self.early) < 2 * self.concurrency
        is_time = monotonic() >= self.claim_at or not self.open
        return has_room and is_time and self.makes_progress and self.has_time

    def claim(self) -> list[Attempt]:
        """Claim a batch."""
        attempts = self.claims.claim(self.batch_size)
        if not attempts:
            self.claim_at = monotonic() + STEP_SECONDS
        elif len(attempts) >= self.batch_size and not self.has_backlog:
            self.has_backlog = True
            self.limits.on_backlog()
        return attempts

    def send(self, attempts: list[Attempt]) -> None:
        """Prepare attempts, and have threads make the calls of each at once."""
        self.open |= {id(attempt): attempt for attempt in attempts}
        for attempt in prepare_all(attempts, is_stopped=self.is_stopped_for):
            if attempt.verdict is not None:
                self.done.append(attempt)
            elif attempt.not_before:
                self.early.append(attempt)
            else:
                self.calls.put(attempt)
            # An adapter may take long over each of them.
            self.flush_if_due()

    def send_early(self) -> None:
        """Send the attempts whose turn comes before the next step."""
        soon = monotonic() + STEP_SECONDS
        for attempt in [self.early.popleft() for _ in range(len(self.early))]:
            is_stopped = self.is_stopped_for(attempt)
            if is_stopped or self.claims.turns.schedule(attempt, soon):
                self.calls.put(attempt)
            else:
                self.early.append(attempt)

    def make_calls(self, attempt: Attempt) -> None:
        """Make the calls of an attempt. The threads do this."""
        if attempt.not_before and not self.is_stopped_for(attempt):
            wait_until(attempt.not_before)
        perform(attempt, is_stopped=self.is_stopped_for)
        if is_refused(attempt):
            self.refused[attempt.row.account] = float("inf")

    def is_stopped_for(self, attempt: Attempt) -> bool:
        """Return whether an attempt may begin no call any more."""
        return (
            attempt.lease_ends < self.refused.get(attempt.row.account, 0)
            or self.is_over.is_set()
            or self.limits.is_stopped()
        )

    def poll_calls(self, seconds: float = 0) -> None:
        """Collect the attempts whose calls are over, waiting for one if need be."""
        self.done += self.calls.pop_done(seconds)

    def flush_if_due(self) -> None:
        """Record what is done, if that was last done a while ago."""
        if monotonic() >= self.flush_at:
            self.poll_calls()
            self.flush()

    def flush(self, *, waits: bool = False) -> None:
        """
        Record what is done.

        Unless it ``waits``, attempts whose rows somebody else has locked are left for
        the next time.
        """
        done, self.done = self.done + self.locked, []
        for attempt in record_all(done, waits=waits):
            del self.open[id(attempt)]
            self.count(attempt)
        self.locked = [attempt for attempt in done if id(attempt) in self.open]
        self.flush_at = monotonic() + FLUSH_SECONDS

    def count(self, attempt: Attempt) -> None:
        """Count an attempt that is recorded."""
        verdict = final_verdict(attempt)
        outcome = verdict.result if verdict else Result.RELEASE
        if outcome is Result.RELEASE:
            self.released.add(attempt.row.pk)
            self.released_in_a_row += 1
        else:
            self.released.discard(attempt.row.pk)
            self.released_in_a_row = 0
            self.outcomes[outcome.value] += 1
        if len(attempt.calls) > 1:
            self.claims.turns.add_calls(attempt.row.account, len(attempt.calls))
        if is_refused(attempt):
            # The pause keeps the account's rows from being claimed from now on. One
            # that is claimed later is a probe, or the pause is over.
            ends = monotonic() + get_settings().lease_seconds
            self.refused[attempt.row.account] = ends
        self.troubles.note(attempt)
        self.progress(outcome.value)

    def record_interrupted(self) -> None:
        """Record the attempts that are open after an error has ended the sweep."""
        # The end of the context may have been interrupted, too.
        self.calls.finish()
        record_interrupted(list(self.open.values()), is_over=not self.calls.threads)


def is_refused(attempt: Attempt) -> bool:
    verdict = attempt.verdict
    return verdict is not None and verdict.result is Result.PAUSE


def record_interrupted(attempts: list[Attempt], *, is_over: bool = True) -> None:
    """
    Record the attempts that an error left open, so that their leases need not expire.

    Unless ``is_over``, a thread may still be making the calls of those that have
    begun: their leases have to expire.
    """
    for attempt in attempts:
        if attempt.verdict is None:
            if not attempt.calls:
                attempt.release()
            elif is_over:
                attempt.verdict = INTERRUPTED
            else:
                continue
        try:
            record_with_retries(attempt)
        except DatabaseError as exc:
            # The row falls due by itself when the lease expires.
            name, what = attempt.row.order_id, describe_for_log(exc)
            logger.warning("Order %s could not be released: %s", name, what)
            if isinstance(exc, OperationalError | InterfaceError):
                # The database is away, and would be for the others.
                return
