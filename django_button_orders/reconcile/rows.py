"""
Whether a row says what the shop would have it say.

A report is built as the worker builds it, and its digest is compared with the
one that Button has acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.delivery.desired import (
    Desired,
    NoReport,
    choose_operation,
    find_desired,
)
from django_button_orders.delivery.verdicts import (
    SUCCESSES,
    Result,
    Verdict,
)
from django_button_orders.models import (
    CANCELLED_DIGEST,
    ButtonOrder,
    Difference,
    Submission,
)
from django_button_orders.outbox.host_orders import HostOrders
from django_button_orders.reconcile.findings import AGREE, Finding, PageResult
from django_button_orders.reconcile.values import differing, flat, shown
from django_button_orders.report.payload import without_btn_ref
from django_button_orders.report.privacy import describe_for_list

Kind = Difference.Kind
Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

# What an order may be, other than in agreement or not.
WAITING = "waiting"
FAILED = "failed"
NOT_REPORTABLE = "not_reportable"
# What an order is called here and there, as Button does.
OPEN, CANCELLED = "open", "cancelled"


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """What is wrong with a row."""

    kind: str
    values: dict[str, list[Any]] = field(default_factory=dict)
    error: str = ""


def compare_rows(
    rows: Iterable[ButtonOrder], hosts: HostOrders, found: PageResult, *, using: str
) -> None:
    """
    Compare rows with their host orders, which may have been read before them.

    What seems to differ is looked at once more, since the shop may have saved and
    a worker reported in the meantime.
    """
    suspects = []
    for row in rows:
        verdict = compare_row(row, hosts)
        if isinstance(verdict, Mismatch):
            suspects.append(row)
        else:
            note(verdict, row, found)
    if suspects:
        look_again(suspects, found, using=using)


def look_again(suspects: list[ButtonOrder], found: PageResult, *, using: str) -> None:
    # Read after the rows: if a row is the same after that, nobody has noted a
    # change of what was read here.
    hosts = HostOrders(suspects)
    verdicts = [(row, compare_row(row, hosts)) for row in suspects]
    unchanged = unmoved(suspects, using=using)
    for row, verdict in verdicts:
        if row.pk not in unchanged:
            found.counts[WAITING] += 1
        elif isinstance(verdict, Mismatch):
            found.add(finding_of(row, verdict))
        else:
            note(verdict, row, found)


def unmoved(rows: list[ButtonOrder], *, using: str) -> set[int]:
    """Return the keys of rows that are as they were when they were read."""
    known = {row.pk: (row.revision, row.status) for row in rows}
    now = ButtonOrder.objects.using(using).filter(pk__in=known)
    return {
        pk
        for pk, *state in now.values_list("pk", "revision", "status")
        if known[pk] == tuple(state)
    }


def note(verdict: str, row: ButtonOrder, found: PageResult) -> None:
    if verdict == AGREE:
        found.agree((row.account, row.order_id))
    else:
        found.counts[verdict] += 1


def finding_of(row: ButtonOrder, amiss: Mismatch) -> Finding:
    difference = Difference(
        side=Difference.Side.SHOP,
        kind=amiss.kind,
        account=row.account,
        order_id=row.order_id,
        source_type_id=row.source_type_id,
        source_id=row.source_id,
        values=amiss.values,
        error=amiss.error,
    )
    return Finding(difference=difference, row=row)


def compare_row(row: ButtonOrder, hosts: HostOrders) -> str | Mismatch:
    if row.status == Status.PENDING:
        return WAITING
    try:
        desired = find_desired(row, hosts)
    except NoReport as exc:
        return judge_undecided(row, exc)
    if row.status in (Status.FAILED, Status.DISMISSED):
        is_settled = is_old_news(row, desired)
        # That it failed is known. A person has to see to it, and nobody else.
        agreeing = FAILED if row.status == Status.FAILED else AGREE
    else:
        choice = choose_operation(row, desired)
        is_settled = isinstance(choice, Verdict) and choice.result in SUCCESSES
        agreeing = AGREE
    return agreeing if is_settled else changed(row, desired)


def judge_undecided(row: ButtonOrder, exc: NoReport) -> str | Mismatch:
    verdict = exc.verdict
    if verdict.result is Result.RETRY and exc.__cause__ is not None:
        # The shop's database is away, and would be for all others.
        raise exc.__cause__
    if row.status == Status.FAILED:
        return FAILED
    if row.status == Status.DISMISSED:
        return AGREE
    if verdict.result is Result.FAILED:
        cause = exc.__cause__
        error = describe_for_list(cause) if cause else verdict.error
        return Mismatch(kind=Kind.INVALID, error=error)
    if row.is_acknowledged:
        return Mismatch(kind=Kind.GONE, error=verdict.error)
    return NOT_REPORTABLE


def is_old_news(row: ButtonOrder, desired: Desired) -> bool:
    """
    Return whether a row has failed, or was dismissed, with just this.

    What it shows is what the last attempt wanted to tell Button.
    """
    if desired.report is None:
        may_be_known = row.is_acknowledged or row.unanswered > 0
        return may_be_known and was_refused_to_cancel(row)
    try:
        payload = row.as_report().as_payload()
    except ValidationError:
        # No attempt has got so far as to fill it in, and there will be no more.
        return row.reason == Reason.EXHAUSTED
    return updatable(row, payload) == updatable(row, desired.payload)


def was_refused_to_cancel(row: ButtonOrder) -> bool:
    cancellations = Submission.objects.using(row._state.db).filter(
        button_order=row,
        revision=row.revision,
        operation=Submission.Operation.CANCEL,
    )
    return cancellations.exists()


def changed(row: ButtonOrder, desired: Desired) -> Mismatch:
    ours, theirs = told_of(row), payload_for(row, desired)
    if ours is None or theirs is None:
        states = [CANCELLED if side is None else OPEN for side in (ours, theirs)]
        return Mismatch(kind=Kind.CHANGED, values={"status": states})
    here, there = flat(ours), flat(theirs)
    values = shown(differing(here, there), here, there)
    return Mismatch(kind=Kind.CHANGED, values=values)


def told_of(row: ButtonOrder) -> dict[str, Any] | None:
    """Return what a row says that Button was told, or None for a cancellation."""
    if row.reported_digest == CANCELLED_DIGEST or row.status == Status.CANCELLED:
        return None
    try:
        payload = row.as_report().as_payload()
    except ValidationError:
        return {}
    return updatable(row, payload)


def payload_for(row: ButtonOrder, desired: Desired) -> dict[str, Any] | None:
    return updatable(row, desired.payload) if desired.report else None


def updatable(row: ButtonOrder, payload: dict[str, Any]) -> dict[str, Any]:
    return without_btn_ref(payload) if row.is_acknowledged else payload
