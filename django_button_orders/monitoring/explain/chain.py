"""
What has happened to one order, and why it earned a commission or not.

``find_chain`` returns dated events in plain sentences, and a conclusion. The command
``button_orders_explain`` and the order's page in the admin print them. Nothing here
asks Button: ``delivery.ask`` does, and the answer is on record then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_button_orders.client.answers import parse_object
from django_button_orders.models import ButtonOrder, Submission, as_aware
from django_button_orders.models.accounts import PausedAccount
from django_button_orders.monitoring.explain.conclusions import Conclusion, conclude
from django_button_orders.monitoring.explain.evidence import (
    Evidence,
    find_evidence,
    shown_order,
    token_in,
)
from django_button_orders.monitoring.explain.words import as_moment, as_money, total_in

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Operation = Submission.Operation
Outcome = Submission.Outcome
Trigger = Submission.Trigger

LAST = datetime.max.replace(tzinfo=timezone.utc)

STARTED_BY: dict[str, _StrPromise] = {
    Trigger.ADMIN: gettext_lazy("An operator started this in the admin."),
    Trigger.COMMAND: gettext_lazy("A command started this."),
    Trigger.BACKFILL: gettext_lazy("A backfill started this."),
}
UNSUCCESSFUL: dict[str, _StrPromise] = {
    Operation.CREATE: gettext_lazy("A first report was sent."),
    Operation.UPDATE: gettext_lazy("An update was sent."),
    Operation.CANCEL: gettext_lazy("A cancellation was sent."),
    Operation.RETRIEVE: gettext_lazy("Button was asked about the order."),
}
AT_BUTTON: dict[str, _StrPromise] = {
    "open": gettext_lazy("It is open there: it can be changed."),
    "finalized": gettext_lazy("It is finalized there: it cannot be changed."),
    "deleted": gettext_lazy("It is deleted there: it was cancelled."),
}


class Event(NamedTuple):
    """What happened to an order at a moment, or what holds now (without a moment)."""

    moment: datetime | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The events of an order, the oldest first, and what follows from them."""

    events: list[Event]
    conclusion: Conclusion


def find_chain(order: ButtonOrder, *, with_bodies: bool = True) -> Chain:
    """
    Return what has happened to an order, from the record. Button is not asked.

    The bodies of the calls have more about tokens and totals. A user who may not view
    them gets the chain without.
    """
    evidence = find_evidence(order, with_bodies=with_bodies)
    events = [*order_events(evidence), *call_events(evidence), *facts_of_now(evidence)]
    # Sorting keeps the order of events of one moment.
    events.sort(key=lambda event: event.moment or LAST)
    return Chain(events=events, conclusion=conclude(evidence))


# The order


def order_events(evidence: Evidence) -> Iterator[Event]:
    """Yield what the row and the shop say of the order, and of its account."""
    order = evidence.order
    moments: list[tuple[datetime | None, str]] = [
        (order.purchase_date, _("The customer placed the order.")),
        (evidence.token_at, _("The shop got the attribution token.")),
        (order.created_at, _("The app recorded the order.")),
        (order.late_token_at, late_token_text(order)),
        (order.cancel_requested_at, _("Somebody requested the cancellation here.")),
        (order.erased_at, _("The personal data was erased here, with the token.")),
    ]
    if evidence.pause is not None:
        moments.append((evidence.pause.paused_at, pause_text(evidence.pause)))
    if order.finalizes_at is not None and order.status != ButtonOrder.Status.CANCELLED:
        moments.append((order.finalizes_at, window_text(order)))
    for moment, text in moments:
        if moment is not None:
            yield Event(as_aware(moment), text)


def late_token_text(order: ButtonOrder) -> str:
    if order.reported_btn_ref:
        return _("The app saw another token than that of the first report.")
    return _("The app saw a token, after the first report.")


def pause_text(pause: PausedAccount) -> str:
    text = _("Button refused the API key, so the account %(account)s was paused.")
    return text % {"account": pause.account}


