"""
One sentence or two about why an order earned a commission or not, and for whom.

The words for the publisher's support go into tickets and e-mails, so they have neither
the token nor anything about the customer. The publisher has its own token.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import this_site
from django_button_orders.models import ButtonOrder
from django_button_orders.models.orders import is_late_token
from django_button_orders.monitoring.explain.evidence import Evidence
from django_button_orders.monitoring.explain.waits import find_wait
from django_button_orders.monitoring.explain.words import (
    as_day,
    as_moment,
    as_money,
    in_words,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

PUBLISHER, SHOP = "publisher", "shop"
AUDIENCES: dict[str, _StrPromise] = {
    PUBLISHER: _("For the publisher's support:"),
    SHOP: _("For the shop:"),
}


class Conclusion(NamedTuple):
    """What follows from the events of an order. ``audience`` is whom it is for."""

    audience: str
    text: str

    @property
    def title(self) -> str:
        return str(AUDIENCES[self.audience])


# Whom a text is for, and the text.
Text = tuple[str, "_StrPromise"]

# Button has the order.
UNCHANGED: Text = (
    PUBLISHER,
    _(
        "It was reported with its token on %(reported)s and has been unchanged since. "
        "The commission is Button's to say."
    ),
)
CHANGED: Text = (
    PUBLISHER,
    _(
        "It was reported with its token on %(reported)s and last changed on "
        "%(changed)s. The commission is Button's to say."
    ),
)
LONG_AGO: Text = (
    PUBLISHER,
    _(
        "It was reported with its token. The date is no longer on record. The "
        "commission is Button's to say."
    ),
)
CANCELLED: Text = (
    PUBLISHER,
    _("It was cancelled on %(cancelled)s. A cancelled order earns no commission."),
)
CANCELLED_BEFORE: Text = (
    PUBLISHER,
    _("It was cancelled before it was reported, so Button never had it."),
)
LATE_FOR_SHOP: Text = (
    SHOP,
    _(
        "It was reported %(delay)s before the token was saved. Button ties tokens at "
        "the first report."
    ),
)
LATE_FOR_APP: Text = (
    SHOP,
    _(
        "It was reported %(delay)s before the app saw its token. Button ties tokens at "
        "the first report."
    ),
)
LATE: Text = (
    SHOP,
    _(
        "It was reported before its token was saved. Button ties tokens at the first "
        "report."
    ),
)
LEFT_OUT: Text = (
    SHOP,
    _(
        "The shop saved the token %(delay)s before the first report, which did not "
        "have it. Check that the adapter's build() returns it."
    ),
)
NEVER_BUILT: Text = (
    SHOP,
    _(
        "The shop got a token on %(token_at)s, and the report has none. Check that the "
        "adapter's build() returns it."
    ),
)
OTHER_TOKEN: Text = (
    SHOP,
    _(
        "It was reported with another token than it has now. Button ties tokens at the "
        "first report, so the earlier one counts."
    ),
)
NO_TOKEN: Text = (
    SHOP,
    _(
        "It was reported without a token, and has none now, so no publisher earns a "
        "commission. Check whether the customer followed a Button link."
    ),
)
NOT_SHOWN: Text = (
    SHOP,
    _(
        "It was reported with its token on %(reported)s, but Button shows no token for "
        "it. Send Button the order ID and the token."
    ),
)
UNKNOWN_TOKEN: Text = (
    SHOP,
    _(
        "Button has the order, but its first report is not on record here. Ask Button "
        "which token it has."
    ),
)
ERASED: Text = (
    SHOP,
    _(
        "Button has the order. Its token was erased here on %(erased)s, so only Button "
        "can say which token it has."
    ),
)
CLOSED: Text = (
    SHOP,
    _(
        "The last change came after Button's window had closed, so Button keeps the "
        "earlier state."
    ),
)
CLOSED_WITH_AMOUNT: Text = (
    SHOP,
    _(
        "The last change came after Button's window had closed. Button holds %(held)s, "
        "and the shop wants %(wanted)s."
    ),
)
CHANGE_FAILED: Text = (
    SHOP,
    _("Button has an earlier state, because the last change failed. %(why)s."),
)
CHANGE_WAITS: Text = (SHOP, _("Button has an earlier state: a change is not sent yet."))
CHANGE_DISMISSED: Text = (
    SHOP,
    _("Button has the state of %(last)s. Nothing more is sent."),
)

# Button does not have the order, as far as is known.
OTHER_SITE: Text = (
    SHOP,
    _(
        "The site %(site)s reports this order, and SITE is %(here)s here. Explain it "
        "in that installation."
    ),
)
DISMISSED: Text = (
    SHOP,
    _("It was never reported, because it was dismissed. To report it, retry it."),
)
WITHOUT_TOKEN: Text = (
    SHOP,
    _(
        "It was never reported: it has no token, and REPORT_WITHOUT_TOKEN is false. "
        "Check whether the customer followed a Button link."
    ),
)
FAILED: Text = (SHOP, _("Button has not acknowledged a report of it. %(why)s."))
NOT_YET: Text = (SHOP, _("It is not reported yet."))
LOST_ANSWER: Text = (
    SHOP,
    _(
        "A report may have reached Button, but no definite answer came, so it is not "
        "known whether Button has the order."
    ),
)

# What to do about a failed order, by its reason.
TODO: dict[str, _StrPromise] = {
    Reason.INVALID: _("Correct the order or its adapter, then retry it."),
    Reason.REFUSED: _("Correct the order, then retry it."),
    Reason.TAKEN: _("Give it another ID, or report over Button's order."),
    Reason.EXHAUSTED: _("Fix the cause, then retry it."),
    Reason.UNAUTHORIZED: _("Correct API_KEY, then retry it."),
}
RETRY = _("Retry it.")
ASKS_FIRST = _("The next attempt asks Button first.")


def conclude(evidence: Evidence) -> Conclusion:
    """Return what the record of an order shows about its commission."""
    found = find_text(evidence)
    audience, text = found
    values = placeholder_values(evidence)
    words = [text, *find_advice(found, evidence)]
    return Conclusion(audience, " ".join(str(word) % values for word in words))


def find_text(evidence: Evidence) -> Text:
    order = evidence.order
    if order.is_of_other_site:
        return OTHER_SITE
    if order.status == Status.CANCELLED:
        return CANCELLED if order.is_acknowledged else CANCELLED_BEFORE
    # Button has shown an order that it has refused to change.
    if not order.is_acknowledged and order.status != Status.CLOSED:
        return find_unreported_text(order)
    return find_token_text(evidence) or find_state_text(evidence)


def find_unreported_text(order: ButtonOrder) -> Text:
    """Return the text for an order that Button has not acknowledged."""
    if order.status == Status.DISMISSED:
        return WITHOUT_TOKEN if order.reason == Reason.NO_TOKEN else DISMISSED
    if order.status == Status.FAILED:
        return FAILED
    return LOST_ANSWER if has_lost_answer(order) else NOT_YET


def has_lost_answer(order: ButtonOrder) -> bool:
    """Return whether an attempt before the running one got no answer."""
    return order.unanswered > int(order.row().in_flight().exists())


def find_token_text(evidence: Evidence) -> Text | None:
    """Return the text for an order whose token earns nothing, or None."""
    order, tied = evidence.order, evidence.tied_token
    if order.erased_at is not None:
        return ERASED
    if is_late_token(order.btn_ref, tied):
        return OTHER_TOKEN if tied else find_late_text(evidence)
    if tied is None:
        return UNKNOWN_TOKEN
    if tied == "":
        return NEVER_BUILT if evidence.token_at is not None else NO_TOKEN
    return NOT_SHOWN if evidence.is_token_missing_at_button else None


def find_late_text(evidence: Evidence) -> Text:
    """Return the text for an order whose first report had no token."""
    delay, is_kept = evidence.token_delay, evidence.token_at is not None
    if delay is None:
        return LATE
    if delay > timedelta():
        return LATE_FOR_SHOP if is_kept else LATE_FOR_APP
    return LEFT_OUT if is_kept else LATE


def find_state_text(evidence: Evidence) -> Text:
    """Return the text for an order that Button has with its token."""
    order = evidence.order
    if order.status == Status.CLOSED:
        # An amount of 0 is a change of other values.
        return CLOSED_WITH_AMOUNT if order.late_amount else CLOSED
    if order.status != Status.REPORTED:
        return {
            Status.PENDING: CHANGE_WAITS,
            Status.FAILED: CHANGE_FAILED,
            Status.DISMISSED: CHANGE_DISMISSED,
        }[Status(order.status)]
    if evidence.created is None:
        return LONG_AGO
    return UNCHANGED if evidence.last_change is None else CHANGED


def find_advice(text: Text, evidence: Evidence) -> Iterator[_StrPromise]:
    """Yield what a pending order waits for, or what to do about a failed one."""
    order = evidence.order
    if order.status == Status.PENDING and text in (NOT_YET, LOST_ANSWER, CHANGE_WAITS):
        yield find_wait(order, evidence.pause)
    if text in (FAILED, CHANGE_FAILED):
        yield TODO.get(order.reason, RETRY)
    if text is LOST_ANSWER or (text is FAILED and order.unanswered):
        yield ASKS_FIRST


def placeholder_values(evidence: Evidence) -> dict[str, str]:
    """Return the values of all placeholders in the texts."""
    order, created, changed = evidence.order, evidence.created, evidence.last_change
    held, late = order.reported_total or 0, order.late_amount or 0
    return {
        "account": order.account,
        "site": order.site,
        "here": this_site() or "-",
        "why": order.get_reason_display() or order.get_status_display(),
        "next": as_moment(order.next_attempt_at),
        "reported": as_day(created.started_at if created else None),
        "changed": as_day(changed.started_at if changed else None),
        "cancelled": as_day(changed.started_at if changed else order.reported_at),
        "last": as_day(order.reported_at),
        "erased": as_day(order.erased_at),
        "token_at": as_day(evidence.token_at),
        "delay": in_words(evidence.token_delay or timedelta()),
        "held": as_money(held, order.currency),
        "wanted": as_money(held - late, order.currency),
    }
