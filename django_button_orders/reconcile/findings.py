"""What a comparison has found, and how that is remembered."""

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
# What may have changed of a difference that is found again.
NEWS = ("kind", "source_type", "source_id", "values", "error", "found_at", "fixed_at")
# Not an order, but a comparison, failed.
NOT_COMPARED = "not_compared"
AGREE = "agree"
FIXED = "fixed"
# Rows that are deleted in one transaction.
CHUNK = 1000


@dataclass(kw_only=True)
class Finding:
    """
    A difference that is not saved yet, and what it was found at.

    ``known_digest`` is what Button has, where that is not what we thought.
    """

    difference: Difference
    row: ButtonOrder | None = None
    host_order: Any = None
    known_digest: str | None = None
    is_fixed: bool = False

    @property
    def key(self) -> Key:
        return self.difference.account, self.difference.order_id


@dataclass(kw_only=True)
class PageResult:
    """
    What came of comparing a page.

    ``done`` is how many of it were compared, from its beginning on. ``ended``
    says why the comparison cannot go on, if it cannot.
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

    def agree(self, key: Key) -> None:
        self.agreeing.append(key)
        self.counts[AGREE] += 1

    def fail(self, name: str, error: str) -> None:
        self.counts[NOT_COMPARED] += 1
        self.errors.append(f"{name}: {error}")


def remember(found: PageResult, side: str, *, using: str) -> None:
    """
    Write differences down, one for each order, and close those that are over.

    What is known already, and still the same, is left alone.
    """
    findings = {finding.key: finding for finding in found.findings}
    order_ids = {order_id for _, order_id in (*findings, *found.agreeing)}
    differences = Difference.objects.using(using).filter(side=side)
    known = {
        (difference.account, difference.order_id): difference
        for difference in differences.filter(
            order_id__in=order_ids, fixed_at__isnull=True
        )
    }
    over = [known[key].pk for key in found.agreeing if key in known]
    if over:
        differences.filter(pk__in=over).update(fixed_at=DatabaseNow())
    news = [
        finding
        for key, finding in findings.items()
        if finding.is_fixed or not is_known(finding.difference, known.get(key))
    ]
    if news:
        save(news, using=using)


def is_known(difference: Difference, known: Difference | None) -> bool:
    return known is not None and all(
        getattr(difference, name) == getattr(known, name)
        for name in ("kind", "values", "error")
    )


def save(findings: Iterable[Finding], *, using: str) -> None:
    differences = []
    for finding in findings:
        if finding.is_fixed:
            finding.difference.fixed_at = DatabaseNow()
        differences.append(finding.difference)
    features = connections[using].features
    names = UNIQUE if features.supports_update_conflicts_with_target else None
    Difference.objects.using(using).bulk_create(
        # Always in one order, so that two who do this wait for each other.
        sorted(differences, key=lambda item: (item.order_id, item.account)),
        update_conflicts=True,
        update_fields=NEWS,
        unique_fields=names,
    )
