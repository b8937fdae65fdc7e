"""Comparing page by page, from wherever a comparison has stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from django_button_orders.models.keyset import Keyset
from django_button_orders.reconcile.asking import Throttle
from django_button_orders.reconcile.findings import PageResult, remember
from django_button_orders.reconcile.fixing import fix

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
    pace: Throttle = UNLIMITED,
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
        pace.take(len(page))
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
