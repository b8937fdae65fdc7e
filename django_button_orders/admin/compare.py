"""Compare two payloads of an order field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime

from django_button_orders.admin.formatting import clip, format_money, to_json

SEPARATOR = " / "
# An order's attributes are at the fourth level. Deeper values are compared whole.
MAX_DEPTH = 6
MAX_LENGTH = 1000
AMOUNTS = ("total", "amount")
# A larger number is no amount of money, and is shown as it is.
MAX_AMOUNT = 10**15


class Line(NamedTuple):
    """A field's text on both sides; None on a side that does not have the field."""

    name: str
    before: str | None
    after: str | None
    is_same: bool

    @property
    def kind(self) -> str:
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "same" if self.is_same else "changed"


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Line]:
    """Return a line for each field of either payload, in the order of ``after``."""
    old, new = dict(flatten(before)), dict(flatten(after))
    return [
        Line(
            name=name,
            before=show(before, name, old[name]) if name in old else None,
            after=show(after, name, new[name]) if name in new else None,
            is_same=name in old and name in new and is_same(old[name], new[name]),
        )
        for name in [*new, *(name for name in old if name not in new)]
    ]


def flatten(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of all fields in a value, except empty ones."""
    if value in (None, "", [], {}):
        return
    items = None if depth == MAX_DEPTH else find_items(value)
    if items is None:
        yield name, value
        return
    for key, item in items:
        inner = f"{name}{SEPARATOR}{key}" if name else str(key)
        yield from flatten(item, inner, depth + 1)


def find_items(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return the items of an object or of a list of objects, or None for others."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return name_items(value)
    return None


def name_items(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    """
    Yield the line items of an order with their identifiers, or else numbers.

    With identifiers, a removed line item does not shift those after it.
    """
    names = [item.get("identifier") for item in items]
    is_unique = len({str(name) for name in names}) == len(names)
    for number, (name, item) in enumerate(zip(names, items, strict=True), start=1):
        yield (name if name and is_unique else number), item


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values are equal, or two spellings of one moment."""
    if isinstance(one, bool) != isinstance(other, bool):
        # In Python, True equals 1.
        return False
    if one == other:
        return True
    moment = parse_moment(one)
    return moment is not None and moment == parse_moment(other)


def parse_moment(value: Any) -> datetime | None:
    """Return the moment in a text with a time zone, or None for other values."""
    try:
        moment = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo else None


def show(payload: Mapping[str, Any], name: str, value: Any) -> str:
    """Return a value of a payload as JSON, or an amount of money with its currency."""
    currency = payload.get("currency")
    is_amount = (
        name.rpartition(SEPARATOR)[2] in AMOUNTS
        and type(value) is int
        and abs(value) <= MAX_AMOUNT
        # Then all amounts are in major units, and no integer stands for cents.
        and "total_as_decimal" not in payload
    )
    if is_amount and isinstance(currency, str):
        return clip(format_money(value, currency.upper()), MAX_LENGTH)
    return format_value(value)


def format_value(value: Any) -> str:
    """Return a value as JSON, cut after ``MAX_LENGTH`` characters."""
    try:
        return clip(to_json(value), MAX_LENGTH)
    except RecursionError:
        return "…"
