"""
Tell whether the order that Button has under a row's id is the order of the row.

Another shop with the same key, or a copy of this shop's database, may have reported
another order under the same id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django_button_orders.delivery.attempt import Attempt
from django_button_orders.models import as_aware
from django_button_orders.report.moments import parse_moment
from django_button_orders.report.objects import as_timestamp

# Button may leave out the fraction of a second, or round it.
SECOND = timedelta(seconds=1)
PURCHASE_DATE, CURRENCY = "purchase_date", "currency"
SHOWN = ("order_id", PURCHASE_DATE, "total", CURRENCY)
MAX_LENGTH = 64


def is_ours(attempt: Attempt, shown: Mapping[str, Any]) -> bool:
    """
    Return whether an order that Button shows is the one that the attempt reports.

    It is if all that Button shows of purchase date and currency agrees. While an
    earlier attempt is unanswered, it is unless one of them differs, because Button may
    show neither. To cancel an order nothing is reported, so what the earlier attempt
    has sent is compared.
    """
    assert attempt.desired is not None  # noqa: S101 - or else nothing was called
    if attempt.desired.report is None:
        return may_be_sent_before(attempt, shown)
    found = list(compare(attempt.desired.payload, shown))
    if attempt.row.unanswered > 1:
        return False not in found or may_be_sent_before(attempt, shown)
    return bool(found) and all(found)


def may_be_sent_before(attempt: Attempt, shown: Mapping[str, Any]) -> bool:
    """Return whether an order may be what the attempt before this one has sent."""
    sent = sent_before(attempt)
    return bool(sent[PURCHASE_DATE]) and False not in compare(sent, shown)


def sent_before(attempt: Attempt) -> Mapping[str, Any]:
    """
    Return what the attempt before this one has sent, as far as it is on record.

    The shop may have changed it since. Nothing is on record if the worker died.
    """
    row, desired = attempt.row, attempt.desired
    if desired is not None and desired.earlier is not None:
        return desired.earlier.as_payload()
    return {
        "order_id": row.order_id,
        PURCHASE_DATE: as_timestamp(as_aware(row.purchase_date)),
        "total": row.total,
        CURRENCY: row.currency,
    }


def compare(ours: Mapping[str, Any], shown: Mapping[str, Any]) -> Iterator[bool | None]:
    """
    Yield for each of the two fields that Button shows whether it agrees with ours.

    None stands for a value that cannot be compared.
    """
    date, currency = shown.get(PURCHASE_DATE), shown.get(CURRENCY)
    if date is not None:
        yield is_same_moment(ours.get(PURCHASE_DATE), date)
    if currency is not None:
        yield is_same_text(ours.get(CURRENCY), currency)


def is_same_moment(one: Any, other: Any) -> bool | None:
    moment, another = as_moment(one), as_moment(other)
    if moment is None or another is None:
        return None
    return abs(moment - another) < SECOND


def as_moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return parse_moment(value) if isinstance(value, str) else None


def is_same_text(one: Any, other: Any) -> bool | None:
    if not isinstance(one, str) or not isinstance(other, str):
        return None
    return one.upper() == other.strip().upper()


def describe_both(ours: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """Return sentences with both sides, and nothing of the customers."""
    return (
        "Button has another order under this ID, and it was not changed. "
        f"Ours: {describe(ours)}. Button's: {describe(shown)}."
    )


def describe(order: Mapping[str, Any]) -> str:
    """Return an order's id, purchase date, total and currency as a text."""
    return ", ".join(f"{name} {as_text(order.get(name))}" for name in SHOWN)


def as_text(value: Any) -> str:
    """Return a value on one line and cut, or what it is instead of a value."""
    if value is None:
        return "not shown"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return "unreadable"
    text = "".join(sign if sign.isprintable() else "\ufffd" for sign in str(value))
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
