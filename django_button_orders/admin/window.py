"""Say until when Button accepts changes of an order, and what a late change costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.formatting import (
    format_ago,
    format_datetime,
    format_money,
    format_until,
    is_future,
)
from django_button_orders.models import ButtonOrder

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

CHANGEABLE = _("It can be changed until %(absolute)s (%(relative)s).")
OVER = _(
    "It can no longer be changed: Button accepted changes until %(absolute)s "
    "(%(relative)s)."
)
LATE_RETURN = _(
    "Button holds %(held)s and accepts no more changes. The shop has %(wanted)s: a "
    "return of %(late)s came too late."
)
LATE_CANCELLATION = _(
    "Button holds %(held)s and accepts no more changes: the return or cancellation "
    "of the whole order came too late."
)
LATE_INCREASE = _(
    "Button holds %(held)s and accepts no more changes. The shop has %(wanted)s: "
    "Button holds %(late)s less."
)
SAME_AMOUNT = _(
    "Button holds %(held)s, as the shop does, and accepts no more changes. Other "
    "values have changed too late."
)
UNKNOWN_AMOUNT = _(
    "Button accepts no more changes of this order, and what it holds is not known here."
)
CLOSED_TODO = _(
    "If the difference matters, contact Button. Otherwise, there is nothing to do. "
    "Retry sends the change to Button once more."
)


def describe_window(order: ButtonOrder) -> str:
    """Return until when an order can be changed, or "" if that is not of interest."""
    end = order.finalizes_at
    # Button does not bring a cancelled order back, whatever its window is.
    is_cancelled = order.status == Status.FAILED and order.reason == Reason.FINALIZED
    if (
        end is None
        or is_cancelled
        or order.status not in (Status.PENDING, Status.REPORTED, Status.FAILED)
    ):
        return ""
    is_open = is_future(end)
    return str(CHANGEABLE if is_open else OVER) % {
        "absolute": format_datetime(end),
        "relative": format_until(end) if is_open else format_ago(end),
    }


def closed_text(order: ButtonOrder) -> _StrPromise:
    """Return what differs between Button and the shop, with placeholders for money."""
    held, late = order.reported_total, order.late_amount
    if held is None or late is None:
        return UNKNOWN_AMOUNT
    if late < 0:
        return LATE_INCREASE
    if late == 0:
        return SAME_AMOUNT
    return LATE_RETURN if late < held else LATE_CANCELLATION


def late_money(order: ButtonOrder) -> dict[str, str]:
    """Return the values of the placeholders for money."""
    held, late = order.reported_total, order.late_amount
    if held is None or late is None:
        return {"held": "", "wanted": "", "late": ""}
    return {
        "held": format_money(held, order.currency),
        "wanted": format_money(held - late, order.currency),
        "late": format_money(abs(late), order.currency),
    }
