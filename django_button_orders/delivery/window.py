"""
The change window: when Button stops accepting changes, and what a late change costs.

Button's answers may show the end of the window. Button decides in any case: it answers
403 to a change that comes too late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from django_button_orders.conf import Settings
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.desired import Desired
from django_button_orders.delivery.verdicts import (
    CUSTOMER_KEPT,
    FINALIZED,
    SUCCESSES,
    Result,
    Verdict,
)
from django_button_orders.models import ButtonOrder, Submission, as_aware
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.report.erasing import as_untold
from django_button_orders.report.moments import parse_moment
from django_button_orders.report.objects import as_timestamp, is_same_order
from django_button_orders.report.validation import INT32_MAX

DAY_SECONDS = 86400
# Button's documentation has both names.
NAMES = ("finalization_date", "finalized_date")
# Other years are mistakes, such as the year 1 of an empty date. Not every database can
# store them in every time zone.
YEARS = range(2000, 9000)


def judge_late_change(row: ButtonOrder, desired: Desired) -> Verdict | None:
    """
    Return the verdict on a change that comes after the change window, or None.

    ``row`` was acknowledged, and Button does not have the ``desired`` state. While an
    earlier attempt is unanswered, the call is made: Button may have its change.
    """
    if row.unanswered > 1 or not is_over(row):
        return None
    if changes_only_customer(row, desired):
        return CUSTOMER_KEPT
    end = as_timestamp(as_aware(row.finalizes_at))
    error = f"Button accepted changes until {end}. This change came later."
    return replace(FINALIZED, error=error)


def is_over(row: ButtonOrder) -> bool:
    """Return whether a row's change window has ended, by the database's clock."""
    end = as_aware(row.finalizes_at)
    # Most changes come in time, so this spares them a query. A worker with a slow clock
    # makes a call that Button refuses.
    if end is None or end > datetime.now(timezone.utc):
        return False
    return row.row().filter(finalizes_at__lte=DatabaseNow()).exists()


def changes_only_customer(row: ButtonOrder, desired: Desired) -> bool:
    """Return whether Button would get nothing new but the customer of an order."""
    return (
        desired.report is not None
        # After an unanswered update, Button may have another order than the row says,
        # unless that has sent this very change.
        and row.reported_revision is not None
        and (row.unanswered <= 1 or row.revision == row.reported_revision + 1)
        and is_same_but_customer(row, desired.digest)
    )


def is_same_but_customer(row: ButtonOrder, digest: str) -> bool:
    """Return whether a report differs from the acknowledged one in personal data."""
    is_erased = row.erased_digest in (digest, as_untold(digest))
    return is_erased or is_same_order(row.reported_digest, digest)


def window_values(attempt: Attempt) -> dict[str, Any]:
    """Return the end of the change window as values of a row, if it is news."""
    verdict = attempt.verdict
    if (
        not attempt.calls
        or verdict is None
        or verdict.reason == ButtonOrder.Reason.TAKEN
    ):
        # What Button shows of another shop's order says nothing about this one.
        return {}
    end: Any = read_end(attempt.known_order)
    has_succeeded = verdict.result in SUCCESSES
    is_created = attempt.calls[-1].operation == Submission.Operation.CREATE
    is_first = has_succeeded and (is_created or not attempt.row.is_acknowledged)
    if end is None and has_succeeded:
        end = end_without_answer(attempt, is_first=is_first)
    if end is None and disproves_end(attempt, verdict):
        return {"finalizes_at": None}
    # An order that was created again has a new window, even if nobody knows its end.
    if (end is None and not is_first) or end == as_aware(attempt.row.finalizes_at):
        return {}
    return {"finalizes_at": end}


def disproves_end(attempt: Attempt, verdict: Verdict) -> bool:
    """Return whether Button refused a change before the known end of its window."""
    end = as_aware(attempt.row.finalizes_at)
    is_late = verdict.result is Result.CLOSED or verdict is CUSTOMER_KEPT
    return is_late and end is not None and end > datetime.now(timezone.utc)


def read_end(order: Mapping[str, Any]) -> datetime | None:
    """Return the end of the change window in an order that Button shows, or None."""
    moments = (read_moment(order.get(name)) for name in NAMES)
    return next((moment for moment in moments if moment is not None), None)


def read_moment(value: Any) -> datetime | None:
    """Return a moment of Button's in UTC, or None if it is missing or a mistake."""
    moment = parse_moment(value) if isinstance(value, str) else None
    if moment is None or moment.year not in YEARS:
        return None
    return moment.astimezone(timezone.utc)


def end_without_answer(attempt: Attempt, *, is_first: bool) -> Any:
    """
    Return the end of a change window that Button does not show, or None.

    It is the date that the shop sent and Button has acknowledged. For a first report,
    it is else ``FINALIZATION_DAYS`` from now.
    """
    report = attempt.desired.report if attempt.desired else None
    if report is None:
        return None
    if report.finalization_date is not None:
        return report.finalization_date
    days = attempt.settings.finalization_days
    return from_now(days * DAY_SECONDS) if is_first and days else None


def late_values(attempt: Attempt, verdict: Verdict) -> dict[str, Any]:
    """Return what Button holds too much as values of a row, if they change."""
    row = attempt.row
    values: dict[str, Any] = {"late_amount": None}
    if verdict.result is Result.CLOSED and attempt.desired is not None:
        held = held_total(attempt)
        amount = late_amount(held, attempt.desired)
        values = {"late_amount": amount, "reported_total": held}
    return {name: v for name, v in values.items() if v != getattr(row, name)}


def late_amount(held: int | None, desired: Desired) -> int | None:
    """
    Return the money that Button holds too much of a closed order, in minor units.

    It is negative if the shop wants more than Button holds, and None if it is not known
    what Button holds.
    """
    return None if held is None else held - desired.total


def held_total(attempt: Attempt) -> int | None:
    """
    Return the total that Button holds of a closed order, in minor units.

    It is None if that is not known: an earlier change may have reached Button, and
    Button has not shown the order since.
    """
    order = attempt.known_order
    shown = 0 if order.get("status") == "deleted" else None
    if shown is None:
        shown = read_total(order, attempt.settings)
    if shown is not None:
        return shown
    is_in_doubt = attempt.calls and attempt.row.unanswered > 1
    return None if is_in_doubt else attempt.row.reported_total


def read_total(order: Mapping[str, Any], settings: Settings) -> int | None:
    """Return the total that Button shows, if it is certainly in minor units."""
    total = order.get("total")
    if type(total) is not int or not 0 <= total <= INT32_MAX:
        return None
    # Button does not publish whether it returns decimals, if those were sent.
    return None if settings.total_as_decimal else total
