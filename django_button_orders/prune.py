"""Forgetting: what was sent and answered first, that it was later."""

from __future__ import annotations

from datetime import timedelta

from django_button_orders.conf import get_settings
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.querysets import DatabaseNow

CHUNK = 1000


def prune_submissions(*, using: str) -> tuple[int, int]:
    """
    Empty the bodies of old submissions, and delete the oldest of them.

    Submissions of pending rows are kept. Works in short transactions. Return
    how many bodies were emptied and how many submissions deleted.
    """
    settings = get_settings()
    submissions = Submission.objects.using(using).exclude(
        button_order__status=ButtonOrder.Status.PENDING
    )
    now = DatabaseNow()
    with_bodies = submissions.filter(
        started_at__lt=now - timedelta(days=settings.keep_bodies_days)
    ).exclude(request_body="", response_body="")
    old = submissions.filter(
        started_at__lt=now - timedelta(days=settings.keep_submissions_days)
    )
    emptied = deleted = 0
    while pks := list(with_bodies.values_list("pk", flat=True)[:CHUNK]):
        chunk = Submission.objects.using(using).filter(pk__in=pks)
        emptied += chunk.update(request_body="", response_body="")
    while pks := list(old.values_list("pk", flat=True)[:CHUNK]):
        deleted += Submission.objects.using(using).filter(pk__in=pks).delete()[0]
    return emptied, deleted
