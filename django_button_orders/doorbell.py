"""
The doorbell: telling the workers, after a commit, that a row is due.

The database is the queue, so a lost ring loses nothing: the sweep finds the
row. What rings must therefore never hurt the one who saved an order. A thread
of the process publishes, and the thread that serves a customer only leaves a
note for it.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from django_button_orders.conf import get_settings
from django_button_orders.report.privacy import describe_for_log

logger = logging.getLogger(__name__)

# At most one round of publishing in this time.
INTERVAL_SECONDS = 0.05
# A broker that failed is left alone for this long.
MUTE_SECONDS = 10.0
LOG_SECONDS = 60.0
IDLE_SECONDS = 30.0
# What DOORBELL "inline" may cost a save, and what the end of a process may.
PATIENCE_SECONDS = 1.0
CAPACITY = 10_000


class Ring(NamedTuple):
    """Which row to look at. Keys only: it goes through the broker."""

    pk: int
    using: str
    trigger: str = "save"
    user_id: str | None = None


class Publisher:
    """What the doorbell needs to know of a message queue."""

    def is_eager(self) -> bool:
        """
        Return whether tasks run where they are called.

        Asked in the thread that rings, which may know what the publishing one
        has to be told.
        """
        raise NotImplementedError

    def publish(self, ring: Ring) -> None:
        raise NotImplementedError

    def publish_moves(
        self, verb: str, batches: Iterable[Sequence[int]], *, using: str, entry_id: int
    ) -> int:
        """Return how many batches of orders the queue took."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the connection."""

    def forget(self) -> None:
        """Leave the connection to the process that this one was forked from."""


class Bell:
    """A lazily started thread that publishes rings, few of them in a round."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        clock: Callable[[], float] = time.monotonic,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.publisher = publisher
        self.clock = clock
        self.idle_seconds = idle_seconds
        self.reset()

    def reset(self) -> None:
        # Also in the child of a fork: the rings left behind are the parent's.
        self.condition = threading.Condition()
        self.rings: dict[Ring, None] = {}
        self.busy_since: float | None = None
        self.waiting = 0
        self.is_asleep = False
        self.thread: threading.Thread | None = None
        self.muted_until = self.log_after = float("-inf")

    def ring(self, ring: Ring) -> None:
        with self.condition:
            if len(self.rings) >= CAPACITY or self.clock() < self.muted_until:
                return
            self.rings[ring] = None
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(
                    target=self.run, name="button-orders-doorbell", daemon=True
                )
                self.thread.start()
            # Not between two rounds: for each save, threads would take turns.
            if self.is_asleep:
                self.condition.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until all is published, unless the publisher is stuck already."""
        with self.condition:
            stuck = (
                self.busy_since is not None
                and self.clock() - self.busy_since >= PATIENCE_SECONDS
            )
            if stuck:
                return
            self.waiting += 1
            self.condition.notify_all()
            try:
                self.condition.wait_for(self.is_idle, timeout=seconds)
            finally:
                self.waiting -= 1

    def is_idle(self) -> bool:
        return not self.rings and self.busy_since is None

    def run(self) -> None:
        while True:
            rings = self.take()
            for ring in rings:
                self.publish(ring)
            self.rest()

    def take(self) -> list[Ring]:
        while not self.sleep():
            # Without the lock: a broker may take its time to say goodbye, and
            # whoever rings must not wait for it.
            self.close()
        with self.condition:
            rings = list(coalesced(self.rings))
            self.rings.clear()
            self.busy_since = self.clock()
            return rings

    def sleep(self) -> bool:
        """Return whether there is a ring, or that there has been none for long."""
        with self.condition:
            self.is_asleep = True
            self.condition.wait_for(lambda: self.rings, timeout=self.idle_seconds)
            self.is_asleep = False
            return bool(self.rings)

    def rest(self) -> None:
        """Let rings come in that can be published together, unless one waits."""
        with self.condition:
            self.busy_since = None
            self.condition.notify_all()
            self.condition.wait_for(
                lambda: self.waiting and self.rings, timeout=INTERVAL_SECONDS
            )

    def publish(self, ring: Ring) -> None:
        if self.clock() < self.muted_until:
            return
        try:
            self.publisher.publish(ring)
        except Exception as exc:  # noqa: BLE001 - a lost ring is not an error of the shop
            self.muted_until = self.clock() + MUTE_SECONDS
            self.close()
            if self.clock() >= self.log_after:
                self.log_after = self.clock() + LOG_SECONDS
                logger.warning(
                    "The broker did not take a message (%s). "
                    "Orders stay due, and the sweep reports them.",
                    type(exc).__name__,
                )

    def close(self) -> None:
        try:
            self.publisher.close()
        except Exception:  # noqa: BLE001 - the connection is broken already
            logger.debug("The connection to the broker did not close.")


def coalesced(rings: Iterable[Ring]) -> Iterator[Ring]:
    """
    Yield one ring for all the saves in a database, and what people have asked for.

    Whoever answers a ring looks for what else is due. Which person retried an
    order is for its record, so that ring is its own.
    """
    answered: set[str] = set()
    for ring in rings:
        if ring.trigger == "save" and ring.user_id is None:
            if ring.using in answered:
                continue
            answered.add(ring.using)
        yield ring


_bells: list[Bell] = []


def connect(publisher: Publisher) -> Bell:
    """Let a publisher be the one that rings."""
    bell = Bell(publisher)
    _bells[:] = [bell]
    return bell


def ring(
    pk: int, *, using: str, trigger: str = "save", user_id: str | None = None
) -> None:
    """Ring for a row once the transaction that made it due is committed."""
    note = Ring(pk, using, trigger, user_id)
    if is_last_on_commit(note, using=using):
        # An order and its lines are saved together: once is enough.
        return

    # A function, because Django 5.2 cannot log a failing partial.
    def ring_on_commit() -> None:
        ring_now(note)

    ring_on_commit.note = note  # type: ignore[attr-defined]
    transaction.on_commit(ring_on_commit, using=using, robust=True)


def is_last_on_commit(note: Ring, *, using: str) -> bool:
    """Return whether that is what a transaction was told last, and still knows."""
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block or not connection.run_on_commit:
        return False
    return getattr(connection.run_on_commit[-1][1], "note", None) == note


def ring_now(note: Ring) -> None:
    try:
        mode = get_settings().doorbell
    except ImproperlyConfigured:
        logger.warning("BUTTON_ORDERS is wrong, see 'manage.py check'.")
        return
    for bell in _bells:
        if mode == "none":
            return
        if bell.publisher.is_eager():
            run_now(bell.publisher, note)
            return
        bell.ring(note)
        if mode == "inline":
            bell.wait(PATIENCE_SECONDS)


def run_now(publisher: Publisher, note: Ring) -> None:
    try:
        publisher.publish(note)
    except Exception as exc:  # noqa: BLE001 - an error of ours is not the shop's
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "An order was not reported: %s", describe_for_log(exc)
        )


def publish_moves(
    verb: str, batches: Iterable[Sequence[int]], *, using: str, entry_id: int
) -> int:
    """Leave orders to workers, and return how many batches they were told of."""
    for bell in _bells:
        return bell.publisher.publish_moves(
            verb, batches, using=using, entry_id=entry_id
        )
    return 0


def flush() -> None:
    """Give what is not published yet a moment, at the end of a process."""
    for bell in _bells:
        bell.wait(PATIENCE_SECONDS)


def reset_after_fork() -> None:
    for bell in _bells:
        bell.publisher.forget()
        bell.reset()


atexit.register(flush)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reset_after_fork)
