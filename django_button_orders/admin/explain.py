"""Explain in a sentence or two what has happened to an order and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.formatting import (
    format_ago,
    format_datetime,
    format_until,
)
from django_button_orders.admin.warn import warn_of_order
from django_button_orders.admin.window import (
    CLOSED_TODO,
    closed_text,
    describe_window,
    late_money,
)
from django_button_orders.conf import first_report_delay, get_settings, this_site
from django_button_orders.delivery.verdicts import message_of, with_full_stop
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.states import NEW

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

MAX_ERROR_LENGTH = 300


class Explanation(NamedTuple):
    """
    What has happened to an order or an account, and what a person can do.

    ``warning`` is what is wrong although the report succeeds: a late token, or lines
    that do not sum to the total.
    """

    what: str
    todo: str = ""
    warning: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, self))


class Texts(NamedTuple):
    """An explanation whose placeholders are not filled in yet."""

    what: _StrPromise
    todo: _StrPromise | str = ""


NOTHING_TO_DO = _("There is nothing to do.")
IN_FLIGHT = Texts(
    _("A worker is reporting it right now."), _("Reload this page in a moment.")
)
DISABLED = Texts(
    _(
        "Nothing is sent for the account %(account)s, because ENABLED is false in "
        "BUTTON_ORDERS."
    ),
    _("The order waits until ENABLED is true."),
)
OF_OTHER_SITE = Texts(
    _(
        "The site %(site)s reports this order. SITE is %(here)s here, so "
        "nothing is sent from here."
    ),
    _(
        "This is correct in a copy of that shop. In the shop itself, set "
        "SITE to %(site)s and restart the workers."
    ),
)
ALSO_OF_OTHER_SITE = _(
    "The site %(site)s reports this order. SITE is %(here)s here, so "
    "changes are not sent from here."
)
PAUSED = Texts(
    _(
        "Button refused the API key of the account %(account)s %(paused)s, so the "
        "account is paused and this order waits."
    ),
    _(
        "Correct API_KEY, restart the workers and resume the account. The "
        "order is then reported automatically."
    ),
)
PAUSE = Texts(
    _(
        "Button refused the API key of the account %(account)s %(paused)s, "
        "so nothing is sent for this account."
    ),
    _(
        "Correct API_KEY, restart the workers and resume the account. "
        "Otherwise, one order tests the key automatically %(next)s."
    ),
)
ALSO_PAUSED = _(
    "The account %(account)s is paused, because Button refused its API "
    "key %(paused)s. Changes of this order wait."
)
DUE = Texts(
    _("It is due, and a worker will report it shortly."),
    _("If it stays like this, check that a Celery worker and Celery beat are running."),
)
CANCELLATION_DUE = Texts(
    _("Its cancellation is due, and a worker will send it shortly."), DUE.todo
)
STUCK = Texts(
    _("It became due %(due)s, and no worker has reported it yet."),
    _("Check that a Celery worker and Celery beat are running."),
)
WAITING = Texts(_("It will be retried automatically %(next)s."), NOTHING_TO_DO)
HELD = Texts(
    _(
        "FIRST_REPORT_DELAY holds its first report, so that the shop can "
        "finish the order. It will be sent automatically %(next)s."
    ),
    NOTHING_TO_DO,
)
WAITING_BECAUSE: dict[str, Texts] = {
    Reason.UNAVAILABLE: Texts(
        _("Button could not be reached or could not process this order: %(error)s"),
        _("It will be retried automatically %(next)s. There is nothing to do."),
    ),
    Reason.UNAUTHORIZED: Texts(
        _(
            "Button does not allow the key of the account %(account)s to do "
            "this: %(error)s"
        ),
        _(
            "Ask Button which rights the key has. The order will be retried "
            "automatically %(next)s."
        ),
    ),
}
INVALID_DIRECT = Texts(
    _("No valid report could be built %(when)s: %(error)s"),
    _("Correct the fields below and save, to report it again."),
)
CANCELLATION_REFUSED = Texts(
    _("Button refused to cancel this order %(when)s: %(error)s"),
    _("Retry, or contact Button and then dismiss it."),
)
DISMISSED_WITHOUT_NOTE = Texts(
    _("It was dismissed %(when)s."),
    _("Nothing more is sent. To report it, retry it."),
)
NOT_PENDING: dict[tuple[str, str], Texts] = {
    (Status.REPORTED, ""): Texts(
        _("Button has this order: it was reported %(reported)s."), NOTHING_TO_DO
    ),
    (Status.CANCELLED, ""): Texts(
        _("The order was cancelled %(when)s, and Button will not count it."),
        _("This cannot be undone."),
    ),
    (Status.FAILED, Reason.INVALID): Texts(
        _("No valid report could be built %(when)s: %(error)s"),
        _("Correct the shop's order or its adapter, and retry."),
    ),
    (Status.FAILED, Reason.REFUSED): Texts(
        _("Button refused this order %(when)s: %(error)s"),
        _("Correct the order and retry."),
    ),
    (Status.FAILED, Reason.FINALIZED): Texts(
        _("It was too late to change this order at Button %(when)s: %(error)s"),
        _("Report it under another order ID, then dismiss it."),
    ),
    (Status.FAILED, Reason.TAKEN): Texts(
        _("Nothing was changed at Button %(when)s: %(error)s"),
        _(
            "If this is a copy of the shop, or if two shops share a key, do not "
            "report over it. Set ENABLED to false in the copy, or use separate "
            "keys. If both are the same order, report over it. Otherwise, give "
            "this order another ID."
        ),
    ),
    (Status.FAILED, Reason.EXHAUSTED): Texts(
        _("The last attempt failed %(when)s: %(error)s"),
        _("Fix the cause, then retry."),
    ),
    (Status.FAILED, Reason.UNAUTHORIZED): Texts(
        _(
            "Button did not accept the API key of the account %(account)s %(when)s: "
            "%(error)s"
        ),
        _("Correct API_KEY and retry."),
    ),
    (Status.FAILED, Reason.UNAVAILABLE): Texts(
        _("Button could not be reached %(when)s: %(error)s"), _("Retry.")
    ),
    (Status.FAILED, ""): Texts(
        _("It failed %(when)s: %(error)s"),
        _("Fix the cause and retry, or dismiss it."),
    ),
    (Status.DISMISSED, Reason.NO_TOKEN): Texts(
        _(
            "It has no attribution token, and REPORT_WITHOUT_TOKEN is false, so it "
            "was not sent."
        ),
        _("If it gets a token later, it becomes due. There is nothing to do."),
    ),
    (Status.DISMISSED, ""): Texts(
        _("It was dismissed %(when)s: %(error)s"), DISMISSED_WITHOUT_NOTE.todo
    ),
}
CUSTOMER_REFUSED = Texts(
    _(
        "Button has this order: it was reported %(reported)s. Its customer "
        "changed when Button no longer accepted changes, so Button keeps "
        "the earlier customer."
    ),
    NOTHING_TO_DO,
)


def explain(order: ButtonOrder, pause: PausedAccount | None = None) -> Explanation:
    """Explain an order's state. ``pause`` is that of its account, if it is paused."""
    is_pending = order.status == Status.PENDING
    texts = explain_pending(order, pause) if is_pending else explain_not_pending(order)
    values = placeholder_values(order, pause)
    what, todo = (str(text) % values for text in texts)
    warning = warn_of_order(order)
    if warning and texts.todo is NOTHING_TO_DO:
        todo = ""
    todo = " ".join(filter(None, [describe_window(order), todo]))
    if pause is not None and not is_pending:
        todo = f"{todo} {str(ALSO_PAUSED) % values}"
    if order.is_of_other_site and not is_pending:
        todo = f"{todo} {str(ALSO_OF_OTHER_SITE) % values}"
    return Explanation(what, todo, warning)


