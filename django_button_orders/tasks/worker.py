"""When a worker's sweep stops, and how it calls other workers."""

from __future__ import annotations

import mmap
import threading
from dataclasses import replace
from typing import Any

from celery._state import get_current_app
from celery.signals import worker_init, worker_shutting_down

from django_button_orders.clock import monotonic
from django_button_orders.delivery.sweep import SWEEP_SECONDS, SweepLimits
from django_button_orders.tasks.publisher import publish_sweep

# A call for help that no worker answers in this time is dropped: a backlog must not
# fill the queue that the shop's other tasks are in.
HELP_EXPIRES_SECONDS = 30
REMINDER_SECONDS = 0.25
# Celery's names for the states of a worker that is shutting down.
ENDING_STATES = ("closing", "terminating")


class Shutdown:
    """Knows, in each process and thread of a pool, if its worker is shutting down."""

    def __init__(self) -> None:
        self.worker: Any = None
        # The processes of a prefork pool share this memory. Celery sends its signals
        # in the parent process only.
        self.flag = mmap.mmap(-1, 1)

    def on_start(self, sender: Any = None, **kwargs: Any) -> None:
        # A process may run one worker after another, as in tests.
        self.worker = sender
        self.flag[0] = 0

    def on_end(self, **kwargs: Any) -> None:
        self.flag[0] = 1

    def is_ending(self) -> bool:
        return self.flag[0] == 1 or self.has_failed()

    def has_failed(self) -> bool:
        """Return whether the worker is ending without having sent its signal."""
        # Celery cannot cancel what runs in a pool of threads. At SIGQUIT, it fails
        # before it has sent its signal, and then waits for the threads.
        blueprint: Any = getattr(self.worker, "blueprint", None)
        return blueprint is not None and blueprint.human_state() in ENDING_STATES


shutdown = Shutdown()
worker_init.connect(shutdown.on_start, dispatch_uid="django_button_orders.on_start")
worker_shutting_down.connect(
    shutdown.on_end, dispatch_uid="django_button_orders.on_end"
)


def call_for_help(**options: Any) -> None:
    """
    Ask another worker to sweep, too.

    A thread publishes the message: if the broker hangs, this worker still has to
    record its calls.
    """
    threading.Thread(
        target=publish_sweep,
        args=(get_current_app(),),
        kwargs={"expires": HELP_EXPIRES_SECONDS, **options},
        name="button-orders-help",
        daemon=True,
    ).start()


class Reminder:
    """Asks for a sweep at an account's next turn, with one message for many rings."""

    def __init__(self) -> None:
        self.silent_until = 0.0

    def __call__(self, seconds: float) -> None:
        now = monotonic()
        if now < self.silent_until:
            return
        self.silent_until = now + REMINDER_SECONDS
        # The calls during the silence are for later turns: the sweep waits for them.
        wait = seconds + REMINDER_SECONDS if seconds else 0
        call_for_help(countdown=wait, expires=wait + HELP_EXPIRES_SECONDS)


LIMITS = SweepLimits(
    seconds=SWEEP_SECONDS,
    is_stopped=shutdown.is_ending,
    on_backlog=call_for_help,
    on_throttled=Reminder(),
)
# For a task that is called directly: there may be no worker to help.
WITHOUT_HELP = replace(
    LIMITS, on_backlog=lambda: None, on_throttled=lambda seconds: None
)
