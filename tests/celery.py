"""The Celery app that the tests' project uses."""

from __future__ import annotations

from typing import Any

from celery import Celery

app = Celery("tests")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def take_messages(queue: str | None = None) -> list[Any]:
    """Return and remove all messages of a queue, by default of the default one."""
    taken = []
    name = queue or app.conf.task_default_queue
    with app.connection_for_read() as connection:
        bound = app.amqp.queues[name].bind(connection.default_channel)
        # A broker that has just started has no queue yet.
        bound.declare()
        while message := bound.get():
            taken.append(message)
            message.ack()
    return taken
