from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import responses
from django.test import TransactionTestCase

from django_button_orders import doorbell
from tests import celery
from tests.celery import app


def take_messages(queue=None):
    """Return the arguments of the messages in a queue, and empty it."""
    return [
        (message.headers["task"], *message.payload[:2])
        for message in celery.take_messages(queue)
    ]


class QueueTestCase(TransactionTestCase):
    def setUp(self):
        super().setUp()
        # Also what other tests have rung for, and what is not published yet.
        doorbell.flush()
        take_messages()
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)


@contextmanager
def broken_broker():
    """Let Celery talk to a port where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        before = app.conf.broker_url, app.conf.broker_write_url
        app.conf.broker_url = app.conf.broker_write_url = f"amqp://127.0.0.1:{port}//"
        app._pool = app.amqp._producer_pool = None
        try:
            yield
        finally:
            app.conf.broker_url, app.conf.broker_write_url = before
            app._pool = app.amqp._producer_pool = None


def wait_for_help():
    """Wait until calls for help are published."""
    for thread in threading.enumerate():
        if thread.name == "button-orders-help":
            thread.join(10)
