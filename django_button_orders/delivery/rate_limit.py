"""
How fast an account is called: ``RATE_LIMIT``, over all processes and commands.

Each account has so many turns in a second, one after another. Whoever is going to
call takes some of them from a clock in the database, many at a time, and calls
when their moments come. Turns that nobody takes are gone: there are no bursts.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, router
from django.db.models import QuerySet

from django_button_orders.conf import account_names, get_settings
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.models import CallRate, as_stored
from django_button_orders.models.clock import DatabaseNow

# Turns are taken for so long ahead. What takes them holds leases meanwhile.
AHEAD_SECONDS = 1.0
# Lost races for turns, until something must be wrong, and seconds between them.
RACES = 200
RACE_SECONDS = 0.02
# Before all turns.
NEVER = datetime(2000, 1, 1, tzinfo=timezone.utc)


def rate_of(account: str) -> float | None:
    """Return how many calls there may be in a second, or None for any number."""
    try:
        return get_settings(account).rate_limit
    except ImproperlyConfigured:
        # Nothing is sent for it. Its rows say what is wrong.
        return None


def is_limited() -> bool:
    """Return whether there is a limit for any account."""
    return any(rate_of(name) is not None for name in account_names())


def seconds_ahead(account: str) -> float:
    """Return in how many seconds the next free turn is; below 0, some were unused."""
    found = read_clock(account)
    return -float("inf") if found is None else (found[0] - found[1]).total_seconds()


def take_turns(account: str, count: float = 1) -> float:
    """
    Take turns to call an account. Return in how many seconds the first one is.

    The others follow, each ``1 / RATE_LIMIT`` seconds after the one before.
    Without a limit, it is always one's turn.
    """
    rate = rate_of(account)
    if rate is None or count <= 0:
        return 0.0
    for _ in range(RACES):
        found = read_clock(account)
        if found is None:
            new = CallRate(account=account, next_call_at=as_stored(NEVER))
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
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Wait for a moment of ``time.monotonic()``, which may have passed."""
    seconds = moment - clock()
    if seconds > 0:
        sleep(seconds)


def clocks() -> QuerySet[CallRate]:
    # One for all of the shop's databases, as Button counts.
    return CallRate.objects.using(router.db_for_write(CallRate))


def read_clock(account: str) -> tuple[datetime, datetime] | None:
    """Return when the next turn is free, and what time it is."""
    clock = clocks().filter(account=account).annotate(now=DatabaseNow())
    return clock.values_list("next_call_at", "now").first()


class Turns:
    """The turns that one sweep takes."""

    def __init__(self) -> None:
        # What was called more often than turns were taken for it.
        self.owed: Counter[str] = Counter()
        # The accounts whose turns are taken here.
        self.joined: set[str] = set()
        # When each may be called next, in ``time.monotonic()``.
        self.free_at: dict[str, float] = {}

    def room(self, account: str, limit: int, *, joins: bool = True) -> int:
        """
        Return how many of so many orders may be taken on now.

        Where others take all turns as they come, they can do without help; who
        ``joins`` leaves them to it.
        """
        rate = rate_of(account)
        if rate is None:
            return limit
        ahead = max(seconds_ahead(account), 0.0)
        if joins and account not in self.joined:
            if ahead:
                return 0
            self.joined.add(account)
        return min(limit, round_up((AHEAD_SECONDS - ahead) * rate))

    def reserve(self, account: str, count: int) -> list[float]:
        """Take turns for so many orders. Return when, in ``time.monotonic()``."""
        rate = rate_of(account)
        if rate is None or not count:
            return [0.0] * count
        # What was not called is no credit: its turns are over.
        needed = count + self.owed.pop(account, 0)
        first = time.monotonic() + take_turns(account, needed)
        return [first + turn / rate for turn in range(count)]

    def take(self, attempt: Attempt, by: float) -> bool:
        """
        Return whether an attempt may call by a moment, and set when.

        One that is late keeps its distance to the one before.
        """
        account = attempt.row.account
        rate = rate_of(account) or float("inf")
        moment = max(attempt.not_before, self.free_at.get(account, 0.0))
        if moment > by:
            return False
        attempt.not_before = moment
        self.free_at[account] = max(moment, time.monotonic()) + 1 / rate
        return True

    def add_calls(self, account: str, calls: int) -> None:
        """Note that an order took so many calls, where one was reckoned with."""
        if calls > 1 and rate_of(account) is not None:
            self.owed[account] += calls - 1


def round_up(turns: float) -> int:
    # Once there is any time left: a slow account has less than one turn in it.
    return max(int(turns), 1) if turns > 0 else 0
