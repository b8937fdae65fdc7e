"""
What two sides have of an order, value by value, and what may be shown of it.

A payload is laid out flat: ("line_items", "MUG-1", "total") is one value of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.crypto import salted_hmac
from django.utils.dateparse import parse_datetime

from django_button_orders.report.privacy import clip

Path = tuple[str, ...]
Values = dict[Path, Any]

# Stored hashes depend on it: it must never change.
SALT = "django_button_orders.reconcile.values"
LINES = "line_items"
AMOUNTS = {"total", "amount", "quantity"}
DATES = {"purchase_date", "finalization_date"}
# Both ways of writing these are the same.
CASELESS = {"currency", "email_sha256"}
# What says nothing about a customer. Of all else there are hashes.
PLAIN = AMOUNTS | DATES | {"currency", "order_id"}
# Of an order with a thousand lines, not all have to be shown.
MAX_SHOWN = 20
MAX_LENGTH = 64


def flat(payload: Mapping[str, Any]) -> Values:
    """Return the values of a payload: ours, or whatever Button has answered."""
    return dict(leaves(payload))


def leaves(payload: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for name, value in payload.items():
        if name == LINES:
            yield from leaves_of_lines(value)
        elif isinstance(value, Mapping):
            yield from inner((name,), value)
        elif value is not None:
            yield (name,), value


def leaves_of_lines(lines: Any) -> Iterator[tuple[Path, Any]]:
    if not isinstance(lines, list) or not all(map(is_line, lines)):
        # There is no telling which line is which.
        return
    yield (LINES,), len(lines)
    for line in lines:
        path = (LINES, str(line["identifier"]))
        yield path, "a line"
        others = {name: line[name] for name in line if name != "identifier"}
        yield from inner(path, others)


def is_line(line: Any) -> bool:
    return isinstance(line, Mapping) and "identifier" in line


def inner(path: Path, values: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for name, value in values.items():
        if value is not None:
            yield (*path, name), value


def differing(ours: Values, theirs: Values) -> list[Path]:
    """Return the paths of what differs, where both sides tell all they have."""
    paths = sorted(ours.keys() | theirs.keys())
    return [path for path in paths if ours.get(path) != theirs.get(path)]


def certainly_differing(ours: Values, theirs: Values) -> list[Path]:
    """
    Return the paths of what differs for certain.

    Button may leave out what it was sent, add what it was not, and write it in
    another way. Only of lines is it known that it returns all of them.
    """
    paths = {
        path
        for path in ours.keys() & theirs.keys()
        if differs(normal(path, ours[path]), normal(path, theirs[path]))
    }
    if (LINES,) in theirs:
        paths |= lines_in(ours) ^ lines_in(theirs)
    return sorted(paths)


def differs(ours: Any, theirs: Any) -> bool:
    # Of another type, it is something that is not known well enough.
    return type(ours) is type(theirs) and ours != theirs


def lines_in(values: Values) -> set[Path]:
    return {path for path in values if len(path) == 2 and path[0] == LINES}


def normal(path: Path, value: Any) -> Any:
    """Return a value in the one form that all its ways of writing have."""
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
        return Decimal(str(value))
    except InvalidOperation:
        return value


def as_moment(value: str) -> Any:
    """Return a moment in whole seconds, as Button's samples have it."""
    try:
        moment = parse_datetime(value)
    except ValueError:
        return value
    if moment is None:
        return value
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.replace(microsecond=0)


def shown(paths: Iterable[Path], ours: Values, theirs: Values) -> dict[str, list[Any]]:
    """Return what both sides have, by name, as it may be kept and shown."""
    return {
        name_of(path): [show(path, ours.get(path)), show(path, theirs.get(path))]
        for path in list(paths)[:MAX_SHOWN]
    }


def name_of(path: Path) -> str:
    return ".".join(clip(name)[:MAX_LENGTH] for name in path)


def show(path: Path, value: Any) -> Any:
    if value is None or (path[0] == LINES and len(path) <= 2):
        return value
    if path[-1] not in PLAIN or not isinstance(value, int | float | str):
        return fingerprint(value)
    return clip(value)[:MAX_LENGTH] if isinstance(value, str) else value


def fingerprint(value: Any) -> str:
    """
    Return a hash that tells values apart and does not tell what they are.

    It depends on the project's secret key: an e-mail address or a number of a
    customer would soon be found by trying all of them.
    """
    text = json.dumps(value, sort_keys=True, default=str)
    digest = salted_hmac(SALT, text, algorithm="sha256").hexdigest()
    return f"hash {digest[:16]}"
