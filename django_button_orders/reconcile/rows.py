"""
Compare one row with its host order.

The report is built as a worker builds it. Its digest is compared with the digest that
Button has acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.delivery.desired import (
    Desired,
    NoReport,
    find_desired,
)
from django_button_orders.delivery.prepare import choose_operation, settings_for
from django_button_orders.delivery.verdicts import SUCCESSES, Result, Verdict
from django_button_orders.delivery.window import late_amount
from django_button_orders.models import (
    CANCELLED_DIGEST,
    ButtonOrder,
    Difference,
    Submission,
)
from django_button_orders.outbox.adapters import HostOrders
from django_button_orders.reconcile.findings import AGREE, Finding, PageResult
from django_button_orders.reconcile.values import as_shown, find_differences, flatten
from django_button_orders.report.objects import without_btn_ref

Kind = Difference.Kind
Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

# Counts of orders that neither agree nor differ.
WAITING = "waiting"
FAILED = "failed"
CLOSED = "closed"
NOT_REPORTABLE = "not_reportable"
# Orders without a row that only a person may add.
NOT_ADDED = "not_added"
# The error of a token that came too late.
NOT_FIXABLE = (
    "Button ties a token to an order at the first report, and no later report can add "
    "or change it"
)
# The error of an order that failed as invalid, because of an adapter or of data that
# somebody has corrected since then.
MENDED = "It failed as invalid, and can be reported now."
# The states that a difference shows, in Button's words.
OPEN, CANCELLED = "open", "cancelled"


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """The difference between a row and its host order."""

    kind: str
    values: dict[str, list[Any]] = field(default_factory=dict)
    error: str = ""
    # The hook of the adapter that failed, or "".
    hook: str = ""


def compare_rows(
    rows: Iterable[ButtonOrder], hosts: HostOrders, result: PageResult, *, using: str
) -> None:
    """
    Compare rows with their host orders, and add the outcomes to the result.

    Rows that seem to differ are compared again with host orders read anew, because
    the shop may have saved and a worker may have reported since the first reading.
    """
    suspects = []
    for row in rows:
        outcome = compare_row(row, hosts)
        if isinstance(outcome, Mismatch):
            suspects.append(row)
        else:
            count(outcome, row, result)
    if suspects:
        compare_again(suspects, result, using=using)


def compare_again(
    suspects: list[ButtonOrder], result: PageResult, *, using: str
) -> None:
    # These host orders are read after the rows. If a row is still the same after
    # that, nobody has marked it for a change that was read here.
    hosts = HostOrders(suspects)
    outcomes = [(row, compare_row(row, hosts)) for row in suspects]
    unchanged = find_unchanged(suspects, using=using)
    for row, outcome in outcomes:
        if row.pk not in unchanged:
            result.counts[WAITING] += 1
        elif isinstance(outcome, Mismatch):
            result.add(as_finding(row, outcome))
        else:
            count(outcome, row, result)


def find_unchanged(rows: list[ButtonOrder], *, using: str) -> set[int]:
    """Return the keys of rows that nobody changed or erased since they were read."""
    known = {row.pk: (row.revision, row.status, row.erased_at) for row in rows}
    now = ButtonOrder.objects.using(using).filter(pk__in=known)
    return {
        pk
        for pk, *state in now.values_list("pk", "revision", "status", "erased_at")
        if known[pk] == tuple(state)
    }


def count(outcome: str, row: ButtonOrder, result: PageResult) -> None:
    if outcome in (AGREE, CLOSED):
        result.agree((row.account, row.order_id), count_as=outcome)
    else:
        result.counts[outcome] += 1


def as_finding(row: ButtonOrder, mismatch: Mismatch) -> Finding:
    difference = Difference(
        side=Difference.Side.SHOP,
        kind=mismatch.kind,
        account=row.account,
        order_id=row.order_id,
        source_type_id=row.source_type_id,
        source_id=row.source_id,
        values=mismatch.values,
        error=mismatch.error,
    )
    return Finding(difference=difference, row=row, hook=mismatch.hook)


def compare_row(row: ButtonOrder, hosts: HostOrders) -> str | Mismatch:
    """Return a row's mismatch with its host order, or the name of its count."""
    if row.status == Status.PENDING:
        return WAITING
    try:
        desired = find_desired(row, hosts)
    except NoReport as exc:
        return compare_without_report(row, exc)
    if has_failed_as_invalid(row):
        return compare_mended(row, desired)
    if row.status == Status.CLOSED:
        # What came too late is known, and Button would refuse it again.
        is_same, count_as = is_known_late(row, desired), CLOSED
    elif row.status in (Status.FAILED, Status.DISMISSED):
        is_same = was_last_attempted(row, desired)
        # A known failure needs a person. To list it as a difference helps nobody.
        count_as = FAILED if row.status == Status.FAILED else AGREE
    else:
        choice = choose_operation(row, desired)
        is_same = isinstance(choice, Verdict) and choice.result in SUCCESSES
        if is_same and desired.report is not None:
            return compare_tokens(row, desired.report.btn_ref)
        count_as = AGREE
    return count_as if is_same else as_changed(row, desired)


