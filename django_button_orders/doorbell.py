"""
The doorbell: ring for the workers, after a commit, because a row is due.

The database is the queue, so a lost ring loses nothing: the next sweep finds the
row. Ringing must therefore never slow down or break a save. The thread that serves a
customer only adds the ring to a list in memory; another thread of the process
publishes it. Which message queue that is, only the ``Publisher`` knows.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from django_button_orders.clock import Clock, monotonic
from django_button_orders.conf import get_settings
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_for_log

logger = get_logger(__name__)

# The thread publishes in rounds, which are at least this far apart.
INTERVAL_SECONDS = 0.05
# After an error of the broker, rings are dropped for this long.
MUTE_SECONDS = 10.0
BROKER_REFUSED = (
    "The broker did not accept a message (%s). Orders stay due, and the next sweep "
    "reports them."
)
LOG_SECONDS = 60.0
# An idle connection is closed after this time.
IDLE_SECONDS = 30.0
# The longest wait of a save with DOORBELL "inline", and of a process that ends.
PATIENCE_SECONDS = 1.0
# The longest wait of a fork for imports of the thread. They take a fraction of this.
FORK_SECONDS = 10.0
# Rings are dropped while this many wait to be published, as when the broker hangs.
CAPACITY = 10_000
# Longer waits live in the database alone: workers hold waiting messages in memory,
# and brokers deliver them twice.
LONGEST_COUNTDOWN_SECONDS = 300


class Ring(NamedTuple):
    """
    A message about a row. It has keys only, because brokers may log messages.

    Workers get it after ``delay`` seconds.
    """

    pk: int
    using: str
    trigger: str = "save"
    user_id: str | None = None
    delay: float = 0


class Publisher:
    """A message queue. ``tasks.publisher`` implements it with Celery."""

    def is_eager(self) -> bool:
        """
        Return whether tasks run in the process that calls them.

        The thread that rings calls this, because it may know the Celery app of the
        project, which the publishing thread does not.
        """
        raise NotImplementedError

    def prepare(self) -> None:
        """Import all that publishing needs. Waits for no network."""

    def publish(self, ring: Ring) -> None:
        """Send one message. Raises whatever the message queue raises."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection, if there is one."""

    def forget(self) -> None:
        """Leave the connection, without closing it, to the parent of a fork."""


class Bell:
    """Collects rings, and publishes them in a thread that the first ring starts."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        clock: Clock = monotonic,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.publisher = publisher
        self.clock = clock
        self.idle_seconds = idle_seconds
        self.reset()

    def reset(self) -> None:
        """Forget all rings and the thread: for a new bell, and in a forked child."""
        # The parent of the fork publishes the rings that wait in its memory.
        self.condition = threading.Condition()
        self.rings: dict[Ring, None] = {}
        self.busy_since: float | None = None
        self.waiters = 0
        self.is_prepared = False
        self.is_asleep = False
        self.thread: threading.Thread | None = None
        self.muted_until = self.log_after = float("-inf")

    def ring(self, ring: Ring) -> None:
        """Add a ring to those that the thread publishes. Never waits for the broker."""
        with self.condition:
            if len(self.rings) >= CAPACITY or self.clock() < self.muted_until:
                return
            self.rings[ring] = None
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(
                    target=self.run, name="button-orders-doorbell", daemon=True
                )
                self.thread.start()
            # A thread that is between two rounds finds the ring by itself. Waking it up
            # would switch threads for each save.
            if self.is_asleep:
                self.condition.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until all rings are published, but not if the broker hangs already."""
        with self.condition:
            if self.is_stuck():
                return
            self.waiters += 1
            self.condition.notify_all()
            try:
                self.condition.wait_for(self.is_idle, timeout=seconds)
            finally:
                self.waiters -= 1

    def wait_for_imports(self, seconds: float) -> None:
        """
        Wait until the thread has imported what it needs, if it runs.

        A child that is forked meanwhile would have half of a module, and could never
        import the rest.
        """
        with self.condition:
            if self.thread not in (None, threading.current_thread()):
                self.condition.wait_for(lambda: self.is_prepared, timeout=seconds)

    def is_stuck(self) -> bool:
        if self.busy_since is None:
            return False
        return self.clock() - self.busy_since >= PATIENCE_SECONDS

    def is_idle(self) -> bool:
        return not self.rings and self.busy_since is None

    # In the thread

    def run(self) -> None:
        self.prepare()
        while True:
            for ring in self.next_rings():
                self.publish(ring)
            self.end_round()

    def prepare(self) -> None:
        try:
            self.publisher.prepare()
        except Exception:  # noqa: BLE001 - publishing says what is wrong
            logger.debug("The client of the broker cannot be imported.")
        with self.condition:
            self.is_prepared = True
            self.condition.notify_all()

    def next_rings(self) -> list[Ring]:
        """Wait for rings, and return those of the next round."""
        while not self.sleep():
            # The lock is free here, because closing a connection may hang, and those
            # who ring must not wait for it.
            self.close()
        with self.condition:
            rings = list(coalesced(self.rings))
            self.rings.clear()
            self.busy_since = self.clock()
            return rings

    def sleep(self) -> bool:
        """Wait for a ring. Return whether one has come before the time was over."""
        with self.condition:
            self.is_asleep = True
            self.condition.wait_for(lambda: self.rings, timeout=self.idle_seconds)
            self.is_asleep = False
            return bool(self.rings)

    def end_round(self) -> None:
        """Let rings collect until the next round, unless somebody waits for one."""
        with self.condition:
            self.busy_since = None
            self.condition.notify_all()
            self.condition.wait_for(
                lambda: self.waiters and self.rings, timeout=INTERVAL_SECONDS
            )

    def publish(self, ring: Ring) -> None:
        """Publish a ring, or drop it for a while after an error. Never raises."""
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
                    BROKER_REFUSED,
                    type(exc).__name__,
                )

    def close(self) -> None:
        try:
            self.publisher.close()
        except Exception:  # noqa: BLE001 - the connection is broken already
            logger.debug("The connection to the broker did not close.")


