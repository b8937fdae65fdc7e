"""Read the cells of an order's CSV rows into values with Button's names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.files.numbers import parse_amount, parse_integer
from django_button_orders.files.reports import AMOUNTS, DECIMAL, Conventions
from django_button_orders.report import columns

# A file may have the e-mail address itself, which is hashed at once.
OF_CUSTOMER = {**columns.OF_CUSTOMER, "customer_email": "email"}
COLUMNS = (*columns.ORDER, *OF_CUSTOMER, *columns.OF_LINE_ITEM)
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
INTEGER = re.compile(r"-?[0-9]{1,18}")

Parsers = Mapping[str, Callable[[str], Any]]


def build_values(
    rows: list[dict[str, str]], conventions: Conventions
) -> dict[str, Any]:
    """
    Return the values of an order from the cells of its rows, each with a line item.

    A row may leave out the order's values that an earlier row has, but not contradict
    them.
    """
    of_order: dict[str, str] = {}
    for position, cells in enumerate(rows, start=1):
        for name, text in cells.items():
            if name in columns.OF_LINE_ITEM:
                continue
            if of_order.setdefault(name, text) != text:
                raise ValidationError(
                    {name: f"Row {position} of the order has another value."}
                )
    parsers = find_parsers(
        of_order.get(DECIMAL, str(conventions.is_decimal)).lower(),
        of_order.get("currency", conventions.currency),
        conventions.decimal_separator,
    )
    values = parse(of_order, {name: name for name in columns.ORDER}, parsers)
    items = [parse(cells, columns.OF_LINE_ITEM, parsers) for cells in rows]
    values["customer"] = parse(of_order, OF_CUSTOMER, parsers) or None
    values["line_items"] = [item for item in items if item]
    return values


@lru_cache(maxsize=100)
def find_parsers(is_decimal: str, currency: str, separator: str) -> Parsers:
    """Return the functions that read an order's cells. All other cells are texts."""
    parse_money: Callable[[str], Any] = parse_minor_units
    if TRUTHS.get(is_decimal):
        parse_money = partial(parse_amount, currency=currency, separator=separator)
    quantity = partial(parse_integer, separator=separator)
    return {**PARSERS, **dict.fromkeys(AMOUNTS, parse_money), "quantity": quantity}


def parse(
    cells: Mapping[str, str], names: Mapping[str, str], parsers: Parsers
) -> dict[str, Any]:
    """Return the values of those cells whose columns ``names`` has, by its names."""
    values = {}
    for column, name in names.items():
        if column not in cells:
            continue
        try:
            values[name] = parsers.get(name, str)(cells[column])
        except ValidationError as exc:
            raise ValidationError({column: exc}) from exc
    return values


def parse_minor_units(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise ValidationError(
            "Enter an integer of minor units: 1234 for 12.34 USD. Use --decimals for a "
            "file with decimals."
        )
    return int(text)


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


PARSERS: Parsers = {
    DECIMAL: parse_boolean,
    "is_new": parse_boolean,
    # From the most general to the most specific: "Home > Kitchen".
    "category": parse_path,
    "attributes": parse_object,
}
