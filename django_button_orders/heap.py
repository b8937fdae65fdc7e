"""Keeping Python's garbage collector from the objects of a whole worker."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared_heap() -> Iterator[None]:
    """
    Have full garbage collections leave out what is there already.

    In a worker that is Celery, Django and the project. To look through all of it
    takes a tenth of a second, every few seconds of a busy sweep, and no call is seen
    to meanwhile. Whoever has frozen objects before is not interfered with.

    Not for what is short: where nothing else is done, there would never be a full
    collection.
    """
    if gc.get_freeze_count():
        yield
        return
    try:
        gc.freeze()
        yield
    finally:
        # Only what was made meanwhile is looked at.
        gc.collect()
        gc.unfreeze()
