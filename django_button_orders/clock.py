"""The clock of deadlines and waits in this process. ``models.clock`` has the dates."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def monotonic(*, real: Clock = time.monotonic) -> float:
    """
    Return ``time.monotonic()``, also in a shop's test that has frozen it.

    A wait by a clock that stands still would never end.
    """
    # freezegun replaces the clocks that it finds in modules, and no default values.
    return real()
