"""
Compare two payloads value by value, and hash the values that nobody may read.

A payload is flattened to a dict of paths: ("line_items", "MUG-1", "total") is one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.crypto import salted_hmac

from django_button_orders.report.moments import parse_moment
from django_button_orders.report.objects import with_decimals
from django_button_orders.report.validation import make_storable

Path = tuple[str, ...]
Values = dict[Path, Any]

# Stored hashes depend on this text, so it must never change.
SALT = "django_button_orders.reconcile.values"
LINES = "line_items"
AMOUNTS = {"total", "amount", "quantity"}
DATES = {"purchase_date", "finalization_date"}
# Upper and lower case make no difference in these.
CASELESS = {"currency", "email_sha256"}
# These say nothing about a customer. All other values are shown as hashes.
PLAIN = AMOUNTS | DATES | {"currency", "order_id"}
# An order may have a thousand line items.
MAX_SHOWN = 20
MAX_LENGTH = 64


def flatten(payload: Mapping[str, Any]) -> Values:
    """Return the values of a payload, ours or Button's, by their paths."""
    return dict(walk(payload))


def walk(payload: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for name, value in payload.items():
        if name == LINES:
            yield from walk_lines(value)
        elif isinstance(value, Mapping):
            yield from walk_below((name,), value)
        elif value is not None:
            yield (name,), value


def walk_lines(lines: Any) -> Iterator[tuple[Path, Any]]:
    if not isinstance(lines, list) or not all(map(is_line, lines)):
        # Lines without identifiers cannot be matched.
        return
    yield (LINES,), len(lines)
    for line in lines:
        path = (LINES, str(line["identifier"]))
        yield path, "a line"
        others = {name: line[name] for name in line if name != "identifier"}
        yield from walk_below(path, others)


def is_line(line: Any) -> bool:
    return isinstance(line, Mapping) and "identifier" in line


def walk_below(path: Path, values: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for name, value in values.items():
        if value is not None:
            yield (*path, name), value


def find_differences(ours: Values, theirs: Values) -> list[Path]:
    """Return the paths whose values differ or are on one side only."""
    paths = sorted(ours.keys() | theirs.keys())
    return [path for path in paths if ours.get(path) != theirs.get(path)]


def find_certain_differences(ours: Values, theirs: Values) -> list[Path]:
    """
    Return the paths whose values differ for certain.

    Button may leave out values, add others, and write them in another way. Line items
    are different: Button returns either none or all of them.
    """
    paths = {
        path
        for path in ours.keys() & theirs.keys()
        if differs(normalize(path, ours[path]), normalize(path, theirs[path]))
    }
    if (LINES,) in theirs:
        paths |= lines_in(ours) ^ lines_in(theirs)
    return sorted(paths)


def as_button_shows(
    payload: Mapping[str, Any], theirs: Values, *, total_as_decimal: bool
) -> Values:
    """
    Return the values of our payload, with amounts as Button's order has them.

    Button does not publish whether it returns decimals or minor units to a shop that
    sends decimals.
    """
    candidates = [flatten(payload)]
    if total_as_decimal:
        candidates.append(flatten(with_decimals(payload)))
    return min(candidates, key=lambda item: len(find_certain_differences(item, theirs)))


def differs(ours: Any, theirs: Any) -> bool:
    # Values of two types cannot be compared with certainty.
    return type(ours) is type(theirs) and ours != theirs


def lines_in(values: Values) -> set[Path]:
    return {path for path in values if len(path) == 2 and path[0] == LINES}


def normalize(path: Path, value: Any) -> Any:
    """Return the same value for all ways to write it."""
    name = path[-1]
    if name in AMOUNTS:
        return as_number(value)
    if not isinstance(value, str):
        return value
    if name in DATES:
        return as_moment(value)
    return value.upper() if name in CASELESS else value


def as_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return value
    # Python does not compare "sNaN" with anything.
    return number if number.is_finite() else value


def as_moment(value: str) -> Any:
    """Return a moment without fractions of a second, as in Button's samples."""
    moment = parse_moment(value)
    return value if moment is None else moment.replace(microsecond=0)


def as_shown(
    paths: Iterable[Path], ours: Values, theirs: Values
) -> dict[str, list[Any]]:
    """Return both sides' values of some paths by name, without personal data."""
    return {
        name_of(path): [mask(path, ours.get(path)), mask(path, theirs.get(path))]
        for path in list(paths)[:MAX_SHOWN]
    }


def name_of(path: Path) -> str:
    return ".".join(make_storable(name)[:MAX_LENGTH] for name in path)


def mask(path: Path, value: Any) -> Any:
    if value is None or (path[0] == LINES and len(path) <= 2):
        return value
    if path[-1] not in PLAIN or not isinstance(value, int | float | str):
        return hash_value(value)
    return make_storable(value)[:MAX_LENGTH] if isinstance(value, str) else value


def hash_value(value: Any) -> str:
    """
    Return a hash that differs for different values.

    The project's SECRET_KEY is part of it. Without a key, trying all e-mail addresses
    would soon find the right one.
    """
    text = json.dumps(value, sort_keys=True, default=str)
    digest = salted_hmac(SALT, text, algorithm="sha256").hexdigest()
    return f"hash {digest[:16]}"
