"""What was sent about an order, and what came back."""

from __future__ import annotations

from typing import Any

from django_button_orders.admin.display import pretty
from django_button_orders.models import ButtonOrder, Submission

MAX_SUBMISSIONS = 50


def history(order: ButtonOrder) -> dict[str, Any]:
    """Return the latest submissions for the page, and how many there are."""
    submissions = Submission.objects.using(order._state.db).filter(button_order=order)
    latest = submissions.select_related("user").order_by("-started_at", "-pk")
    return {
        "submissions": [with_bodies(item) for item in latest[:MAX_SUBMISSIONS]],
        "submission_count": submissions.count(),
    }


def with_bodies(submission: Submission) -> dict[str, Any]:
    return {
        "facts": submission,
        "request": pretty(submission.request_body),
        "response": pretty(submission.response_body),
    }