def coalesced(rings: Iterable[Ring]) -> Iterator[Ring]:
    """
    Yield one ring for all saves in a database, and every ring of a user.

    The worker that gets a ring also reports the other due rows, so one ring is
    enough. A user's ring is kept, because the order's record names the user. Rows that
    are held have a ring of their own.
    """
    rung: set[tuple[str, float]] = set()
    for ring in rings:
        if ring.trigger == "save" and ring.user_id is None:
            if (ring.using, ring.delay) in rung:
                continue
            rung.add((ring.using, ring.delay))
        yield ring


# None until the app is ready, and one from then on.
_bells: list[Bell] = []


def connect(publisher: Publisher) -> Bell:
    """Publish the rings of this process through a publisher from now on."""
    bell = Bell(publisher)
    _bells[:] = [bell]
    return bell


def ring(
    pk: int,
    *,
    using: str,
    trigger: str = "save",
    user_id: str | None = None,
    delay: float = 0,
) -> None:
    """
    Ring for a row once the transaction that made it due is committed.

    If the row is held, workers get the ring after ``delay`` seconds. The sweep finds
    rows that are held for longer than ``LONGEST_COUNTDOWN_SECONDS``.
    """
    new = Ring(pk, using, trigger, user_id, delay)
    if delay > LONGEST_COUNTDOWN_SECONDS or is_last_on_commit(new):
        # An order and its lines are saved together: one ring is enough.
        return

    # A function, because Django 5.2 cannot log the failure of a partial.
    def ring_on_commit() -> None:
        ring_now(new)

    ring_on_commit.ring = new  # type: ignore[attr-defined]
    transaction.on_commit(ring_on_commit, using=using, robust=True)


def is_last_on_commit(ring: Ring) -> bool:
    """Return whether the last callback of the transaction is for the same row."""
    connection = transaction.get_connection(ring.using)
    if not connection.in_atomic_block or not connection.run_on_commit:
        return False
    last: Ring | None = getattr(connection.run_on_commit[-1][1], "ring", None)
    # The row of an order that was saved just before may be held, and stays so.
    return last is not None and last._replace(delay=ring.delay) == ring


def ring_now(ring: Ring) -> None:
    """Ring as the setting ``DOORBELL`` says. Never raises into a save."""
    try:
        mode = get_settings().doorbell
    except ImproperlyConfigured:
        logger.warning(
            "BUTTON_ORDERS is invalid, so nothing is sent. Run 'manage.py check'."
        )
        return
    if mode == "none":
        return
    for bell in _bells:
        if bell.publisher.is_eager():
            run_now(bell.publisher, ring)
            continue
        bell.ring(ring)
        if mode == "inline":
            bell.wait(PATIENCE_SECONDS)


def run_now(publisher: Publisher, ring: Ring) -> None:
    """Run the task in this process, as with Celery's eager mode. Never raises."""
    try:
        publisher.publish(ring)
    except Exception as exc:  # noqa: BLE001 - our errors must not break a save
        logger.error("An order was not reported: %s", describe_for_log(exc))


def flush() -> None:
    """Wait a moment for the rings that are not published yet, as a process ends."""
    for bell in _bells:
        bell.wait(PATIENCE_SECONDS)


def wait_before_fork() -> None:
    for bell in _bells:
        bell.wait_for_imports(FORK_SECONDS)


def reset_after_fork() -> None:
    for bell in _bells:
        bell.publisher.forget()
        bell.reset()


atexit.register(flush)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=wait_before_fork, after_in_child=reset_after_fork)
