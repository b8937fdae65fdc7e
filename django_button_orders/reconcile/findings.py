"""The findings of a comparison, and how they become differences in the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.models.clock import DatabaseNow

Key = tuple[str, str]
UNIQUE = ("order_id", "account", "side")
# The fields that are written when a difference is found again.
NEWS = ("kind", "source_type", "source_id", "values", "error", "found_at", "fixed_at")
# Kinds of differences that no report can change.
UNFIXABLE = (Difference.Kind.TOKEN,)
# Counts of orders, beside those of each kind of difference.
AGREE = "agree"
FIXED = "fixed"
NOT_COMPARED = "not_compared"


@dataclass(kw_only=True)
class Finding:
    """
    A difference that is not saved yet, with the row and the host order that differ.

    ``known_digest`` is the digest of what Button has, where our row's is wrong, and
    ``known_total`` the total of that, or None if it is not known.
    ``hook`` is the hook of the adapter that failed, if one did.
    """

    difference: Difference
    row: ButtonOrder | None = None
    host_order: Any = None
    known_digest: str | None = None
    known_total: int | None = None
    is_fixed: bool = False
    hook: str = ""

    @property
    def is_fixable(self) -> bool:
        """
        Return whether the order can be made due.

        If no report can be built for an order with a row, an attempt would only turn
        the reported order into a failed one, and a mended adapter would come too late.
        """
        return not (self.difference.kind in UNFIXABLE or self.is_kept)

    @property
    def is_kept(self) -> bool:
        """Whether Button keeps the last report, because no new one can be built."""
        return self.difference.kind == Difference.Kind.INVALID and self.row is not None

    @property
    def has_failed(self) -> bool:
        """Whether the fix was a failed row, because the adapter raises an error."""
        is_new = self.row is None and self.is_fixed
        return is_new and self.difference.kind == Difference.Kind.INVALID

    @property
    def key(self) -> Key:
        return self.difference.account, self.difference.order_id


@dataclass(kw_only=True)
class PageResult:
    """
    The result of comparing one page of orders.

    ``done`` counts the compared orders, from the beginning of the page on. ``ended``
    is the reason why the comparison must stop, or "".
    """

    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    agreeing: list[Key] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ended: str = ""

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)
        self.counts[str(finding.difference.kind)] += 1

    def agree(self, key: Key, *, count_as: str = AGREE) -> None:
        self.agreeing.append(key)
        self.counts[count_as] += 1

    def fail(self, order_id: str, error: str) -> None:
        self.counts[NOT_COMPARED] += 1
        self.errors.append(f"{order_id}: {error}")


def save_differences(result: PageResult, side: str, *, using: str) -> None:
    """
    Save a difference for each finding, and close those of orders that agree again.

    A difference that is found again unchanged is not written.
    """
    findings = {finding.key: finding for finding in result.findings}
    order_ids = {order_id for _, order_id in (*findings, *result.agreeing)}
    differences = Difference.objects.using(using).filter(side=side)
    open_ones = {
        (difference.account, difference.order_id): difference
        for difference in differences.filter(
            order_id__in=order_ids, fixed_at__isnull=True
        )
    }
    closed = [open_ones[key].pk for key in result.agreeing if key in open_ones]
    if closed:
        differences.filter(pk__in=closed).update(fixed_at=DatabaseNow())
    changed = [
        finding
        for key, finding in findings.items()
        if finding.is_fixed or not is_same(finding.difference, open_ones.get(key))
    ]
    if changed:
        upsert(changed, using=using)


def is_same(difference: Difference, known: Difference | None) -> bool:
    return known is not None and all(
        getattr(difference, name) == getattr(known, name)
        for name in ("kind", "values", "error")
    )


def upsert(findings: Iterable[Finding], *, using: str) -> None:
    differences = []
    for finding in findings:
        if finding.is_fixed:
            finding.difference.fixed_at = DatabaseNow()
        differences.append(finding.difference)
    features = connections[using].features
    names = UNIQUE if features.supports_update_conflicts_with_target else None
    Difference.objects.using(using).bulk_create(
        # Sorted, so that two processes lock the same rows in the same order.
        sorted(differences, key=lambda item: (item.order_id, item.account)),
        update_conflicts=True,
        update_fields=NEWS,
        unique_fields=names,
    )
