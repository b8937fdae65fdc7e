"""
Keep to ``RATE_LIMIT`` calls per second and account, over all processes.

An account with a rate of 10 has a turn to call every tenth of a second. A process
reserves turns ahead of time, several at once, from a clock in the database
(``CallRate.next_call_at``), and calls when their moments come. Turns that nobody
reserves are lost, so that there are no bursts.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, router
from django.db.models import QuerySet

from django_button_orders.clock import Clock, monotonic
from django_button_orders.conf import get_settings
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.models import CallRate, as_aware
from django_button_orders.models.clock import DatabaseNow

# Turns are reserved up to this many seconds ahead. Their rows are leased until then.
AHEAD_SECONDS = 1.0
# How often other processes may reserve a turn first before that is an error, and the
# longest pause in seconds after each time.
RACES = 200
RACE_SECONDS = 0.02
# A moment before every turn.
NEVER = datetime(2000, 1, 1, tzinfo=timezone.utc)


def rate_of(account: str) -> float | None:
    """Return how many calls per second an account may get, or None for any number."""
    try:
        return get_settings(account).rate_limit
    except ImproperlyConfigured:
        # The account is unknown: its rows fail and say so, without a call.
        return None


def seconds_ahead(account: str) -> float:
    """Return the seconds until the next free turn, below 0 if turns were lost."""
    found = read_clock(account)
    return -float("inf") if found is None else (found[0] - found[1]).total_seconds()


def reserve_turns(account: str, count: float = 1) -> float:
    """
    Reserve turns to call an account. Return the seconds until the first of them.

    Each of the others is ``1 / RATE_LIMIT`` seconds after the one before. Raises
    ``DatabaseError`` if other processes reserve the turns first again and again.
    """
    rate = rate_of(account)
    if rate is None or count <= 0:
        return 0.0
    for _ in range(RACES):
        found = read_clock(account)
        if found is None:
            new = CallRate(account=account, next_call_at=NEVER)
            clocks().bulk_create([new], ignore_conflicts=True)
            continue
        free_at, now = found
        first = max(free_at, now)
        after = first + timedelta(seconds=count / rate)
        clock = clocks().filter(account=account, next_call_at=free_at)
        if clock.update(next_call_at=after):
            return (first - now).total_seconds()
        time.sleep(random.uniform(0, RACE_SECONDS))  # noqa: S311 - no secret
    raise DatabaseError(f"No turn to call the account {account!r} could be taken.")


def wait_until(
    moment: float,
    *,
    clock: Clock = monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Wait for a moment of ``clock.monotonic()``. It may be in the past."""
    seconds = moment - clock()
    if seconds > 0:
        sleep(seconds)


def clocks() -> QuerySet[CallRate]:
    """Return the clocks of all accounts."""
    # One clock serves all databases of the shop, because Button counts all calls.
    return CallRate.objects.using(router.db_for_write(CallRate))


def read_clock(account: str) -> tuple[datetime, datetime] | None:
    """Return when the next turn is free, and the present time, by the database."""
    clock = clocks().filter(account=account).annotate(now=DatabaseNow())
    found = clock.values_list("next_call_at", "now").first()
    return found and (as_aware(found[0]), as_aware(found[1]))


@dataclass
class Turns:
    """The turns that one sweep reserves. Moments are those of ``clock.monotonic()``."""

    # How many calls each account got for which no turn was reserved.
    owed: Counter[str] = field(default_factory=Counter)
    # The accounts that this sweep calls.
    joined: set[str] = field(default_factory=set)
    # The earliest moment of each account's next call.
    free_at: dict[str, float] = field(default_factory=dict)

    def room(self, account: str, limit: int, *, yields_to_others: bool = True) -> int:
        """
        Return how many of ``limit`` orders may be claimed now.

        It is 0 if the turns of the next second are reserved. With ``yields_to_others``,
        it is also 0 while other processes hold turns and this sweep has not called
        the account before.
        """
        rate = rate_of(account)
        if rate is None:
            return limit
        ahead = max(seconds_ahead(account), 0.0)
        if yields_to_others and account not in self.joined:
            if ahead:
                return 0
            self.joined.add(account)
        return min(limit, round_up((AHEAD_SECONDS - ahead) * rate))

    def reserve(self, account: str, count: int) -> list[float]:
        """Reserve a turn for each of ``count`` orders. Return their moments."""
        rate = rate_of(account)
        if rate is None or not count:
            return [0.0] * count
        # Turns that were reserved for orders without a call are lost.
        needed = count + self.owed.pop(account, 0)
        first = monotonic() + reserve_turns(account, needed)
        return [first + turn / rate for turn in range(count)]

    def schedule(self, attempt: Attempt, by: float) -> bool:
        """
        Set when an attempt may call, or return False if that is after ``by``.

        A late attempt keeps the distance to the attempt before it.
        """
        account = attempt.row.account
        rate = rate_of(account) or float("inf")
        moment = max(attempt.not_before, self.free_at.get(account, 0.0))
        if moment > by:
            return False
        attempt.not_before = moment
        self.free_at[account] = max(moment, monotonic()) + 1 / rate
        return True

    def add_calls(self, account: str, calls: int) -> None:
        """Count the calls of an order for which one turn was reserved."""
        if calls > 1 and rate_of(account) is not None:
            self.owed[account] += calls - 1


def round_up(turns: float) -> int:
    """Return a whole number of turns."""
    # A slow account has less than one turn in the time that is left, and gets one.
    return max(int(turns), 1) if turns > 0 else 0
