"""Read the cells of an order's CSV rows into values with Button's names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.files.reports import AMOUNTS, DECIMAL
from django_button_orders.report import columns

# A file may have the e-mail address itself, which is hashed at once.
OF_CUSTOMER = {**columns.OF_CUSTOMER, "customer_email": "email"}
COLUMNS = (*columns.ORDER, *OF_CUSTOMER, *columns.OF_LINE_ITEM)
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
INTEGER = re.compile(r"-?[0-9]{1,18}")


def build_values(rows: list[dict[str, str]]) -> dict[str, Any]:
    """
    Return the values of an order from the cells of its rows.

    A row may leave out the order's values that an earlier row has, but not contradict
    them. Rows that are the same in all cells count once.
    """
    of_order: dict[str, str] = {}
    for position, cells in enumerate(rows, start=1):
        for name, text in cells.items():
            if name in columns.OF_LINE_ITEM:
                continue
            if of_order.setdefault(name, text) != text:
                raise ValidationError({name: f"Row {position} says something else."})
    is_decimal = of_order.get(DECIMAL, "").lower() in ("true", "1")
    values = parse(of_order, {name: name for name in columns.ORDER}, is_decimal)
    items = [
        parse(cells, columns.OF_LINE_ITEM, is_decimal) for cells in remove_doubles(rows)
    ]
    values["customer"] = parse(of_order, OF_CUSTOMER, is_decimal) or None
    values["line_items"] = [item for item in items if item]
    return values


def remove_doubles(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    found: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for cells in rows:
        found.setdefault(tuple(cells.items()), cells)
    return list(found.values())


def parse(
    cells: dict[str, str], names: Mapping[str, str], is_decimal: bool
) -> dict[str, Any]:
    """Return the values of those cells whose columns ``names`` has, by its names."""
    values = {}
    for column, name in names.items():
        if column not in cells:
            continue
        parser = PARSERS.get(name, str)
        if is_decimal and name in AMOUNTS:
            parser = parse_decimal
        try:
            values[name] = parser(cells[column])
        except ValidationError as exc:
            raise ValidationError({column: exc}) from exc
    return values


def parse_integer(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise ValidationError("Enter an integer.")
    return int(text)


def parse_minor_units(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise ValidationError("Enter an integer of minor units: 1234 for 12.34 USD.")
    return int(text)


def parse_decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise ValidationError("Enter an amount such as 12.34.") from exc


def parse_boolean(text: str) -> bool:
    if text.lower() not in TRUTHS:
        raise ValidationError("Enter true or false.")
    return TRUTHS[text.lower()]


def parse_path(text: str) -> list[str]:
    return [part.strip() for part in text.split(">")]


def parse_object(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValidationError("Enter a JSON object.") from exc


# All other values are texts.
PARSERS: dict[str, Callable[[str], Any]] = {
    "total": parse_minor_units,
    "amount": parse_minor_units,
    "quantity": parse_integer,
    DECIMAL: parse_boolean,
    "is_new": parse_boolean,
    # From the most general to the most specific: "Home > Kitchen".
    "category": parse_path,
    "attributes": parse_object,
}
