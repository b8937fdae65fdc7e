"""What differs between two views of an order, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.dateparse import parse_datetime

from django_button_orders.admin.display import as_json, clip

SEPARATOR = " / "
# An order's attributes are at the fourth level. Whatever is deeper stays whole.
MAX_DEPTH = 6
MAX_LENGTH = 1000


class Line(NamedTuple):
    """A field as one side has it and as the other has it; None where one has not."""

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
    """Return a line for each field of either side, in the order of ``after``."""
    old, new = dict(flatten(before)), dict(flatten(after))
    return [
        Line(
            name=name,
            before=as_text(old[name]) if name in old else None,
            after=as_text(new[name]) if name in new else None,
            is_same=name in old and name in new and is_same(old[name], new[name]),
        )
        for name in [*new, *(name for name in old if name not in new)]
    ]


def flatten(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the fields in a value with their names; absent and empty are alike."""
    if value in (None, "", [], {}):
        return
    items = None if depth == MAX_DEPTH else items_of(value)
    if items is None:
        yield name, value
        return
    for key, item in items:
        inner = f"{name}{SEPARATOR}{key}" if name else str(key)
        yield from flatten(item, inner, depth + 1)


def items_of(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return what an object or a list of objects is made of, or None for others."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return named_items(value)
    return None


def named_items(items: list[Any]) -> Iterator[tuple[Any, Any]]:
    """
    Yield the lines of an order with what they are called.

    By their identifiers, so that a line which is gone does not move the others.
    """
    names = [item.get("identifier") for item in items]
    is_unique = len({str(name) for name in names}) == len(names)
    for number, (name, item) in enumerate(zip(names, items, strict=True), start=1):
        yield (name if name and is_unique else number), item


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) != isinstance(other, bool):
        # For Python, true is 1.
        return False
    if one == other:
        return True
    moment = as_moment(one)
    return moment is not None and moment == as_moment(other)


def as_moment(value: Any) -> datetime | None:
    """Return the moment that a text stands for: there is more than one spelling."""
    try:
        moment = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo else None


def as_text(value: Any) -> str:
    try:
        return clip(as_json(value), MAX_LENGTH)
    except RecursionError:
        return "…"
