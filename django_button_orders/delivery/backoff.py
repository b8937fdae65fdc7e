"""Compute how long a row waits for its next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

# Jitter only adds: no attempt comes earlier than RETRY_SCHEDULE promises.
JITTER = 0.2


def next_delay(
    attempts: int,
    schedule: Sequence[float],
    *,
    retry_after: float | None = None,
    retry_after_max: float = 86400,
    rng: Callable[[], float] = random.random,
) -> float | None:
    """
    Return the seconds to wait after this number of attempts, or None to give up.

    ``retry_after`` is the wait that Button asked for, in seconds. It replaces the
    wait of the schedule. It counts as at most ``retry_after_max``, and as at least
    the first wait of the schedule, so that answers of 0 seconds do not use up all
    attempts at once.
    """
    if attempts > len(schedule):
        return None
    jitter = 1 + JITTER * rng()
    if retry_after is None:
        return schedule[attempts - 1] * jitter
    return min(max(retry_after, schedule[0]) * jitter, retry_after_max)
