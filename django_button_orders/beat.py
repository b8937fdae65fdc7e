"""What Celery beat should run. A settings file imports it: no Django here."""

from __future__ import annotations

from typing import Any

REPORT_ORDER = "django_button_orders.report_order"
REPORT_DUE_ORDERS = "django_button_orders.report_due_orders"
PRUNE_SUBMISSIONS = "django_button_orders.prune_submissions"
MOVE_ORDERS = "django_button_orders.move_orders"
RECONCILE_ORDERS = "django_button_orders.reconcile_orders"

# Until the latest orders are compared with their rows again.
RECONCILE_SECONDS = 5 * 60
DAY = 24 * 60 * 60


def beat_schedule(*, sweep_seconds: float = 30) -> dict[str, dict[str, Any]]:
    """
    Return the entries to put into ``CELERY_BEAT_SCHEDULE``.

    The sweep runs every ``sweep_seconds``, the comparison of the latest orders
    with their rows every five minutes, pruning once a day. A message that waited
    longer than its interval is dropped, the next one does its work. Workers judge
    that by their clocks: one that is fast by more than that drops them all.
    """
    return {
        "button-orders-report-due": {
            "task": REPORT_DUE_ORDERS,
            "schedule": float(sweep_seconds),
            "options": {"expires": float(sweep_seconds)},
        },
        "button-orders-reconcile": {
            "task": RECONCILE_ORDERS,
            "schedule": float(RECONCILE_SECONDS),
            "options": {"expires": float(RECONCILE_SECONDS)},
        },
        "button-orders-prune": {
            "task": PRUNE_SUBMISSIONS,
            "schedule": float(DAY),
            "options": {"expires": float(DAY)},
        },
    }
