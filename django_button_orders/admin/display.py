"""How an order looks to a person: short texts for lists, sentences for pages."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

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
    if order.last_status_code:
        return str(order.last_status_code)
    return Truncator(order.last_error).chars(60) or None


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