def explain_pause(pause: PausedAccount) -> Explanation:
    """Explain why an account is paused."""
    values = {
        "account": pause.account,
        "paused": format_ago(pause.paused_at),
        "next": format_until(pause.probe_at),
    }
    return Explanation(*(str(text) % values for text in PAUSE))


def find_pause(order: ButtonOrder) -> PausedAccount | None:
    """Return the pause of an order's account, or None if it is not paused."""
    paused = PausedAccount.objects.using(order.write_db)
    return paused.filter(account=order.account).first()


def placeholder_values(
    order: ButtonOrder, pause: PausedAccount | None
) -> dict[str, Any]:
    """Return the values of all placeholders in the texts."""
    moment = order.next_attempt_at
    values = {
        "account": order.account,
        "site": order.site,
        "here": this_site() or gettext("not set"),
        "error": as_sentence(message_of(order.last_error)),
        "when": format_ago(order.updated_at),
        "reported": format_ago(order.reported_at),
        "paused": format_ago(pause.paused_at) if pause else "",
        "due": format_ago(moment),
        "next": "",
        **late_money(order),
    }
    if moment is not None:
        when = {"relative": format_until(moment), "absolute": format_datetime(moment)}
        values["next"] = gettext("%(relative)s (%(absolute)s)") % when
    return values


def as_sentence(error: str) -> str:
    """Return an error as one sentence of at most ``MAX_ERROR_LENGTH`` characters."""
    text = Truncator(" ".join(error.split())).chars(MAX_ERROR_LENGTH)
    if not text:
        return gettext("it gave no reason.")
    return with_full_stop(text)


def explain_not_pending(order: ButtonOrder) -> Texts:
    """Return the texts for an order that is not pending, by its status and reason."""
    key = (order.status, order.reason)
    is_refused = key == (Status.FAILED, Reason.REFUSED)
    if order.cancel_requested_at is not None and is_refused:
        return CANCELLATION_REFUSED
    if order.status == Status.CLOSED:
        return Texts(closed_text(order), CLOSED_TODO)
    if key == (Status.FAILED, Reason.INVALID) and order.is_direct:
        return INVALID_DIRECT
    if order.status == Status.REPORTED and order.has_refused_customer:
        return CUSTOMER_REFUSED
    if key not in NOT_PENDING:
        key = (order.status, "")
    if key == (Status.DISMISSED, "") and not order.last_error:
        return DISMISSED_WITHOUT_NOTE
    return NOT_PENDING[key]


def explain_pending(order: ButtonOrder, pause: PausedAccount | None) -> Texts:
    """Return the texts for a pending order, by what it waits for."""
    row = order.row()
    if row.in_flight().exists():
        return IN_FLIGHT
    if order.is_of_other_site:
        return OF_OTHER_SITE
    if not is_enabled(order.account):
        return DISABLED
    if pause is not None:
        return PAUSED
    if row.waiting().exists():
        if first_report_delay() and row.filter(NEW).exists():
            return HELD
        return WAITING_BECAUSE.get(order.reason, WAITING)
    if row.stuck().exists():
        return STUCK
    return DUE if order.cancel_requested_at is None else CANCELLATION_DUE


def is_enabled(account: str) -> bool:
    """Return whether the settings let an account's orders be sent."""
    try:
        return get_settings(account).enabled
    except ImproperlyConfigured:
        # The worker's next attempt writes the error of the settings onto the row.
        return True
