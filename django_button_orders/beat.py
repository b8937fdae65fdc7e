"""Which tasks run periodically, and how often. Settings import it: no Django here."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

REPORT_ORDER = "django_button_orders.report_order"
REPORT_DUE_ORDERS = "django_button_orders.report_due_orders"
PRUNE_SUBMISSIONS = "django_button_orders.prune_submissions"
RECONCILE_ORDERS = "django_button_orders.reconcile_orders"


class Entry(NamedTuple):
    """One entry of the schedule: its key, its task and the seconds between runs."""

    key: str
    task: str
    seconds: float


SWEEP = Entry("button-orders-report-due", REPORT_DUE_ORDERS, 30)
RECONCILE = Entry("button-orders-reconcile", RECONCILE_ORDERS, 5 * 60)
PRUNE = Entry("button-orders-prune", PRUNE_SUBMISSIONS, 24 * 60 * 60)


def beat_schedule(*, sweep_seconds: float = SWEEP.seconds) -> dict[str, dict[str, Any]]:
    """
    Return the entries to put into ``CELERY_BEAT_SCHEDULE``.

    The sweep runs every ``sweep_seconds``. The task ``reconcile_orders`` runs every
    five minutes, and ``prune_submissions`` runs once a day.

    A message expires after its interval, because the next message does the same work.
    Workers use their own clocks for that: if a worker's clock is fast by more than an
    interval, the worker drops all messages. ``expire_seconds`` is the name of this
    option for django-celery-beat.
    """
    entries = (SWEEP._replace(seconds=sweep_seconds), RECONCILE, PRUNE)
    return {
        entry.key: {
            "task": entry.task,
            "schedule": float(entry.seconds),
            "options": {
                "expires": float(entry.seconds),
                # A column of integers.
                "expire_seconds": math.ceil(entry.seconds),
            },
        }
        for entry in entries
    }
