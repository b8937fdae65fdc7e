"""Where an order stands and what to do next, in one plain sentence or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import get_settings
from django_button_orders.models import ButtonOrder, PausedAccount

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

IN_FLIGHT = _("A worker is at it right now. Load this page again in a moment.")
DISABLED = _(
    "Nothing is sent for the account %(account)s, because ENABLED is false in "
    "BUTTON_ORDERS. The order waits until it is true."
)
PAUSED = _(
    "Button does not accept the API key of the account %(account)s. Correct "
    "API_KEY; until then the account is paused, and then the order goes out by "
    "itself."
)
DUE = _(
    "It is due, and a worker will report it shortly. If it stays like this, check "
    "that a Celery worker and Celery beat are running."
)
CANCELLATION_DUE = _(
    "Its cancellation is due, and a worker will see to it shortly. If it stays like "
    "this, check that a Celery worker and Celery beat are running."
)
WAITING = _("It is tried again by itself on %(time)s. There is nothing to do.")
WAITING_BECAUSE: dict[str, _StrPromise] = {
    Reason.UNAVAILABLE: _(
        "Button could not be reached, or could not take it. It is tried again by "
        "itself on %(time)s. There is nothing to do."
    ),
    Reason.UNAUTHORIZED: _(
        "Button does not let the key of the account %(account)s do this. Ask Button "
        "what the key may do; it is tried again by itself on %(time)s."
    ),
}
INVALID_DIRECT = _(
    "No valid report could be built from the fields below. Correct them and save: "
    "that reports it again."
)
SETTLED: dict[tuple[str, str], _StrPromise] = {
    (Status.REPORTED, ""): _("Button knows the order as it is shown below."),
    (Status.CANCELLED, ""): _(
        "The order is cancelled, and Button will not count it. That cannot be undone."
    ),
    (Status.FAILED, Reason.INVALID): _(
        "No valid report could be built from the shop's order. Correct the order or "
        "its adapter, as the error says, and retry."
    ),
    (Status.FAILED, Reason.REFUSED): _(
        "Button refused it, and would refuse it again. Correct what its answer "
        "complains about and retry, or dismiss it."
    ),
    (Status.FAILED, Reason.FINALIZED): _(
        "Button takes no more changes to this order. Dismiss it; if the difference "
        "matters, settle it with Button."
    ),
    (Status.FAILED, Reason.EXHAUSTED): _(
        "All attempts are used up. The submissions below show what stood in the way; "
        "once that is gone, retry."
    ),
    (Status.FAILED, Reason.UNAUTHORIZED): _(
        "Button does not accept the API key of the account %(account)s. Correct "
        "API_KEY and retry."
    ),
    (Status.FAILED, Reason.UNAVAILABLE): _("Button could not be reached. Retry."),
    (Status.FAILED, ""): _(
        "It failed. Correct what the error says and retry, or dismiss it."
    ),
    (Status.DISMISSED, Reason.NO_TOKEN): _(
        "It has no attribution token, and REPORT_WITHOUT_TOKEN is false, so it was "
        "not sent. A token that arrives later makes it due. There is nothing to do."
    ),
    (Status.DISMISSED, ""): _(
        "It was dismissed, and nothing more is sent. Retry it to report it after all."
    ),
}


def describe(order: ButtonOrder) -> str:
    is_pending = order.status == Status.PENDING
    sentence = pending(order) if is_pending else settled(order)
    return sentence % {"account": order.account, "time": next_attempt(order)}


def next_attempt(order: ButtonOrder) -> str:
    moment = order.next_attempt_at
    if moment is None:
        return ""
    if timezone.is_aware(moment):
        moment = timezone.localtime(moment)
    return date_format(moment, "DATETIME_FORMAT")


def settled(order: ButtonOrder) -> _StrPromise:
    key = (order.status, order.reason)
    if key == (Status.FAILED, Reason.INVALID) and order.source_id is None:
        return INVALID_DIRECT
    return SETTLED.get(key) or SETTLED[order.status, ""]


def pending(order: ButtonOrder) -> _StrPromise:
    row = order.row()
    if row.in_flight().exists():
        return IN_FLIGHT
    if not is_enabled(order.account):
        return DISABLED
    paused = PausedAccount.objects.using(row.db).filter(account=order.account)
    if paused.exists():
        return PAUSED
    if row.waiting().exists():
        return WAITING_BECAUSE.get(order.reason, WAITING)
    return DUE if order.cancel_requested_at is None else CANCELLATION_DUE


def is_enabled(account: str) -> bool:
    try:
        return get_settings(account).enabled
    except ImproperlyConfigured:
        # The worker says what is wrong, on the row.
        return True
