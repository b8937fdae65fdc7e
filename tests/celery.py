"""The Celery app of the tests, as a project has one."""

from __future__ import annotations

from typing import Any

from celery import Celery

app = Celery("tests")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def take_messages(queue: str | None = None) -> list[Any]:
    """Return the messages in a queue, or in the default one, and empty it."""
    taken = []
    name = queue or app.conf.task_default_queue
    with app.connection_for_read() as connection:
        bound = app.amqp.queues[name].bind(connection.default_channel)
        # Also where there is none yet, as on a broker that has just started.
        bound.declare()
        while message := bound.get():
            taken.append(message)
            message.ack()
    return taken
