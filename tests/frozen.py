"""Freeze the clocks of this process, as freezegun and time-machine do it."""

from __future__ import annotations

import datetime as datetime_module
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

# freezegun leaves these alone, too: their waits would never end.
LEFT_ALONE = ("threading", "queue", "multiprocessing", "_pytest", "tests.frozen")


@contextmanager
def frozen(moment: datetime, *, is_monotonic_frozen: bool = True) -> Iterator[None]:
    """
    Replace Python's clocks in each module that has them by clocks that stand still.

    freezegun also freezes ``time.monotonic()``, at a number of another magnitude, and
    time-machine does not.
    """
    fakes = {id(real): fake for real, fake in fake_clocks(moment, is_monotonic_frozen)}
    replaced: list[tuple[Any, str, Any]] = []
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "tests.frozen").startswith(LEFT_ALONE):
            continue
        for name, value in list(vars(module).items()):
            if id(value) in fakes:
                replaced.append((module, name, value))
                setattr(module, name, fakes[id(value)])
    try:
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)


def fake_clocks(
    moment: datetime, is_monotonic_frozen: bool
) -> Iterator[tuple[Any, Any]]:
    """Yield each clock of Python, and what stands for it."""
    seconds = moment.timestamp()
    yield datetime_module.datetime, frozen_class(moment)
    yield time.time, lambda: seconds
    yield time.time_ns, lambda: int(seconds * 1e9)
    if is_monotonic_frozen:
        yield time.monotonic, lambda: seconds
        yield time.perf_counter, lambda: seconds
        yield time.monotonic_ns, lambda: int(seconds * 1e9)


def frozen_class(moment: datetime) -> type[datetime]:
    class AnyDatetime(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, datetime)

    class FrozenDatetime(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return moment.astimezone(tz or timezone.utc)

        @classmethod
        def utcnow(cls) -> Any:
            return moment.astimezone(timezone.utc).replace(tzinfo=None)

    return FrozenDatetime
