"""What was sent about an order, and what came back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import router
from django.http import HttpRequest
from django.utils import timezone

from django_button_orders.admin.configured import keep_bodies_days
from django_button_orders.admin.display import pretty
from django_button_orders.models import ButtonOrder, Submission

MAX_SUBMISSIONS = 50
# The page of the history, as a parameter of the address.
PAGE = "submissions"


def history(
    request: HttpRequest, order: ButtonOrder, *, with_bodies: bool
) -> dict[str, Any]:
    """
    Return a page of an order's submissions, the latest ones first.

    They are not counted: only whether there are older ones is found out.
    """
    page = page_number(request)
    start = page * MAX_SUBMISSIONS
    submissions = Submission.objects.using(order._state.db).filter(button_order=order)
    if not with_bodies:
        submissions = submissions.defer("request_body", "response_body")
    latest = submissions.order_by("-started_at", "-pk")
    found = list(latest[start : start + MAX_SUBMISSIONS + 1])
    shown = found[:MAX_SUBMISSIONS]
    users = users_of(shown)
    return {
        "may_view_bodies": with_bodies,
        "keep_bodies_days": keep_bodies_days(),
        "submissions": [
            {
                "facts": submission,
                "user": users.get(submission.user_id),
                **(bodies_of(submission) if with_bodies else {}),
            }
            for submission in shown
        ],
        "older_url": page_url(page + 1) if len(found) > len(shown) else "",
        "newer_url": page_url(page - 1) if page else "",
    }


def page_number(request: HttpRequest) -> int:
    text = request.GET.get(PAGE, "")
    # Not so far that a database could not count to it.
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0


def page_url(page: int) -> str:
    return f"?{PAGE}={page}#button-order-submissions"


def users_of(submissions: Iterable[Submission]) -> dict[Any, Any]:
    """Return who made submissions: they may live in another database."""
    keys = {item.user_id for item in submissions if item.user_id is not None}
    if not keys:
        return {}
    model = get_user_model()
    found: dict[Any, Any] = model._base_manager.using(
        router.db_for_read(model)
    ).in_bulk(keys)
    return found


def bodies_of(submission: Submission) -> dict[str, Any]:
    return {
        "request": pretty(submission.request_body),
        "response": pretty(submission.response_body),
        "is_pruned": is_pruned(submission),
    }


def is_pruned(submission: Submission) -> bool:
    """
    Return whether there were bodies, as far as can be told.

    A question, a cancellation and some answers have none; what is not kept any
    more is taken for pruned.
    """
    if submission.request_body or submission.response_body:
        return False
    days = keep_bodies_days()
    if days is None:
        return False
    if submission.method == "POST":
        return True
    is_old = timezone.now() - submission.started_at > timedelta(days=days)
    return is_old and submission.status_code is not None
