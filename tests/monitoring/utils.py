from __future__ import annotations

from django_button_orders.models import Submission
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.monitoring.snapshot import (
    FEW_ORDERS,
    database_time,
    store_sweep,
)


def add_calls(row, *durations, started_at=None, outcome="succeeded"):
    """Add a submission of each duration, in milliseconds."""
    using = row._state.db
    Submission.objects.using(using).bulk_create(
        Submission(
            button_order=row,
            operation="create",
            trigger="sweep",
            revision=1,
            started_at=started_at or database_time(using),
            duration_ms=duration,
            method="POST",
            url="https://button.test/v1/order",
            outcome=outcome,
        )
        for duration in durations
    )


def sweep(using="default"):
    """Record a sweep, with a snapshot that seems to be counted in no time."""
    store_sweep(using)
    Snapshot.objects.using(using).update(seconds=0)


def pretend_large(using="default", **values):
    """Make the snapshot one of a large table, which took long to count."""
    [snapshot] = Snapshot.objects.using(using)
    group = {"status": "dismissed", "orders": FEW_ORDERS + 1}
    figures = {**snapshot.figures, "groups": [*snapshot.figures["groups"], group]}
    values = {"seconds": 1, "figures": figures, **values}
    Snapshot.objects.using(using).update(**values)
