"""Celery's way in, and the only file that knows Celery."""

from __future__ import annotations

import logging
import mmap
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from celery import Celery, Task, shared_task
from celery._state import get_current_app
from celery.signals import worker_init, worker_shutting_down
from django.db import InterfaceError, OperationalError
from kombu import Connection

from django_button_orders.beat import (
    MOVE_ORDERS,
    PRUNE_SUBMISSIONS,
    RECONCILE_ORDERS,
    REPORT_DUE_ORDERS,
    REPORT_ORDER,
)
from django_button_orders.conf import get_settings
from django_button_orders.delivery import sweep
from django_button_orders.doorbell import Publisher, Ring
from django_button_orders.models import databases
from django_button_orders.monitoring import snapshot
from django_button_orders.operations import orders, retention
from django_button_orders.reconcile.recent import compare_recent

if TYPE_CHECKING:
    TaskBase = Task[Any, Any]
else:
    TaskBase = Task

logger = logging.getLogger(__name__)

# Longer waits live in the database alone: messages that wait are held in the
# memory of workers, and brokers hand them out twice.
LONGEST_COUNTDOWN_SECONDS = 300
# A sweep that has more to do after this time makes room for other tasks.
SWEEP_SECONDS = 10
# So does a comparison, which goes on where it has stopped.
RECONCILE_SECONDS = 10
HELP_EXPIRES_SECONDS = 30
REMINDER_SECONDS = 0.25
# What a broker may take for one step, by the names that its transport knows.
TIMEOUT_SECONDS = 5
TIMEOUTS = {
    "redis": {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
    },
    "amqp": {"read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS},
}
# What Celery calls the states of a worker that is on its way out.
ENDING_STATES = ("closing", "terminating")


class Shutdown:
    """Knows, in each process and thread of a pool, that its worker is to end."""

    def __init__(self) -> None:
        self.worker: Any = None
        # Memory that the processes of a prefork pool share: nobody tells them.
        self.flag = mmap.mmap(-1, 1)

    def note_start(self, sender: Any = None, **kwargs: Any) -> None:
        # A process may run one worker after another, as in tests.
        self.worker = sender
        self.flag[0] = 0

    def note_end(self, **kwargs: Any) -> None:
        self.flag[0] = 1

    def is_ending(self) -> bool:
        return self.flag[0] == 1 or self.has_failed()

    def has_failed(self) -> bool:
        # Celery cannot cancel what runs in a pool of threads. Told to end at
        # once, it fails before it has sent its signal, and waits for them.
        blueprint: Any = getattr(self.worker, "blueprint", None)
        return blueprint is not None and blueprint.human_state() in ENDING_STATES


shutdown = Shutdown()
worker_init.connect(shutdown.note_start, dispatch_uid="django_button_orders.note_start")
worker_shutting_down.connect(
    shutdown.note_end, dispatch_uid="django_button_orders.note_end"
)


class QueuedTask(TaskBase):
    """A task that goes to the queue of the settings."""

    abstract = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        queue = get_settings().queue
        if queue is not None:
            options.setdefault("queue", queue)
        return super().apply_async(*args, **options)


def call_for_help(**options: Any) -> None:
    """
    Have another process sweep, too, and go on when this one's time is up.

    A broker that hangs must not keep the calls from being written down.
    """
    threading.Thread(
        target=publish_sweep,
        args=(get_current_app(),),
        kwargs=options,
        name="button-orders-help",
        daemon=True,
    ).start()


class Reminder:
    """Has somebody sweep once an account has a turn: of many rings, few say so."""

    def __init__(self) -> None:
        self.silent_until = 0.0

    def __call__(self, seconds: float) -> None:
        now = time.monotonic()
        if now < self.silent_until:
            return
        self.silent_until = now + REMINDER_SECONDS
        # Those who are refused in silence have their turns later than this one.
        wait = seconds + REMINDER_SECONDS if seconds else 0
        call_for_help(countdown=wait, expires=wait + HELP_EXPIRES_SECONDS)


SHIFT = sweep.SweepLimits(
    seconds=SWEEP_SECONDS,
    is_stopped=shutdown.is_ending,
    on_backlog=call_for_help,
    on_throttled=Reminder(),
)
# Of somebody who has called the task, and nobody else is there to help.
ALONE = replace(SHIFT, on_backlog=lambda: None, on_throttled=lambda seconds: None)


@shared_task(bind=True, base=QueuedTask, name=REPORT_ORDER, ignore_result=True)
def report_order(
    self: Task[Any, Any],
    pk: int,
    using: str = "default",
    trigger: str = "save",
    user_id: str | None = None,
) -> None:
    """Make one attempt at one row, and report what else is due."""
    if not is_worker(self):
        # Somebody waits for this row, and for no other.
        delay = sweep.report(pk, using=using, trigger=trigger, user_id=user_id)
    else:
        delay = sweep.report_with_others(
            pk,
            using=using,
            trigger=trigger,
            user_id=user_id,
            shift=SHIFT,
        )
    if delay is not None and delay <= LONGEST_COUNTDOWN_SECONDS:
        ring_later(self, Ring(pk, using), delay)


def ring_later(task: Task[Any, Any], ring: Ring, delay: float) -> None:
    try:
        task.apply_async((ring.pk,), {"using": ring.using}, countdown=delay)
    except Exception as exc:  # noqa: BLE001 - the row is due all the same
        logger.warning("The broker did not take a message (%s).", type(exc).__name__)


@shared_task(bind=True, base=QueuedTask, name=REPORT_DUE_ORDERS, ignore_result=True)
def report_due_orders(self: Task[Any, Any]) -> None:
    """Sweep: report whatever is due, wherever it is."""
    shift = SHIFT if is_worker(self) else ALONE
    databases.in_each_database(lambda alias: sweep.report_due(using=alias, shift=shift))
    if not shutdown.is_ending():
        databases.in_each_database(snapshot.note_sweep)


def is_worker(task: Task[Any, Any]) -> bool:
    """Return whether a worker runs the task, and not whoever has called it."""
    return not (task.request.is_eager or task.request.called_directly)


def publish_sweep(app: Celery[Any], **options: Any) -> None:
    try:
        with connect(app) as connection, producer_over(app, connection) as producer:
            # A call that nobody answers in time is dropped: a backlog must not
            # fill the queue that the shop's other tasks are in.
            app.tasks[REPORT_DUE_ORDERS].apply_async(
                producer=producer,
                retry=False,
                **{"expires": HELP_EXPIRES_SECONDS, **options},
            )
    except Exception as exc:  # noqa: BLE001 - the next sweep goes on all the same
        logger.warning("The broker did not take a message (%s).", type(exc).__name__)


@shared_task(base=QueuedTask, name=PRUNE_SUBMISSIONS, ignore_result=True)
def prune_submissions() -> None:
    """Forget bodies first, submissions and differences later, as the settings say."""
    databases.in_each_database(
        lambda alias: retention.prune(using=alias, is_stopped=shutdown.is_ending)
    )


@shared_task(base=QueuedTask, name=RECONCILE_ORDERS, ignore_result=True)
def reconcile_orders() -> None:
    """Find orders of the last days that were written without a signal."""
    databases.in_each_database(
        lambda alias: compare_recent(
            using=alias, seconds=RECONCILE_SECONDS, is_stopped=shutdown.is_ending
        )
    )


@shared_task(
    base=QueuedTask,
    name=MOVE_ORDERS,
    ignore_result=True,
    # What was done is not done again, so a message may come twice, but not get lost.
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=(OperationalError, InterfaceError),
    # However long the database is away.
    max_retries=None,
    retry_backoff=True,
    retry_backoff_max=600,
)
def move_orders(verb: str, pks: list[int], using: str, entry_id: int) -> None:
    """Retry, cancel or dismiss some of the many orders that somebody has chosen."""
    orders.run_queued_action(verb, pks, using=using, entry_id=entry_id)


def publish_moves(
    verb: str, batches: Iterable[Sequence[int]], *, using: str, entry_id: int
) -> int:
    """Return how many batches the broker took: all of them, unless it is away."""
    app, taken = get_current_app(), 0
    try:
        with producer_of(app) as producer:
            for pks in batches:
                app.tasks[MOVE_ORDERS].apply_async(
                    (verb, list(pks), using, entry_id), producer=producer, retry=False
                )
                taken += 1
    except Exception as exc:  # noqa: BLE001 - whoever waits for it is told
        logger.warning("The broker did not take a message (%s).", type(exc).__name__)
    return taken


@contextmanager
def producer_of(app: Celery[Any]) -> Iterator[Any]:
    """Give a producer whose broker says of each message whether it has it."""
    if app.conf.task_always_eager:
        # There may be no broker at all.
        yield None
        return
    # RabbitMQ is silent about what it has no memory for, unless it is asked.
    connection = connect(app, confirm_publish=True)
    with connection, producer_over(app, connection) as producer:
        yield producer


class CeleryPublisher(Publisher):
    """
    Publishes rings over a connection of its own, with timeouts of its own.

    Celery's apps are current in one thread only, so the app is found where
    it is known: in the thread that rings, or where Django was set up.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.producer: Any = None
        self.abandoned: list[Any] = []
        # Made where Django is set up, in the main thread.
        self.app: Celery[Any] = get_current_app()

    def note_app(self) -> None:
        app = get_current_app()
        # In threads that know of none, Celery makes up one that is not current.
        if getattr(app, "set_as_current", True):
            self.app = app

    def is_eager(self) -> bool:
        self.note_app()
        return bool(self.app.conf.task_always_eager)

    def publish(self, ring: Ring) -> None:
        app = self.app
        task = app.tasks[REPORT_ORDER]
        if app.conf.task_always_eager:
            task.apply_async((ring.pk,), as_keywords(ring))
            return
        is_fresh = self.connection is None
        try:
            self.send(app, task, ring)
        except Exception:
            # A kept connection may have gone stale: once more, over a new one.
            self.close()
            if is_fresh:
                raise
            self.send(app, task, ring)

    def publish_moves(
        self, verb: str, batches: Iterable[Sequence[int]], *, using: str, entry_id: int
    ) -> int:
        return publish_moves(verb, batches, using=using, entry_id=entry_id)

    def send(self, app: Celery[Any], task: Task[Any, Any], ring: Ring) -> None:
        if self.connection is None:
            self.connection = connect(app)
            # Kept, too: to open a channel takes longer than to publish.
            self.producer = producer_over(app, self.connection)
        task.apply_async(
            (ring.pk,), as_keywords(ring), producer=self.producer, retry=False
        )

    def close(self) -> None:
        connection, self.connection, self.producer = self.connection, None, None
        if connection is not None:
            connection.close()

    def forget(self) -> None:
        # Kept from being collected: that would shut the parent's socket down.
        self.abandoned += [self.connection, self.producer]
        self.connection = self.producer = None


def as_keywords(ring: Ring) -> dict[str, Any]:
    keywords = {"using": ring.using, "trigger": ring.trigger}
    return keywords | ({"user_id": ring.user_id} if ring.user_id else {})


def producer_over(app: Celery[Any], connection: Connection) -> Any:
    return app.amqp.Producer(connection, auto_declare=False)


def connect(app: Celery[Any], **options: Any) -> Connection:
    connection = app.connection_for_write(connect_timeout=TIMEOUT_SECONDS)
    options |= TIMEOUTS.get(connection.transport.driver_type, {})
    connection.transport_options = {**options, **(connection.transport_options or {})}
    # Nobody would answer the broker's heartbeats; idle connections are closed.
    connection.heartbeat = 0
    return connection.ensure_connection(max_retries=1, interval_start=0)
