"""Celery's way in, and the only file that knows Celery."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celery import Celery, Task, shared_task
from celery._state import get_current_app
from kombu import Connection

from django_button_orders import prune, sweep
from django_button_orders.beat import PRUNE_SUBMISSIONS, REPORT_DUE_ORDERS, REPORT_ORDER
from django_button_orders.conf import get_settings
from django_button_orders.doorbell import Publisher, Ring

if TYPE_CHECKING:
    TaskBase = Task[Any, Any]
else:
    TaskBase = Task

logger = logging.getLogger(__name__)

# Longer waits live in the database alone: messages that wait are held in the
# memory of workers, and brokers hand them out twice.
LONGEST_COUNTDOWN_SECONDS = 300
# A sweep that has more to do after this time makes room for other tasks.
SWEEP_SECONDS = 60
# What a broker may take for one step, by the names that its transport knows.
TIMEOUT_SECONDS = 5
TIMEOUTS = {
    "redis": {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
    },
    "amqp": {"read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS},
}


class QueuedTask(TaskBase):
    """A task that goes to the queue of the settings."""

    abstract = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        queue = get_settings().queue
        if queue is not None:
            options.setdefault("queue", queue)
        return super().apply_async(*args, **options)


@shared_task(bind=True, base=QueuedTask, name=REPORT_ORDER, ignore_result=True)
def report_order(
    self: Task[Any, Any],
    pk: int,
    using: str = "default",
    trigger: str = "save",
    user_id: str | None = None,
) -> None:
    """Make one attempt at one row."""
    delay = sweep.report(pk, using=using, trigger=trigger, user_id=user_id)
    if delay is not None and delay <= LONGEST_COUNTDOWN_SECONDS:
        ring_later(self, Ring(pk, using), delay)


def ring_later(task: Task[Any, Any], ring: Ring, delay: float) -> None:
    try:
        task.apply_async((ring.pk,), {"using": ring.using}, countdown=delay)
    except Exception as exc:  # noqa: BLE001 - the row is due all the same
        logger.warning("The broker did not take a message (%s).", type(exc).__name__)


@shared_task(base=QueuedTask, name=REPORT_DUE_ORDERS, ignore_result=True)
def report_due_orders() -> None:
    """Sweep: report whatever is due, wherever it is."""
    for alias in sweep.database_aliases():
        sweep.report_due_safely(using=alias, seconds=SWEEP_SECONDS)


@shared_task(base=QueuedTask, name=PRUNE_SUBMISSIONS, ignore_result=True)
def prune_submissions() -> None:
    """Forget bodies first, and submissions later, as the settings say."""
    for alias in sweep.database_aliases():
        prune.prune_submissions(using=alias)


class CeleryPublisher(Publisher):
    """
    Publishes rings over a connection of its own, with timeouts of its own.

    Celery's apps are current in one thread only, so the app is found where
    it is known: in the thread that rings, or where Django was set up.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.abandoned: list[Connection | None] = []
        # Made where Django is set up, in the main thread.
        self.app: Celery[Any] = get_current_app()

    def prepare(self) -> None:
        app = get_current_app()
        # In threads that know of none, Celery makes up one that is not current.
        if getattr(app, "set_as_current", True):
            self.app = app

    def is_eager(self) -> bool:
        self.prepare()
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

    def send(self, app: Celery[Any], task: Task[Any, Any], ring: Ring) -> None:
        if self.connection is None:
            self.connection = connect(app)
        with app.amqp.Producer(self.connection, auto_declare=False) as producer:
            task.apply_async(
                (ring.pk,), as_keywords(ring), producer=producer, retry=False
            )

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def forget(self) -> None:
        # Kept from being collected: that would shut the parent's socket down.
        self.abandoned.append(self.connection)
        self.connection = None


def as_keywords(ring: Ring) -> dict[str, Any]:
    keywords = {"using": ring.using, "trigger": ring.trigger}
    return keywords | ({"user_id": ring.user_id} if ring.user_id else {})


def connect(app: Celery[Any]) -> Connection:
    connection = app.connection_for_write(connect_timeout=TIMEOUT_SECONDS)
    timeouts = TIMEOUTS.get(connection.transport.driver_type, {})
    connection.transport_options = {**timeouts, **(connection.transport_options or {})}
    # Nobody would answer the broker's heartbeats; idle connections are closed.
    connection.heartbeat = 0
    return connection.ensure_connection(max_retries=1, interval_start=0)
