from __future__ import annotations

from datetime import timedelta

from django_button_orders.models import Submission
from django_button_orders.statistics.snapshot import database_time


def ago(*, using="default", **values):
    """Return a moment before now, by the database's clock."""
    return database_time(using) - timedelta(**values)


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
