"""Show what is reported of an order: its total, its line items and its customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_button_orders.admin.formatting import (
    clip,
    format_json_field,
    format_money,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.report.objects import LineItem, clean_line_items

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# The lines that the page shows at once; it folds the others.
FIRST_LINES = 10
# More lines are in the bodies of the calls only.
MAX_LINES = 1000
MAX_LENGTH = 200
LINES = "admin/django_button_orders/buttonorder/line_items.html"
# What the list of the customer shows, in Button's names.
CUSTOMER: dict[str, _StrPromise] = {
    "id": gettext_lazy("ID"),
    "email_sha256": gettext_lazy("hash of the e-mail address"),
    "device_id": gettext_lazy("device"),
    "is_new": gettext_lazy("new customer"),
}
MORE = gettext_lazy(
    "The line items sum to %(sum)s. That is %(difference)s more than the total."
)
LESS = gettext_lazy(
    "The line items sum to %(sum)s. That is %(difference)s less than the total."
)


class LineRow(NamedTuple):
    """A line of the table. ``details`` are pairs of a label and a text."""

    name: str
    details: list[tuple[str, str]]
    quantity: str
    amount: str
    total: str


def format_total_and_sum(order: ButtonOrder) -> SafeString | str | None:
    """Return an order's total, and beside it the sum of its lines, if it has lines."""
    if order.total is None:
        return None
    total = format_money(order.total, order.currency)
    if order.lines_total is None:
        return total
    remark = describe_sum(order)
    if remark:
        return format_html('{} <p class="button-order-warning">{}</p>', total, remark)
    same = _("The line items sum to the same amount.")
    return format_html('{} <span class="button-order-quiet">{}</span>', total, same)


def describe_sum(order: ButtonOrder) -> str:
    """Return a remark if the lines do not sum to the total, else ""."""
    found, total = order.lines_total, order.total
    if found is None or total is None or found == total:
        return ""
    return str(MORE if found > total else LESS) % {
        "sum": format_money(found, order.currency),
        "difference": format_money(abs(found - total), order.currency),
    }


def format_line_items(
    order: ButtonOrder, *, with_remark: bool = False
) -> SafeString | str | None:
    """Return line items as a table, invalid ones as JSON, or None without any."""
    if not order.line_items:
        return None
    try:
        items = clean_line_items(order.line_items)
    except ValidationError:
        return format_json_field(order.line_items)
    rows = [as_row(item, order.currency) for item in items[:MAX_LINES]]
    context = {
        "first": rows[:FIRST_LINES],
        "others": rows[FIRST_LINES:],
        "left_out": len(items) - len(rows),
        "sum": format_money(order.lines_total or 0, order.currency),
        "total": ""
        if order.total is None
        else format_money(order.total, order.currency),
        "remark": describe_sum(order) if with_remark else "",
        "has_quantity": any(row.quantity for row in rows),
        "has_amount": any(row.amount for row in rows),
    }
    return render_to_string(LINES, context)


def as_row(item: LineItem, currency: str | None) -> LineRow:
    name = item.description or str(item.identifier)
    return LineRow(
        name=clip(name, MAX_LENGTH),
        details=[
            (str(label), clip(text, MAX_LENGTH))
            for label, text in find_details(item)
            if text and text != name
        ],
        quantity="" if item.quantity is None else number_format(item.quantity),
        amount="" if item.amount is None else format_money(item.amount, currency),
        total=format_money(item.total or 0, currency),
    )


def find_details(item: LineItem) -> Iterator[tuple[str, str]]:
    """Yield what identifies an article, with labels."""
    yield _("ID"), str(item.identifier)
    yield _("SKU"), str(item.sku)
    yield _("UPC"), str(item.upc)
    yield _("Category"), " / ".join(item.category)
    yield from (item.attributes or {}).items()


def format_customer(customer: Any) -> SafeString | None:
    """Return a customer as a list, an invalid one as JSON, or None without one."""
    if not customer:
        return None
    if not isinstance(customer, Mapping) or customer.keys() - CUSTOMER.keys():
        return format_json_field(customer)
    items = [
        (capfirst(str(label)), format_customer_value(customer[name]))
        for name, label in CUSTOMER.items()
        if customer.get(name) not in (None, "")
    ]
    rows = format_html_join("", "<dt>{}</dt><dd><bdi>{}</bdi></dd>", items)
    return format_html('<dl class="button-order-facts">{}</dl>', rows)


def format_customer_value(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return clip(str(value), MAX_LENGTH)