def has_failed_as_invalid(row: ButtonOrder) -> bool:
    """Return whether a row failed because no report could be built for it."""
    return (row.status, row.reason) == (Status.FAILED, Reason.INVALID)


def compare_mended(row: ButtonOrder, desired: Desired) -> str | Mismatch:
    """Return a mismatch for a row that failed as invalid, as that has passed."""
    try:
        settings_for(row)
    except NoReport:
        # The settings lack the account, so another attempt would fail in the same way.
        return FAILED
    return replace(as_changed(row, desired), error=MENDED)


def compare_tokens(row: ButtonOrder, token: str | None) -> str | Mismatch:
    """Return a mismatch if an order's token is not the one that Button has tied."""
    is_late = row.is_late(token)
    if is_late != row.has_late_token:
        # A worker has not seen this token. It makes no call, but corrects the row.
        return Mismatch(kind=Kind.CHANGED, values=token_values(row.btn_ref, token))
    if not is_late:
        return AGREE
    values = token_values(row.reported_btn_ref, token)
    return Mismatch(kind=Kind.TOKEN, values=values, error=NOT_FIXABLE)


def token_values(ours: str | None, theirs: str | None) -> dict[str, list[Any]]:
    """Return the tokens of two sides as the values of a difference."""
    path = ("btn_ref",)
    return as_shown([path], {path: ours or None}, {path: theirs or None})


def compare_without_report(row: ButtonOrder, exc: NoReport) -> str | Mismatch:
    verdict = exc.verdict
    if verdict.result is Result.RETRY and exc.__cause__ is not None:
        # The shop's database is away, and it would be for the next rows, too.
        raise exc.__cause__
    if has_failed_as_invalid(row) and verdict.result is Result.DISMISSED:
        # The worker dismisses it, now that the adapter can tell.
        return Mismatch(kind=Kind.CHANGED, error=verdict.error)
    if row.status == Status.FAILED:
        return FAILED
    if row.status == Status.DISMISSED:
        return AGREE
    if row.status == Status.CLOSED:
        return CLOSED
    if verdict.result is Result.FAILED:
        return Mismatch(kind=Kind.INVALID, error=exc.summary, hook=exc.hook)
    if row.is_acknowledged:
        return Mismatch(kind=Kind.GONE, error=verdict.error)
    return NOT_REPORTABLE


def is_known_late(row: ButtonOrder, desired: Desired) -> bool:
    """Return whether a state is the one that came too late for a closed row."""
    if late_amount(row.reported_total, desired) != row.late_amount:
        return False
    return desired.report is None or was_last_attempted(row, desired)


def was_last_attempted(row: ButtonOrder, desired: Desired) -> bool:
    """
    Return whether the last attempt at a settled row wanted to report this state.

    The row's fields have the values of its last attempt.
    """
    if desired.report is None:
        may_be_known = row.is_acknowledged or row.unanswered > 0
        return may_be_known and has_cancellation(row)
    try:
        payload = row.as_report().as_payload()
    except ValidationError:
        # No attempt has filled the row's fields. After the last attempt there is no
        # next one, and an order that a person has dismissed stays so.
        return row.reason in (Reason.EXHAUSTED, Reason.INVALID)
    return as_sent(row, payload) == as_sent(row, desired.payload)


def has_cancellation(row: ButtonOrder) -> bool:
    """Return whether Button was asked to cancel the order at its present revision."""
    cancellations = Submission.objects.using(row._state.db).filter(
        button_order=row,
        revision=row.revision,
        operation=Submission.Operation.CANCEL,
    )
    return cancellations.exists()


def as_changed(row: ButtonOrder, desired: Desired) -> Mismatch:
    ours, theirs = reported_payload(row), desired_payload(row, desired)
    if ours is None or theirs is None:
        states = [CANCELLED if side is None else OPEN for side in (ours, theirs)]
        return Mismatch(kind=Kind.CHANGED, values={"status": states})
    here, there = flatten(ours), flatten(theirs)
    values = as_shown(find_differences(here, there), here, there)
    return Mismatch(kind=Kind.CHANGED, values=values)


def reported_payload(row: ButtonOrder) -> dict[str, Any] | None:
    """Return the payload that the row was reported with, or None if cancelled."""
    if row.reported_digest == CANCELLED_DIGEST or row.status == Status.CANCELLED:
        return None
    try:
        payload = row.as_report().as_payload()
    except ValidationError:
        return {}
    return as_sent(row, payload)


def desired_payload(row: ButtonOrder, desired: Desired) -> dict[str, Any] | None:
    """Return the payload that Button should know, or None if cancelled."""
    return as_sent(row, desired.payload) if desired.report else None


def as_sent(row: ButtonOrder, payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload as a call for this row would send it."""
    return without_btn_ref(payload) if row.is_acknowledged else payload
