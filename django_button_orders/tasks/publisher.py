"""Publish messages to the broker: rings, and calls for help."""

from __future__ import annotations

from typing import Any

from celery import Celery, Task
from celery._state import get_current_app
from kombu import Connection

from django_button_orders.beat import REPORT_DUE_ORDERS, REPORT_ORDER
from django_button_orders.doorbell import BROKER_REFUSED, Publisher, Ring
from django_button_orders.printable import get_logger

logger = get_logger(__name__)

# How long a broker may take for one step, by the names that its transport knows.
TIMEOUT_SECONDS = 5
TIMEOUTS = {
    "redis": {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
    },
    "amqp": {"read_timeout": TIMEOUT_SECONDS, "write_timeout": TIMEOUT_SECONDS},
}


class CeleryPublisher(Publisher):
    """
    Publishes over a connection of its own, which has timeouts.

    A Celery app is current in one thread only, and never in the thread that
    publishes. So the publisher uses the app of the thread that rings, or else the
    app that was current when Django was set up.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.producer: Any = None
        self.abandoned: list[Any] = []
        # Django sets apps up in the main thread, which knows the project's app.
        self.app: Celery[Any] = get_current_app()

    def is_eager(self) -> bool:
        self.find_app()
        return bool(self.app.conf.task_always_eager)

    def find_app(self) -> None:
        app = get_current_app()
        # In a thread that knows of no app, Celery makes one up that is not current.
        if getattr(app, "set_as_current", True):
            self.app = app

    def prepare(self) -> None:
        # Celery and Kombu import the modules of these when they are first used.
        amqp, task = self.app.amqp, self.app.tasks[REPORT_ORDER]
        transport = self.app.connection_for_write().transport
        _ = (transport, amqp.Producer, amqp.send_task_message, task.backend)

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
            # The kept connection may have gone stale, so a new one is tried once.
            self.close()
            if is_fresh:
                raise
            self.send(app, task, ring)

    def send(self, app: Celery[Any], task: Task[Any, Any], ring: Ring) -> None:
        if self.connection is None:
            self.connection = connect(app)
            # Opening a channel takes longer than publishing: the producer keeps it.
            self.producer = producer_over(app, self.connection)
        task.apply_async(
            (ring.pk,),
            as_keywords(ring),
            countdown=ring.delay,
            producer=self.producer,
            retry=False,
        )

    def close(self) -> None:
        connection, self.connection, self.producer = self.connection, None, None
        if connection is not None:
            connection.close()

    def forget(self) -> None:
        # A reference is kept, because collecting the connection would close the
        # parent's socket.
        self.abandoned += [self.connection, self.producer]
        self.connection = self.producer = None


def publish_sweep(app: Celery[Any], **options: Any) -> None:
    """Publish one message for ``report_due_orders``. Never raises."""
    try:
        with connect(app) as connection, producer_over(app, connection) as producer:
            app.tasks[REPORT_DUE_ORDERS].apply_async(
                producer=producer, retry=False, **options
            )
    except Exception as exc:  # noqa: BLE001 - the next sweep goes on all the same
        log_refusal(exc)


def log_refusal(exc: Exception) -> None:
    logger.warning(BROKER_REFUSED, type(exc).__name__)


def as_keywords(ring: Ring) -> dict[str, Any]:
    keywords = {"using": ring.using, "trigger": ring.trigger}
    return keywords | ({"user_id": ring.user_id} if ring.user_id else {})


def producer_over(app: Celery[Any], connection: Connection) -> Any:
    return app.amqp.Producer(connection, auto_declare=False)


def connect(app: Celery[Any], **options: Any) -> Connection:
    """Return a new connection to the broker, with timeouts."""
    connection = app.connection_for_write(connect_timeout=TIMEOUT_SECONDS)
    options |= TIMEOUTS.get(connection.transport.driver_type, {})
    connection.transport_options = {**options, **(connection.transport_options or {})}
    # No thread of ours would answer the broker's heartbeats, so there are none.
    connection.heartbeat = 0
    return connection.ensure_connection(max_retries=1, interval_start=0)
