"""The example's Celery app, that says when a worker has started."""

from __future__ import annotations

import sys
from typing import Any

from celery.signals import worker_ready
from config.celery import app

__all__ = ["READY", "app"]

READY = "The worker is ready."


@worker_ready.connect
def announce(**kwargs: Any) -> None:
    # Celery's own words are of a level that would log every task as well.
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
