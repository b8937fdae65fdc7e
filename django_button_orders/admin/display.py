"""How an order looks to a person: short texts for lists, sentences for pages."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_button_orders.models import ButtonOrder
from django_button_orders.money import to_decimal

# Longer texts are cut, and longer JSON is not indented.
MAX_LENGTH = 100_000
MAX_LENGTH_OF_JSON = 20_000
SECONDS_OF_A_MINUTE = 60
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
    """Return the total with its currency, in minor units if that is unknown."""
    if order.total is None:
        return None
    return money(order.total, order.currency, grouped=False)


def money(minor_units: int, currency: str | None, *, grouped: bool = True) -> str:
    """Return an amount with its currency, in minor units if that is unknown."""
    try:
        amount = to_decimal(minor_units, currency or "")
    except ValidationError:
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


def duration(seconds: float) -> str:
    """Return a time in words: "40 seconds", "2 hours, 5 minutes"."""
    if seconds < SECONDS_OF_A_MINUTE:
        whole = int(seconds)
        sentence = ngettext("%(count)d second", "%(count)d seconds", whole)
        return sentence % {"count": whole}
    now = timezone.now()
    return timesince(now - timedelta(seconds=seconds), now)


def last_answer(order: ButtonOrder) -> str | None:
    """Return the status code of the last answer, what went wrong, or both."""
    code, error = order.last_status_code, short_error(order)
    if not code:
        return error or None
    if not error:
        return str(code)
    return format_html('{} <span class="button-order-quiet">{}</span>', code, error)


def short_error(order: ButtonOrder) -> str:
    return Truncator(order.last_error).chars(60) if order.last_error else ""


def moment(value: datetime | None, text: str = "") -> SafeString | None:
    """Return a moment in short, or a text for it, with all of it behind that."""
    if value is None:
        return None
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    written = date_format(local, "DATETIME_FORMAT")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        written,
        text or date_format(local, "SHORT_DATETIME_FORMAT"),
    )


def next_attempt(order: ButtonOrder) -> SafeString | None:
    """Return when it is tried next, as a person says it."""
    if order.status != ButtonOrder.Status.PENDING or order.next_attempt_at is None:
        return None
    now = timezone.now()
    if order.lease_expires_at is not None and order.lease_expires_at > now:
        return moment(order.next_attempt_at, _("running now"))
    return moment(order.next_attempt_at, relative(order.next_attempt_at, now))


def relative(then: datetime, now: datetime) -> str:
    """Return how far away a moment is, in its largest unit."""
    if abs(then - now) < timedelta(minutes=1):
        return _("now") if then <= now else _("in less than a minute")
    if then > now:
        return _("in %(time)s") % {"time": timeuntil(then, now, depth=1)}
    return _("due for %(time)s") % {"time": timesince(then, now, depth=1)}


def source_name(order: ButtonOrder) -> str | None:
    """Return what the shop's order is called, if there is one."""
    if order.source_id is None:
        return None
    model = order.get_source_model()
    return (
        order.source_id
        if model is None
        else f"{model._meta.verbose_name} {order.source_id}"
    )


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
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # Half of a pair of code units, which JSON may have, fits on no page.
    return text.encode(errors="replace").decode()


def clip(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]} …"
