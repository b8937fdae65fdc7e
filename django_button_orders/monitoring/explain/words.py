"""Dates, durations and amounts in the sentences about one order."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

from django_button_orders.report.money import in_major_units, to_minor_units

UNITS: list[tuple[int, Any]] = [
    (86400, ngettext_lazy("%(count)d day", "%(count)d days", "count")),
    (3600, ngettext_lazy("%(count)d hour", "%(count)d hours", "count")),
    (60, ngettext_lazy("%(count)d minute", "%(count)d minutes", "count")),
    (1, ngettext_lazy("%(count)d second", "%(count)d seconds", "count")),
]


def in_words(length: timedelta) -> str:
    """Return a length of time in its largest unit, such as "40 seconds"."""
    seconds = max(round(abs(length).total_seconds()), 1)
    size, words = next(item for item in UNITS if seconds >= item[0])
    return str(words % {"count": seconds // size})


def as_day(moment: datetime | None) -> str:
    """Return the date of a moment in the current time zone."""
    if moment is None:
        return _("an unknown date")
    return date_format(to_local(moment), "DATE_FORMAT")


def as_moment(moment: datetime | None) -> str:
    """Return a date and time in the current time zone, with the zone's name."""
    if moment is None:
        return _("an unknown time")
    local = to_local(moment)
    return f"{date_format(local, 'Y-m-d H:i:s')} {local.tzname()}"


def to_local(moment: datetime) -> datetime:
    """Return a moment in the current time zone, also without ``USE_TZ``."""
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment, timezone.get_default_timezone())
    return timezone.localtime(moment)


def as_money(minor_units: int, currency: str | None) -> str:
    """Return an amount in major units, or in minor ones if the currency is unknown."""
    amount = in_major_units(minor_units, currency)
    if amount is None:
        return f"{minor_units} {currency or '?'}"
    return f"{number_format(amount, force_grouping=True)} {currency}"


def total_in(payload: dict[str, Any], currency: str | None) -> str:
    """Return the total of a payload, ours or Button's, or "" if it has none."""
    total = payload.get("total")
    currency = payload.get("currency") or currency
    if not isinstance(currency, str) or isinstance(total, bool):
        return ""
    if isinstance(total, int) and not payload.get("total_as_decimal"):
        return as_money(total, currency)
    try:
        return as_money(to_minor_units(Decimal(str(total)), currency), currency)
    except (InvalidOperation, ValidationError):
        return ""
