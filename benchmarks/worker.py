"""The example's Celery app, which prints when a worker is ready."""

from __future__ import annotations

import sys
from typing import Any

from celery.signals import worker_ready
from config.celery import app

__all__ = ["READY", "app"]

READY = "The worker is ready."


@worker_ready.connect
def announce(**kwargs: Any) -> None:
    # Celery's own message needs a log level that would also log every task.
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