def window_text(order: ButtonOrder) -> str:
    if as_aware(order.finalizes_at) > datetime.now(timezone.utc):
        return _("Button stops accepting changes of the order.")
    return _("Button stopped accepting changes of the order.")


# Calls


def call_events(evidence: Evidence) -> Iterator[Event]:
    """Yield an event for each call that was accepted, and one for others in a row."""
    before: dict[str, Any] | None = None
    for kind, group in groupby(evidence.calls, key=kind_of):
        calls = list(group)
        if kind is not None:
            yield Event(as_aware(calls[0].started_at), unsuccessful_text(calls))
            continue
        for call in calls:
            sent = parse_object(call.request_body)
            words = [*accepted_texts(call, sent, before, evidence), started_by(call)]
            yield Event(as_aware(call.started_at), join(words))
            if call.operation in (Operation.CREATE, Operation.UPDATE):
                before = sent


def kind_of(call: Submission) -> tuple[str, int | None, str] | None:
    """Return what calls that were not accepted have in common; None if accepted."""
    if call.outcome == Outcome.SUCCEEDED:
        return None
    return call.operation, call.status_code, call.outcome


def unsuccessful_text(calls: list[Submission]) -> str:
    """Return sentences about calls that Button has not accepted in the same way."""
    call, last = calls[0], calls[-1]
    if call.status_code is None:
        answer = _("No answer came.")
    else:
        answer = _("Button answered %(status)d.") % {"status": call.status_code}
    words = [str(UNSUCCESSFUL.get(call.operation, "")), answer, started_by(call)]
    if more := len(calls) - 1:
        text = ngettext(
            "The same happened %(count)d more time, on %(last)s.",
            "The same happened %(count)d more times, last on %(last)s.",
            more,
        )
        words.append(text % {"count": more, "last": as_moment(last.started_at)})
    return join(words)


def accepted_texts(
    call: Submission,
    sent: dict[str, Any] | None,
    before: dict[str, Any] | None,
    evidence: Evidence,
) -> Iterator[str]:
    """Yield sentences about a call that Button accepted, or a question it answered."""
    if call.operation == Operation.CREATE:
        yield from create_texts(call, sent, evidence)
    elif call.operation == Operation.UPDATE:
        yield _("An update was sent, and Button accepted it.")
        if sent is not None:
            yield change_of_total(before, sent, evidence.order.currency)
        elif evidence.has_bodies:
            yield _("The update is no longer kept.")
    elif call.operation == Operation.CANCEL:
        yield _("A cancellation was sent, and Button accepted it.")
    else:
        yield from retrieve_texts(call, evidence)


def create_texts(
    call: Submission, sent: dict[str, Any] | None, evidence: Evidence
) -> Iterator[str]:
    """Yield sentences about a report that Button accepted, and about its token."""
    if sent is None:
        yield _("The order was reported, and Button accepted it.")
        if evidence.has_bodies:
            yield _("The report is no longer kept.")
        return
    token = sent.get("btn_ref")
    if token:
        text = _("The order was reported with the token %(token)s.")
        yield text % {"token": token}
    else:
        yield _("The order was reported without a token.")
    yield _("Button accepted it.")
    if total := total_in(sent, evidence.order.currency):
        yield _("The total was %(total)s.") % {"total": total}
    shown = token_in(shown_order(call))
    if shown is not None:
        yield shown_token_text(shown, token)


def shown_token_text(shown: str, sent: str | None) -> str:
    """Return a sentence about the token in Button's answer."""
    if not shown:
        return _("Button's answer has no token.")
    if shown == sent:
        return _("Button's answer has the same token.")
    return _("Button's answer has the token %(token)s.") % {"token": shown}


