"""Format what the admin shows of an order: badges, amounts, times, durations, JSON."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from datetime import timezone as datetime_timezone
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

from django_button_orders.delivery.verdicts import message_of
from django_button_orders.models import ButtonOrder, as_aware
from django_button_orders.report.money import in_major_units

# Longer texts are cut, and longer JSON is not indented.
MAX_LENGTH = 100_000
MAX_LENGTH_OF_JSON = 20_000
MAX_LENGTH_IN_LIST = 60
# Django's admin shows a dash for an empty value, too.
NONE = "-"

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Each phrase is translated as a whole: in many languages, the unit changes its form
# after "ago" and "in".
PAST: list[tuple[timedelta, Any]] = [
    (DAY, ngettext_lazy("%(count)d day ago", "%(count)d days ago", "count")),
    (HOUR, ngettext_lazy("%(count)d hour ago", "%(count)d hours ago", "count")),
    (MINUTE, ngettext_lazy("%(count)d minute ago", "%(count)d minutes ago", "count")),
]
FUTURE: list[tuple[timedelta, Any]] = [
    (DAY, ngettext_lazy("in %(count)d day", "in %(count)d days", "count")),
    (HOUR, ngettext_lazy("in %(count)d hour", "in %(count)d hours", "count")),
    (MINUTE, ngettext_lazy("in %(count)d minute", "in %(count)d minutes", "count")),
]
DUE: list[tuple[timedelta, Any]] = [
    (DAY, ngettext_lazy("due for %(count)d day", "due for %(count)d days", "count")),
    (HOUR, ngettext_lazy("due for %(count)d hour", "due for %(count)d hours", "count")),
    (
        MINUTE,
        ngettext_lazy("due for %(count)d minute", "due for %(count)d minutes", "count"),
    ),
]


# Orders


def format_status(order: ButtonOrder) -> SafeString:
    """Return an order's status as a badge."""
    return format_html(
        '<span class="button-order-badge button-order-{}">{}</span>',
        order.status,
        order.get_status_display(),
    )


def format_status_and_reason(order: ButtonOrder) -> SafeString:
    """Return an order's status as a badge, followed by its reason."""
    if not order.reason:
        return format_status(order)
    reason = order.get_reason_display()
    if order.status == ButtonOrder.Status.CLOSED and order.late_amount:
        late = format_money(order.late_amount, order.currency)
        reason = _("%(reason)s: %(amount)s") % {"reason": reason, "amount": late}
    return format_html(
        '{} <span class="button-order-quiet">{}</span>', format_status(order), reason
    )


def format_total(order: ButtonOrder) -> str | None:
    """Return an order's total with its currency, or None if it has no total yet."""
    if order.total is None:
        return None
    return format_money(order.total, order.currency, grouped=False)


def format_last_answer(order: ButtonOrder) -> SafeString | None:
    """Return the status code of Button's last answer, the last error, or both."""
    code, error = order.last_status_code, shorten_message(order)
    if order.status == ButtonOrder.Status.DISMISSED and error:
        # The error may be the note of who dismissed the order, and no answer.
        code = None
    if not code and not error:
        return None
    return format_labelled(
        _("last answer"),
        format_html(
            '{}{}<span class="button-order-quiet">{}</span>',
            code or "",
            " " if code and error else "",
            error,
        ),
    )


def format_labelled(label: str, content: str) -> SafeString:
    """Return a cell's content with its column's name, which narrow lists show."""
    return format_html(
        '<span class="button-order-cell" data-label="{}">{}</span>',
        capfirst(label),
        content,
    )


def shorten_message(order: ButtonOrder) -> str:
    """Return 60 characters of what Button said, or of the last error otherwise."""
    message = message_of(order.last_error) or order.last_error
    return Truncator(" ".join(message.split())).chars(MAX_LENGTH_IN_LIST)


def shorten_error(item: Any) -> str:
    """Return 60 characters of the last error of an order or a paused account."""
    return (
        Truncator(item.last_error).chars(MAX_LENGTH_IN_LIST) if item.last_error else ""
    )


def format_next_attempt(order: ButtonOrder) -> SafeString | None:
    """Return the time until a pending order's next attempt, or None for others."""
    then = order.next_attempt_at
    if order.status != ButtonOrder.Status.PENDING or then is None:
        return None
    moment = format_moment(then, describe_next_attempt(order, then))
    return format_labelled(_("next attempt"), moment or "")


