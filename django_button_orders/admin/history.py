"""The history on the page of an order: the calls made, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import router
from django.http import HttpRequest

from django_button_orders.admin.base import hide_quotes, keep_bodies_days
from django_button_orders.admin.formatting import age_of, format_body
from django_button_orders.models import ButtonOrder, Submission

MAX_SUBMISSIONS = 50
# The first page folds all but the latest calls, because the report comes below them.
UNFOLDED = 3
# The URL parameter that has the number of the page.
PAGE = "submissions"


def history_context(
    request: HttpRequest, order: ButtonOrder, *, with_bodies: bool
) -> dict[str, Any]:
    """
    Return the context of one page of an order's submissions, the latest first.

    The query reads one submission more than the page shows, instead of counting them.
    """
    page = page_number(request)
    start = page * MAX_SUBMISSIONS
    submissions = Submission.objects.using(order._state.db).filter(button_order=order)
    if not with_bodies:
        submissions = submissions.defer("request_body", "response_body")
    latest = submissions.order_by("-started_at", "-pk")
    found = list(latest[start : start + MAX_SUBMISSIONS + 1])
    shown = found[:MAX_SUBMISSIONS]
    hide_quotes(request, shown)
    users = find_users(shown)
    entries = [
        {
            "facts": submission,
            "user": users.get(submission.user_id),
            **(bodies_context(submission) if with_bodies else {}),
        }
        for submission in shown
    ]
    # Whoever pages through the calls wants all of them.
    unfolded = MAX_SUBMISSIONS if page else UNFOLDED
    return {
        "may_view_bodies": with_bodies,
        "keep_bodies_days": keep_bodies_days(),
        "submissions": entries[:unfolded],
        "earlier": entries[unfolded:],
        "older_url": page_url(page + 1) if len(found) > len(shown) else "",
        "newer_url": page_url(page - 1) if page else "",
    }


def page_number(request: HttpRequest) -> int:
    """Return the number of the page in the URL, or 0."""
    text = request.GET.get(PAGE, "")
    # With more digits, the offset could exceed a database's integers.
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0


def page_url(page: int) -> str:
    return f"?{PAGE}={page}#button-order-submissions"


def find_users(items: Iterable[Any]) -> dict[Any, Any]:
    """Return the users of calls or log entries, from their own database."""
    keys = {item.user_id for item in items if item.user_id is not None}
    if not keys:
        return {}
    model = get_user_model()
    found: dict[Any, Any] = model._base_manager.using(
        router.db_for_read(model)
    ).in_bulk(keys)
    return found


def bodies_context(submission: Submission) -> dict[str, Any]:
    """Return the bodies of a call, and whether they were pruned."""
    return {
        "request": format_body(submission.request_body),
        "response": format_body(submission.response_body),
        "is_pruned": is_pruned(submission),
    }


def is_pruned(submission: Submission) -> bool:
    """
    Return whether a submission has probably lost its bodies to retention.

    A GET, a DELETE and some answers have no body. A submission without bodies counts
    as pruned if it is a POST, or if it is older than ``KEEP_BODIES_DAYS`` and Button
    answered it.
    """
    if submission.request_body or submission.response_body:
        return False
    days = keep_bodies_days()
    if days is None:
        return False
    if submission.method == "POST":
        return True
    is_old = age_of(submission.started_at) > timedelta(days=days)
    return is_old and submission.status_code is not None
