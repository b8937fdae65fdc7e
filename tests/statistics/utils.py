from __future__ import annotations

from django.db import connection
from django.db.models import Value
from django.utils import timezone

from django_button_orders.models import Submission
from django_button_orders.observations import Snapshot
from django_button_orders.querysets import from_now

URL = "https://button.test/v1/order"
HOUR = 3600


def add_calls(row, *durations, outcome="succeeded", started_at=None, **values):
    """Add a submission of each duration, in milliseconds."""
    made = Submission.objects.using(row._state.db).bulk_create(
        Submission(
            button_order=row,
            operation="create",
            trigger="sweep",
            revision=1,
            started_at=started_at or timezone.now(),
            duration_ms=duration,
            method="POST",
            url=URL,
            outcome=outcome,
            **values,
        )
        for duration in durations
    )
    if started_at is None:
        return made
    return made


def put_snapshot(**values):
    """Have the only snapshot say something else."""
    assert Snapshot.objects.update(**values) == 1


__all__ = ["HOUR", "Value", "add_calls", "connection", "from_now", "put_snapshot"]
