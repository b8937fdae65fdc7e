"""What is on record about one order: its row, its calls, and the shop's own dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from django_button_orders.client.answers import parse_object
from django_button_orders.models import (
    AttributionToken,
    ButtonOrder,
    PausedAccount,
    Submission,
    as_aware,
)
from django_button_orders.models.submissions import SubmissionQuerySet
from django_button_orders.outbox.adapters import (
    HostOrders,
    OrderAdapter,
    find_adapter,
)
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.report.privacy import describe_for_log, is_time_limit

Operation = Submission.Operation
Outcome = Submission.Outcome

# An order may have a thousand calls: these are read, and the accepted ones between.
FIRST_CALLS = 10
LAST_CALLS = 30
BODIES = ("request_body", "response_body")
CHANGES = (Operation.UPDATE, Operation.CANCEL)
SETTLED = (ButtonOrder.Status.REPORTED, ButtonOrder.Status.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """
    What is on record about one order.

    ``calls`` are the oldest first. ``left_out`` calls between them were not read.
    ``token_at`` is when the shop got the token, if its adapter knows; ``token_error``
    says why that could not be found out. Without ``has_bodies``, the bodies of the
    calls were not read, and are empty.
    """

    order: ButtonOrder
    pause: PausedAccount | None
    calls: list[Submission]
    left_out: int
    has_bodies: bool = True
    token_at: datetime | None = None
    token_error: str = ""

    @property
    def created(self) -> Submission | None:
        """
        The first report that Button accepted, if it is still on record.

        Without an accepted one, it is the first whose answer was lost: Button may have
        carried it out, and said so when it was asked.
        """
        creates = [call for call in self.calls if call.operation == Operation.CREATE]
        accepted = [call for call in creates if call.outcome == Outcome.SUCCEEDED]
        if accepted or not self.order.is_acknowledged:
            return next(iter(accepted), None)
        return next(filter(is_unanswered, creates), None)

    @property
    def last_change(self) -> Submission | None:
        """
        The last update or cancellation that Button accepted.

        It may be one whose answer was lost, if Button has shown since that it arrived.
        """
        changes = [
            call
            for call in self.calls
            if call.operation in CHANGES and self.is_accepted(call)
        ]
        return changes[-1] if changes else None

    def is_accepted(self, call: Submission) -> bool:
        """Return whether Button has carried out a change, as far as is known."""
        is_settled = self.order.status in SETTLED and not self.order.unanswered
        has_arrived = is_settled and is_unanswered(call)
        return call.outcome == Outcome.SUCCEEDED or has_arrived

    @property
    def shown(self) -> dict[str, Any]:
        """The order as Button last showed it to a question, or an empty dict."""
        asked = [call for call in self.calls if call.operation == Operation.RETRIEVE]
        return shown_order(asked[-1]) if asked else {}

    @property
    def tied_token(self) -> str | None:
        """The token that Button ties to the order, "" for none, None if not known."""
        if self.order.reported_btn_ref is not None:
            return str(self.order.reported_btn_ref)
        return token_in(self.shown)

    @property
    def is_token_missing_at_button(self) -> bool:
        """Whether Button shows no token although the first report had one."""
        return bool(self.order.reported_btn_ref) and token_in(self.shown) == ""

    @property
    def token_delay(self) -> timedelta | None:
        """How long after the first report the token came, or None if not known."""
        came = self.token_at or as_aware(self.order.late_token_at)
        return (
            came - as_aware(self.created.started_at) if came and self.created else None
        )


def find_evidence(order: ButtonOrder, *, with_bodies: bool) -> Evidence:
    """Gather what is on record about an order, in a bounded number of queries."""
    calls, left_out = find_calls(order, with_bodies=with_bodies)
    token_at, token_error = find_token_date(order)
    paused = PausedAccount.objects.using(order.write_db)
    return Evidence(
        order=order,
        pause=paused.filter(account=order.account).first(),
        calls=calls,
        left_out=left_out,
        has_bodies=with_bodies,
        token_at=token_at,
        token_error=token_error,
    )


def find_calls(
    order: ButtonOrder, *, with_bodies: bool
) -> tuple[list[Submission], int]:
    """Return the calls of an order, the oldest first, and how many were left out."""
    calls = Submission.objects.using(order._state.db).filter(button_order=order)
    if not with_bodies:
        calls = calls.defer(*BODIES)
    found, left_out = select_calls(calls)
    for call in found if not with_bodies else []:
        call.request_body = call.response_body = ""
    return found, left_out


def select_calls(calls: SubmissionQuerySet) -> tuple[list[Submission], int]:
    """Return the first and the last calls, and the accepted ones between them."""
    oldest, newest = ("started_at", "pk"), ("-started_at", "-pk")
    last = list(calls.order_by(*newest)[: LAST_CALLS + 1])
    if len(last) <= LAST_CALLS:
        return last[::-1], 0
    accepted = calls.filter(outcome=Outcome.SUCCEEDED)
    found = [
        *calls.order_by(*oldest)[:FIRST_CALLS],
        accepted.filter(operation=Operation.CREATE).order_by(*oldest).first(),
        accepted.filter(operation__in=CHANGES).order_by(*newest).first(),
        *last[:LAST_CALLS],
    ]
    # A call may be among several of these.
    by_key = {call.pk: call for call in found if call is not None}
    kept = sorted(by_key.values(), key=lambda call: (call.started_at, call.pk))
    return kept, calls.count() - len(kept)


def find_token_date(order: ButtonOrder) -> tuple[datetime | None, str]:
    """Return when the shop got an order's token, or else the error of its adapter."""
    model = order.get_source_model()
    adapter = find_adapter(model) if model is not None else None
    if adapter is None:
        return None, ""
    if not keeps_token_dates(adapter):
        return find_kept_date(order), ""
    try:
        with savepoint(order._state.db or DEFAULT_DB_ALIAS):
            host_order = HostOrders().find(adapter, order)
            if host_order is None:
                return None, ""
            found = adapter.get_btn_ref_date(host_order)
    except Exception as exc:
        if is_time_limit(exc):
            raise
        return None, describe_for_log(exc)
    moment = as_aware(found)
    if moment is None or (isinstance(moment, datetime) and moment.tzinfo is not None):
        return moment, ""
    return None, f"a {type(found).__name__} is not a datetime with a time zone"


def find_kept_date(order: ButtonOrder) -> datetime | None:
    """Return when the shop called ``set_btn_ref`` for an order, or None."""
    tokens = AttributionToken.objects.using(order._state.db)
    kept = tokens.of_order(order.source_type_id, order.source_id)
    return kept.values_list("kept_at", flat=True).first()


def keeps_token_dates(adapter: OrderAdapter) -> bool:
    return type(adapter).get_btn_ref_date is not OrderAdapter.get_btn_ref_date


def is_unanswered(call: Submission) -> bool:
    """Return whether a call may have had an effect that no answer told of."""
    status = call.status_code
    return status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def shown_order(call: Submission) -> dict[str, Any]:
    """Return the order in Button's answer to a call, or an empty dict."""
    found = (parse_object(call.response_body) or {}).get("object")
    return found if isinstance(found, dict) else {}


def token_in(shown: dict[str, Any]) -> str | None:
    """Return the token in an order that Button shows, "" for none, None if left out."""
    token = shown.get("btn_ref", 0)
    if token is None:
        return ""
    return token if isinstance(token, str) else None
