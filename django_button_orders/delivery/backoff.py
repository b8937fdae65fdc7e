"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

# A schedule is a promise not to come earlier, so jitter only adds.
JITTER = 0.2


def next_delay(
    attempts: int,
    schedule: Sequence[float],
    *,
    asked: float | None = None,
    asked_max: float = 86400,
    rng: Callable[[], float] = random.random,
) -> float | None:
    """
    Return the seconds to wait after this many attempts, or None to give up.

    ``asked`` is what Button asked for, in seconds. It replaces the schedule's
    wait, up to ``asked_max`` and down to the first wait of the schedule, so
    that an answer of "0 seconds" cannot use up all attempts at once.
    """
    if attempts > len(schedule):
        return None
    delay = schedule[attempts - 1]
    if asked is not None:
        return min(max(asked, schedule[0]) * (1 + JITTER * rng()), asked_max)
    return delay * (1 + JITTER * rng())
