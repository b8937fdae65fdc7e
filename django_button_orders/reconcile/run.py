"""
Run a comparison page by page, save its differences, and fix them if asked to.

A comparison can start from any position, so an interrupted one can be resumed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from django.db import transaction

from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.models.keyset import Keyset
from django_button_orders.operations.backfill import COLUMNS
from django_button_orders.operations.batches import Batch
from django_button_orders.operations.throttle import Throttle
from django_button_orders.outbox.adapters import get_adapter
from django_button_orders.outbox.marking import mark_row
from django_button_orders.reconcile.findings import (
    FIXED,
    Finding,
    PageResult,
    save_differences,
)

UNLIMITED = Throttle(None)


class Comparison(Protocol):
    """A comparison of two sides, which compares one page at a time."""

    side: Any
    using: str

    @property
    def label_with_database(self) -> str: ...

    @property
    def keyset(self) -> Keyset: ...

    def compare(self, page: list[Any]) -> PageResult: ...


class Step(NamedTuple):
    """The result of a page, and the position after it."""

    result: PageResult
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
    Compare the pages after a position, save the differences, and yield each result.

    ``fixes`` also marks what differs due. It is safe to compare a page twice: a
    marked row is pending, and pending rows are not compared.
    """
    keyset, left = comparison.keyset, limit
    while left is None or left > 0:
        page = keyset.page(position, min(batch_size, left or batch_size))
        if not page:
            return
        throttle.admit(len(page))
        result = comparison.compare(page)
        if fixes:
            fix(result, using=comparison.using)
        save_differences(result, comparison.side, using=comparison.using)
        if result.done:
            position = keyset.position_of(page[result.done - 1])
        yield Step(result, position)
        if result.ended or result.done < len(page):
            return
        left = None if left is None else left - len(page)


# The digest and the total of what Button has.
Known = tuple[str | None, int | None]


def fix(result: PageResult, *, using: str) -> None:
    """
    Make the orders of findings due. A worker decides which call to make.

    Leaves out what no report can change. Skips a row that another transaction has
    locked, because the shop or a worker may wait for us with that lock. The next
    comparison finds the order again.
    """
    add_rows([item for item in result.findings if has_no_row(item)], using=using)
    by_known: defaultdict[Known, list[Finding]] = defaultdict(list)
    for finding in result.findings:
        if not finding.is_fixable:
            continue
        if finding.host_order is None:
            known = (finding.known_digest, finding.known_total)
            by_known[known].append(finding)
        elif not has_no_row(finding):
            mark_host_order(finding, using=using)
    for known, findings in by_known.items():
        mark_rows(findings, known, using=using)
    result.counts[FIXED] += sum(finding.is_fixed for finding in result.findings)


def has_no_row(finding: Finding) -> bool:
    """Return whether no row has the order's ID, not even another order's row."""
    return finding.difference.kind == Difference.Kind.MISSING and finding.row is None


def add_rows(findings: list[Finding], *, using: str) -> None:
    """Add due rows, as a backfill does. A row that was added since then is kept."""
    if not findings:
        return
    # All orders of a page have the same model.
    shared = {"source_type_id": findings[0].difference.source_type_id}
    rows: list[Sequence[Any]] = [
        [getattr(finding.difference, name) for name in COLUMNS] for finding in findings
    ]
    Batch(using=using, columns=COLUMNS, shared=shared, rows=rows).write()
    for finding in findings:
        finding.is_fixed = True


def mark_host_order(finding: Finding, *, using: str) -> None:
    """
    Mark the host order changed, as a save does.

    That records an adapter's error on a row. It also gives a deleted order's row to
    the order that has its ID now.
    """
    order = finding.host_order
    mark_row(get_adapter(type(order)), order, using=using)
    finding.is_fixed = True


def mark_rows(findings: list[Finding], known: Known, *, using: str) -> None:
    """Mark rows changed. ``known`` is what Button has, if the rows are wrong."""
    rows = ButtonOrder.objects.using(using)
    pks = [finding.row.pk for finding in findings if finding.row is not None]
    digest, total = known
    is_wrong = digest is not None
    values = {"reported_digest": digest, "reported_total": total} if is_wrong else {}
    with transaction.atomic(using=using):
        marked = set(rows.unlocked_keys(pks))
        rows.filter(pk__in=marked).mark_changed(**values)
    for finding in findings:
        finding.is_fixed = finding.row is not None and finding.row.pk in marked
