"""Reading many orders, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Orders that are in memory at once.
PAGE_SIZE = 2000


def in_pages(orders: Any, *, size: int = PAGE_SIZE) -> Iterator[list[Any]]:
    """
    Yield lists of orders, or of their named values, the newest first.

    Each is a query of its own, which goes on from the key where the last one has
    ended. No transaction and no cursor is held meanwhile, however slow whoever
    reads them is, and no order comes twice.
    """
    rows = orders.order_by("-pk")
    page = list(rows[:size])
    while page:
        yield page
        if len(page) < size:
            return
        page = list(rows.filter(pk__lt=page[-1].pk)[:size])
