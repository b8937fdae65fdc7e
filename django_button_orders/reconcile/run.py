"""Comparing page by page, from wherever a comparison has stopped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from django.db import connections, transaction

from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.models.keyset import Keyset
from django_button_orders.operations.backfill import COLUMNS
from django_button_orders.operations.batches import Batch
from django_button_orders.operations.throttle import Throttle
from django_button_orders.outbox.adapters import get_adapter
from django_button_orders.outbox.marking import mark_row
from django_button_orders.reconcile.findings import FIXED, Finding, PageResult, remember

UNLIMITED = Throttle(None)


class Comparison(Protocol):
    side: Any
    using: str

    @property
    def label(self) -> str: ...

    @property
    def keyset(self) -> Keyset: ...

    def compare(self, page: list[Any]) -> PageResult: ...


class Step(NamedTuple):
    """What a page has brought, and the position after it."""

    found: PageResult
    position: str


def compare(
    comparison: Comparison,
    *,
    position: str = "",
    batch_size: int = 500,
    limit: int | None = None,
    fixes: bool = False,
    throttle: Throttle = UNLIMITED,
) -> Iterator[Step]:
    """
    Compare page by page, remember what differs, and yield what was found.

    ``fixes`` marks it due. It is safe to do a page twice: what was marked is
    pending, and what is pending is left alone.
    """
    keyset, left = comparison.keyset, limit
    while left is None or left > 0:
        page = keyset.page(position, min(batch_size, left or batch_size))
        if not page:
            return
        throttle.admit(len(page))
        found = comparison.compare(page)
        if fixes:
            fix(found, using=comparison.using)
        remember(found, comparison.side, using=comparison.using)
        if found.done:
            position = keyset.position_of(page[found.done - 1])
        yield Step(found, position)
        if found.ended or found.done < len(page):
            return
        left = None if left is None else left - len(page)


def fix(found: PageResult, *, using: str) -> None:
    """
    Mark what was found due. A worker compares again, and makes the call.

    A row that somebody else has locked is left as it is: whoever saves or reports
    it might wait for us. It is found again, if need be.
    """
    make_rows([item for item in found.findings if is_missing(item)], using=using)
    marks: defaultdict[str | None, list[Finding]] = defaultdict(list)
    for finding in found.findings:
        if finding.host_order is None:
            marks[finding.known_digest].append(finding)
        elif not is_missing(finding):
            save_again(finding, using=using)
    for known_digest, findings in marks.items():
        mark(findings, known_digest, using=using)
    found.counts[FIXED] += sum(finding.is_fixed for finding in found.findings)


def is_missing(finding: Finding) -> bool:
    """Return whether there is no row, not even one of another order."""
    is_missing_kind = finding.difference.kind == Difference.Kind.MISSING
    return is_missing_kind and finding.row is None


def make_rows(findings: list[Finding], *, using: str) -> None:
    """Make due rows, as a backfill does; somebody may just have made one of them."""
    if not findings:
        return
    # A page is of one model.
    kind = findings[0].difference.source_type_id
    rows: list[Sequence[Any]] = [
        [getattr(finding.difference, name) for name in COLUMNS] for finding in findings
    ]
    shared = {"source_type_id": kind}
    Batch(using=using, columns=COLUMNS, shared=shared, rows=rows).write()
    for finding in findings:
        finding.is_fixed = True


def save_again(finding: Finding, *, using: str) -> None:
    """
    Do what a save would.

    It puts what the adapter raises onto a row, and has the row of an order that
    is gone report the one that has its id now.
    """
    order = finding.host_order
    mark_row(get_adapter(type(order)), order, using=using)
    finding.is_fixed = True


def mark(findings: list[Finding], known_digest: str | None, *, using: str) -> None:
    rows = ButtonOrder.objects.using(using)
    pks = [finding.row.pk for finding in findings if finding.row is not None]
    values = {} if known_digest is None else {"reported_digest": known_digest}
    if connections[using].features.has_select_for_update_skip_locked:
        with transaction.atomic(using=using):
            free = rows.filter(pk__in=pks).select_for_update(skip_locked=True)
            pks = list(free.values_list("pk", flat=True))
            rows.filter(pk__in=pks).mark_changed(**values)
    else:
        rows.filter(pk__in=pks).mark_changed(**values)
    marked = set(pks)
    for finding in findings:
        finding.is_fixed = finding.row is not None and finding.row.pk in marked
