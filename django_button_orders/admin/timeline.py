"""The page "History": calls and people's acts together, the latest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from django_button_orders.admin.base import hide_quotes
from django_button_orders.admin.history import find_users
from django_button_orders.models import ButtonOrder, Submission, as_aware
from django_button_orders.models.databases import allowed_aliases

# The page has at most this many calls, and as many acts.
MAX_EVENTS = 200
MAX_LENGTH = 1000


class Event(NamedTuple):
    """
    A call, or what a person did.

    ``kind`` is the outcome of a call and "" for an act. ``who`` is the user, or for a
    call without one, what triggered it.
    """

    moment: datetime
    who: str
    what: str
    text: str = ""
    detail: str = ""
    kind: str = ""
    is_act: bool = False


def timeline_context(request: HttpRequest, order: ButtonOrder) -> dict[str, Any]:
    """Return the context of the page: events, and whether older ones are left out."""
    calls, acts = find_calls(request, order), find_acts(order)
    users = find_users([*calls, *acts])
    events = [
        *call_events(calls[:MAX_EVENTS], users),
        *act_events(acts[:MAX_EVENTS], users),
    ]
    return {
        "events": sorted(
            events, key=lambda event: as_aware(event.moment), reverse=True
        ),
        "calls_begin_at": calls[MAX_EVENTS - 1].started_at
        if len(calls) > MAX_EVENTS
        else None,
        "acts_begin_at": acts[MAX_EVENTS - 1].action_time
        if len(acts) > MAX_EVENTS
        else None,
    }


def find_calls(request: HttpRequest, order: ButtonOrder) -> list[Submission]:
    """Return the latest calls without their bodies, and one more than is shown."""
    calls = Submission.objects.using(order._state.db).filter(button_order=order)
    latest = calls.defer("request_body", "response_body").order_by("-started_at", "-pk")
    found = list(latest[: MAX_EVENTS + 1])
    hide_quotes(request, found)
    return found


def find_acts(order: ButtonOrder) -> list[LogEntry]:
    """Return the latest entries of the admin's log, and one more than is shown."""
    entries = LogEntry.objects.filter(
        object_id=str(order.pk), content_type=get_content_type_for_model(ButtonOrder)
    )
    if len(allowed_aliases()) > 1:
        # The log has no database, and another one has an order with this key.
        entries = entries.filter(object_repr=str(order)[:200])
    return list(entries.order_by("-action_time", "-pk")[: MAX_EVENTS + 1])


def call_events(calls: list[Submission], users: dict[Any, Any]) -> Iterator[Event]:
    for call in calls:
        user = users.get(call.user_id)
        yield Event(
            moment=call.started_at,
            who=str(user) if user else call.get_trigger_display(),
            what=describe_call(call),
            text=Truncator(call.error).chars(MAX_LENGTH),
            detail=f"{call.method} {call.url}",
            kind=call.outcome,
        )


def describe_call(call: Submission) -> str:
    """Return what was called and what was answered, as "Create: Failed (422)"."""
    what = f"{call.get_operation_display()}: {call.get_outcome_display()}"
    return f"{what} ({call.status_code})" if call.status_code else what


def act_events(acts: list[LogEntry], users: dict[Any, Any]) -> Iterator[Event]:
    for act in acts:
        user = users.get(act.user_id)
        yield Event(
            moment=act.action_time,
            who=str(user) if user else _("a user who was deleted"),
            what=Truncator(act.get_change_message()).chars(MAX_LENGTH),
            is_act=True,
        )
