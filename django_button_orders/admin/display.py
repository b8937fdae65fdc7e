"""How an order looks to a person: short texts for lists, sentences for pages."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from django_button_orders.admin.moments import ahead, due_for, local, written
from django_button_orders.models import ButtonOrder
from django_button_orders.report.money import in_major_units

# Longer texts are cut, and longer JSON is not indented.
MAX_LENGTH = 100_000
MAX_LENGTH_OF_JSON = 20_000
# Where there is nothing to show, as Django's admin does it.
NONE = "-"


def badge(order: ButtonOrder) -> SafeString:
    return format_html(
        '<span class="button-order-badge button-order-{}">{}</span>',
        order.status,
        order.get_status_display(),
    )


def badge_and_reason(order: ButtonOrder) -> SafeString:
    if not order.reason:
        return badge(order)
    return format_html(
        '{} <span class="button-order-quiet">{}</span>',
        badge(order),
        order.get_reason_display(),
    )


def amount(order: ButtonOrder) -> str | None:
    if order.total is None:
        return None
    return money(order.total, order.currency, grouped=False)


def money(minor_units: int, currency: str | None, *, grouped: bool = True) -> str:
    """Return an amount with its currency, in minor units if that is unknown."""
    amount = in_major_units(minor_units, currency)
    if amount is None:
        return f"{minor_units} {currency or '?'}"
    return f"{number_format(amount, force_grouping=grouped)} {currency}"


def count(number: int) -> str:
    return number_format(number, force_grouping=True)


def percentage(share: float | None) -> str:
    """
    Return a share with one decimal, or a dash if there is none.

    Only all is 100 per cent: one failure of many must not round away.
    """
    if share is None:
        return NONE
    tenths = 1000 if share == 1 else min(round(share * 1000), 999)
    return _("%(percentage)s %%") % {"percentage": number_format(tenths / 10, 1)}


def milliseconds(duration: float | None) -> str:
    if duration is None:
        return NONE
    return _("%(ms)s ms") % {"ms": count(round(duration))}


def last_answer(order: ButtonOrder) -> str | None:
    """Return the status code of the last answer, what went wrong, or both."""
    code, error = order.last_status_code, short_error(order)
    if not code:
        return error or None
    if not error:
        return str(code)
    return format_html('{} <span class="button-order-quiet">{}</span>', code, error)


def short_error(item: Any) -> str:
    """Return what went wrong last with an order, or with a paused account."""
    return Truncator(item.last_error).chars(60) if item.last_error else ""


def moment(value: datetime | None, text: str = "") -> SafeString | None:
    """Return a moment in short, or a text for it, with all of it behind that."""
    if value is None:
        return None
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local(value).isoformat(),
        written(value),
        text or date_format(local(value), "SHORT_DATETIME_FORMAT"),
    )


def next_attempt(order: ButtonOrder) -> SafeString | None:
    """Return when it is tried next, as a person says it."""
    then = order.next_attempt_at
    if order.status != ButtonOrder.Status.PENDING or then is None:
        return None
    now = timezone.now()
    if order.lease_expires_at is not None and order.lease_expires_at > now:
        return moment(then, _("running now"))
    return moment(then, ahead(then) if then > now else due_for(now - then))


def preformatted(value: Any) -> SafeString | None:
    """Return a value of a JSON field, indented."""
    if value is None:
        return None
    text = indented(value)
    return format_html('<pre class="button-order-text">{}</pre>', clip(text))


def pretty(body: str) -> str:
    """Return what was sent or answered, indented if it is JSON."""
    if len(body) > MAX_LENGTH_OF_JSON:
        return clip(body)
    try:
        return clip(indented(json.loads(body)))
    except (ValueError, RecursionError):
        return body


def indented(value: Any) -> str:
    return as_json(value, indent=2)


def as_json(value: Any, *, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    # Half of a pair of code units, which JSON may have, fits on no page.
    return text.encode(errors="replace").decode()


def clip(text: str, length: int = MAX_LENGTH) -> str:
    return text if len(text) <= length else f"{text[:length]} …"
