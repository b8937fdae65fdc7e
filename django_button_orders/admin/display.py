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

from django_button_orders.models import ButtonOrder
from django_button_orders.money import to_decimal

# Longer texts are cut, and longer JSON is not indented.
MAX_LENGTH = 100_000
MAX_LENGTH_OF_JSON = 20_000


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
    try:
        total = to_decimal(order.total, order.currency or "")
    except ValidationError:
        return f"{order.total} {order.currency or '?'}"
    return f"{number_format(total)} {order.currency}"


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
