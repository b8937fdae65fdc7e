"""Read orders from JSON lines: one object with Button's field names on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.files.lines import Entry, Lines
from django_button_orders.files.reports import (
    NO_CONVENTIONS,
    Conventions,
    build_report,
)


def read_jsonl(
    lines: Lines, conventions: Conventions = NO_CONVENTIONS
) -> Iterator[Entry]:
    """Yield an entry for each line that is not empty."""
    for line in lines:
        if not line.raw.strip():
            continue
        entry = Entry(lines=[line])
        try:
            entry.report = build_report(parse(line.as_text()), conventions)
        except ValidationError as exc:
            entry.reject(line.number, exc)
        yield entry


def parse(text: str) -> dict[str, Any]:
    try:
        values = json.loads(
            text,
            parse_float=Decimal,
            parse_constant=refuse_constant,
            object_pairs_hook=refuse_doubles,
        )
    except json.JSONDecodeError as exc:
        raise ValidationError(
            f"This is not JSON: {exc.msg}, at column {exc.colno}."
        ) from exc
    # The nesting is too deep, or a number has thousands of digits.
    except (ValueError, RecursionError, ArithmeticError) as exc:
        raise ValidationError(
            "This JSON is nested too deeply, or has a number with too many digits."
        ) from exc
    if not isinstance(values, dict):
        raise ValidationError("Enter a JSON object with Button's field names.")
    return values


def refuse_constant(name: str) -> Any:
    raise ValidationError(f"{name} is not JSON.")


def refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValidationError("An object has the same name twice.")
    return values