def describe_next_attempt(order: ButtonOrder, then: datetime) -> str:
    if order.lease_expires_at is not None and is_future(order.lease_expires_at):
        return _("running now")
    if order.is_of_other_site:
        return _("reported by the site %(site)s") % {"site": order.site}
    return format_until(then) if is_future(then) else format_due(age_of(then))


# Numbers


def format_money(
    minor_units: int, currency: str | None, *, grouped: bool = True
) -> str:
    """Return an amount and its currency; in minor units if the currency is unknown."""
    amount = in_major_units(minor_units, currency)
    if amount is None:
        return f"{minor_units} {currency or '?'}"
    return f"{number_format(amount, force_grouping=grouped)} {currency}"


def format_count(number: int) -> str:
    return number_format(number, force_grouping=True)


def format_percentage(share: float | None) -> str:
    """
    Return a share with one decimal, or a dash for None.

    Only a share of 1 becomes 100 %, so that rounding hides no failure.
    """
    if share is None:
        return NONE
    tenths = 1000 if share == 1 else min(round(share * 1000), 999)
    return _("%(percentage)s %%") % {"percentage": number_format(tenths / 10, 1)}


def format_milliseconds(duration: float | None) -> str:
    if duration is None:
        return NONE
    return _("%(ms)s ms") % {"ms": format_count(round(duration))}


# Times


def format_moment(moment: datetime | None, text: str = "") -> SafeString | None:
    """Return a ``<time>`` element with a text, or else the short date and time."""
    if moment is None:
        return None
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        to_local(moment).isoformat(),
        format_datetime(moment),
        text or date_format(to_local(moment), "SHORT_DATETIME_FORMAT"),
    )


def format_ago(moment: datetime | None) -> str:
    """Return how long ago a moment was, such as "3 hours ago"."""
    if moment is None:
        return _("at an unknown time")
    return format_age(age_of(moment))


def age_of(moment: datetime) -> timedelta:
    """Return how long ago a moment was, below zero if it has not come yet."""
    # Local times must not be subtracted: an hour of each autumn comes twice.
    age: timedelta = datetime.now(datetime_timezone.utc) - as_aware(moment)
    return age


def is_future(moment: datetime) -> bool:
    return age_of(moment) < timedelta()


def format_age(age: timedelta) -> str:
    """Return an age as a phrase, such as "3 hours ago"."""
    return format_distance(age, PAST) or _("a moment ago")


def format_until(moment: datetime) -> str:
    """Return the time until a moment, such as "in 3 hours"."""
    return format_distance(-age_of(moment), FUTURE) or _("in a moment")


def format_due(delay: timedelta) -> str:
    """Return for how long an order has been due, such as "due for 3 hours"."""
    return format_distance(delay, DUE) or _("due now")


def format_distance(distance: timedelta, units: list[tuple[timedelta, Any]]) -> str:
    """Return the phrase of the largest unit, or "" for less than a minute."""
    for unit, words in units:
        if distance >= unit:
            return str(words % {"count": distance // unit})
    return ""


def format_datetime(moment: datetime) -> str:
    """Return a date and time in the user's time zone and format."""
    return date_format(to_local(moment), "DATETIME_FORMAT")


def to_local(moment: datetime) -> datetime:
    """Return a moment in the current time zone, or unchanged without ``USE_TZ``."""
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


# JSON and bodies


def format_json_field(value: Any) -> SafeString | None:
    """Return a JSON field's value, indented, in a ``<pre>``; None if it is empty."""
    if value is None:
        return None
    text = indent_json(value)
    return format_html('<pre class="button-order-text">{}</pre>', clip(text))


def format_body(body: str) -> str:
    """Return a request's or an answer's body, indented if it is JSON."""
    if len(body) > MAX_LENGTH_OF_JSON:
        return clip(body)
    try:
        return clip(indent_json(json.loads(body)))
    except (ValueError, RecursionError):
        return body


def indent_json(value: Any) -> str:
    return to_json(value, indent=2)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON that a page can show."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    # JSON may have a lone surrogate, which cannot be encoded as UTF-8.
    return text.encode(errors="replace").decode()


def clip(text: str, length: int = MAX_LENGTH) -> str:
    """Return a text, cut after a number of characters."""
    return text if len(text) <= length else f"{text[:length]} …"