def change_of_total(
    before: dict[str, Any] | None, sent: dict[str, Any], currency: str | None
) -> str:
    """Return a sentence about the total of an update and of the report before."""
    old, new = (total_in(payload or {}, currency) for payload in (before, sent))
    if not new:
        return ""
    if not old:
        return _("The total was %(total)s.") % {"total": new}
    if old == new:
        return _("The total stayed %(total)s.") % {"total": new}
    return _("The total changed from %(old)s to %(new)s.") % {"old": old, "new": new}


def retrieve_texts(call: Submission, evidence: Evidence) -> Iterator[str]:
    """Yield sentences about what Button holds, and what differs from the shop."""
    order, shown = evidence.order, shown_order(call)
    if not shown:
        if call.status_code == 404:
            yield _("Button was asked, and does not have the order.")
        elif evidence.has_bodies:
            yield _("Button was asked, and its answer is not kept.")
        else:
            yield _("Button was asked, and it answered.")
        return
    yield _("Button was asked, and has the order.")
    status = shown.get("status")
    if isinstance(status, str) and status in AT_BUTTON:
        yield str(AT_BUTTON[status])
    yield total_at_button(shown, order)
    token = token_in(shown)
    if token == "":
        yield _("It shows no token.")
    elif token is not None:
        yield _("It shows the token %(token)s.") % {"token": token}


def total_at_button(shown: dict[str, Any], order: ButtonOrder) -> str:
    """Return a sentence about the total at Button, and the shop's if it differs."""
    theirs = total_in(shown, order.currency)
    if not theirs:
        return ""
    ours = as_money(order.total, order.currency) if order.total is not None else ""
    is_cancelled = order.status == ButtonOrder.Status.CANCELLED
    if ours and ours != theirs and not is_cancelled:
        text = _("The total is %(theirs)s there, and %(ours)s in the shop now.")
        return text % {"theirs": theirs, "ours": ours}
    return _("The total is %(theirs)s there.") % {"theirs": theirs}


def started_by(call: Submission) -> str:
    """Return a sentence about who started a call, without a name."""
    return str(STARTED_BY.get(call.trigger, ""))


# Now


def facts_of_now(evidence: Evidence) -> Iterator[Event]:
    """Yield what holds now, and what cannot be said."""
    for text in [*token_facts(evidence), *total_facts(evidence), *gaps_in(evidence)]:
        yield Event(None, text)


def token_facts(evidence: Evidence) -> Iterator[str]:
    order = evidence.order
    if order.erased_at is not None:
        return
    if order.btn_ref:
        yield _("The order has the token %(token)s.") % {"token": order.btn_ref}
    elif order.is_direct or order.purchase_date is not None:
        yield _("The order has no token.")
    else:
        yield _("No worker has read the order yet, so its token is not known.")
    tied = order.reported_btn_ref
    if tied:
        text = _("Button ties the token %(token)s to it, from the first report.")
        yield text % {"token": tied}
    elif tied == "":
        yield _("Button ties no token to it: the first report had none.")


def total_facts(evidence: Evidence) -> Iterator[str]:
    order = evidence.order
    # A cancelled order counts as 0, which Button never acknowledged as a total.
    is_cancelled = order.status == ButtonOrder.Status.CANCELLED
    if order.reported_total is not None and not is_cancelled:
        total = as_money(order.reported_total, order.currency)
        yield _("Button last acknowledged a total of %(total)s.") % {"total": total}


def gaps_in(evidence: Evidence) -> Iterator[str]:
    """Yield what the record does not have."""
    if evidence.token_error:
        text = _("The adapter's get_btn_ref_date() failed: %(error)s.")
        yield text % {"error": evidence.token_error}
    if evidence.left_out:
        text = ngettext(
            "%(count)d call is left out here.",
            "%(count)d calls are left out here.",
            evidence.left_out,
        )
        yield text % {"count": evidence.left_out}
    if evidence.order.is_acknowledged and evidence.created is None:
        yield _(
            "The first report is not on record here: it was pruned, or Button had the "
            "order already."
        )


def join(words: list[str]) -> str:
    return " ".join(filter(None, words))
