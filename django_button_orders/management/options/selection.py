"""The arguments that select rows, for ``button_orders_report`` and ``_retry``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_button_orders.management.options.values import (
    add_order_ids,
    age,
    positive,
    refuse_unknown_account,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.databases import database_aliases
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.orders import ButtonOrderQuerySet

PAGE = 500
# Many, because the database may sort all selected rows for each query.
KEYS_PER_QUERY = 10_000


def status_codes(text: str) -> range:
    """Parse an HTTP status such as 503, or a class of them such as 5xx."""
    first, rest = text[:1], text[1:].lower()
    if first in tuple("12345") and rest == "xx":
        return range(int(first) * 100, int(first) * 100 + 100)
    if len(text) == 3 and first in tuple("12345") and rest.isdecimal():
        return range(int(text), int(text) + 1)
    raise argparse.ArgumentTypeError(f"'{text}' is not a status such as 503 or 5xx")


def add_selection(parser: CommandParser) -> None:
    add_order_ids(parser)
    parser.add_argument(
        "--reason",
        choices=ButtonOrder.Reason.values,
        help="only orders that failed or wait for this reason",
    )
    parser.add_argument("--account", help="only orders of this account")
    parser.add_argument(
        "--status-code",
        type=status_codes,
        metavar="STATUS",
        help="only orders whose last answer from Button had this HTTP status, such "
        "as 503, or a status of this class, such as 5xx",
    )
    parser.add_argument(
        "--older-than",
        type=age,
        metavar="AGE",
        help="only orders whose last change, attempt or failure is at least this "
        "old: 45s, 15m, 3h, 2d",
    )
    parser.add_argument(
        "--newer-than",
        type=age,
        metavar="AGE",
        help="only orders whose last change, attempt or failure is newer than this",
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="at most N orders, the oldest first"
    )


@dataclass(frozen=True, kw_only=True)
class Selection:
    """
    The rows that the options of ``add_selection`` select.

    Raises ``CommandError`` for options that can only be a mistake.
    """

    order_ids: list[str]
    reason: str | None
    account: str | None
    status_code: range | None
    older_than: timedelta | None
    newer_than: timedelta | None
    limit: int | None

    @classmethod
    def of(cls, options: dict[str, Any]) -> Selection:
        return cls(**{name: options[name] for name in cls.__dataclass_fields__})

    def __post_init__(self) -> None:
        if "" in self.order_ids:
            raise CommandError("--order-id must not be empty.")
        refuse_unknown_account(self.account)
        if (
            self.older_than is not None
            and self.newer_than is not None
            and self.older_than >= self.newer_than
        ):
            raise CommandError("--older-than must be less than --newer-than.")

    @property
    def is_empty(self) -> bool:
        """Return whether no option but ``--limit`` is given."""
        return not self.order_ids and all(
            value is None
            for value in (
                self.reason,
                self.account,
                self.status_code,
                self.older_than,
                self.newer_than,
            )
        )

    @property
    def is_account(self) -> bool:
        """Return whether ``--account`` is given, and nothing else."""
        given = [name for name, value in vars(self).items() if value not in (None, [])]
        return given == ["account"]

    def narrow(self, rows: ButtonOrderQuerySet) -> ButtonOrderQuerySet:
        """Return the selected rows. ``--limit`` is ignored."""
        if self.order_ids:
            rows = rows.filter(order_id__in=self.order_ids)
        if self.reason is not None:
            rows = rows.filter(reason=self.reason)
        if self.account is not None:
            rows = rows.filter(account=self.account)
        if self.status_code is not None:
            first, last = self.status_code[0], self.status_code[-1]
            rows = rows.filter(last_status_code__range=(first, last))
        if self.older_than is not None:
            rows = rows.filter(updated_at__lte=DatabaseNow() - self.older_than)
        if self.newer_than is not None:
            rows = rows.filter(updated_at__gt=DatabaseNow() - self.newer_than)
        return rows

    def left(self, seen: int) -> int | None:
        """Return how many rows ``--limit`` still allows, or None."""
        return None if self.limit is None else max(self.limit - seen, 0)

    def refuse_unknown_ids(self) -> None:
        """Raise ``CommandError`` for an ``--order-id`` that no row has."""
        unknown = set(self.order_ids)
        for alias in database_aliases() if unknown else ():
            rows = ButtonOrder.objects.using(alias).filter(order_id__in=self.order_ids)
            unknown -= set(rows.values_list("order_id", flat=True))
        if unknown:
            raise CommandError(
                f"No Button order exists for: {', '.join(sorted(unknown))}. "
                f"Create {'it' if len(unknown) == 1 else 'them'} with "
                "button_orders_backfill."
            )


def count(rows: ButtonOrderQuerySet, limit: int | None) -> int:
    """Count rows, but no more than ``limit``."""
    return rows.count() if limit is None else rows[:limit].count()


def pages(rows: ButtonOrderQuerySet, limit: int | None) -> Iterator[list[int]]:
    """
    Yield the keys of rows, page by page, and each row once.

    The caller may change rows so that they are no longer selected.
    """
    for keys in Keyset(rows).key_pages(KEYS_PER_QUERY, limit=limit):
        yield from (keys[at : at + PAGE] for at in range(0, len(keys), PAGE))
