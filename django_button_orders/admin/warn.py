"""Warn of what is wrong with an order although its report succeeds."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.formatting import format_money
from django_button_orders.models import ButtonOrder
from django_button_orders.report.objects import OrderReport

Status = ButtonOrder.Status

LATE_TOKEN = _(
    "Reported without its current attribution token. Button ties a "
    "token to an order at the first report, and it cannot be added "
    "later."
)
OTHER_TOKEN = _(
    "Reported with another attribution token than its current one. "
    "Button ties a token to an order at the first report, and it cannot "
    "be changed later."
)
LINES_DIFFER = _(
    "Its lines sum to %(lines)s, but its total is %(total)s. Spread discounts "
    "over the lines, and leave taxes and delivery out of both."
)
# The statuses of orders whose report can still be corrected.
OPEN = (Status.PENDING, Status.REPORTED, Status.FAILED)


def warn_of_order(order: ButtonOrder) -> str:
    """Return the warnings about an order as it is stored, or ""."""
    token = warn_of_token(order, order.btn_ref) if order.has_late_token else ""
    is_open = order.status in OPEN and order.cancel_requested_at is None
    return joined(token, warn_of_lines(order) if is_open else "")


def warn_of_report(order: ButtonOrder, report: OrderReport, *, is_known: bool) -> str:
    """Return the warnings about an order's next report, or ""."""
    token = warn_of_token(order, report.btn_ref) if is_known else ""
    return joined(token, warn_of_lines(report))


def warn_of_token(order: ButtonOrder, token: str | None) -> str:
    """Return a warning if Button has tied another token, or none, to an order."""
    if not order.is_late(token):
        return ""
    return str(OTHER_TOKEN if order.reported_btn_ref else LATE_TOKEN)


def warn_of_lines(order: ButtonOrder | OrderReport) -> str:
    """Return a warning if the lines of an order do not sum to its total."""
    lines, total = order.lines_total, order.total
    if lines is None or total is None or lines == total:
        return ""
    amounts = {
        "lines": format_money(lines, order.currency),
        "total": format_money(total, order.currency),
    }
    return str(LINES_DIFFER) % amounts


def joined(*warnings: str) -> str:
    return " ".join(filter(None, warnings))
