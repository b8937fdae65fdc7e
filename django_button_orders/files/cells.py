"""From the cells of an order's rows to values with Button's names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.files.orders import AMOUNTS, DECIMAL

TRUTHS = {"true": True, "1": True, "false": False, "0": False}
INTEGER = re.compile(r"-?[0-9]{1,18}")


def integer(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise ValidationError("Enter an integer.")
    return int(text)


def minor_units(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise ValidationError("Enter an integer of minor units: 1234 for 12.34 USD.")
    return int(text)


def decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise ValidationError("Enter an amount such as 12.34.") from exc


def boolean(text: str) -> bool:
    if text.lower() not in TRUTHS:
        raise ValidationError("Enter true or false.")
    return TRUTHS[text.lower()]


def path(text: str) -> list[str]:
    return [part.strip() for part in text.split(">")]


def json_object(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValidationError("Enter a JSON object.") from exc


Reader = Callable[[str], Any]
ORDER: dict[str, Reader] = {
    "order_id": str,
    "total": minor_units,
    "currency": str,
    "purchase_date": str,
    "btn_ref": str,
    "customer_order_id": str,
    "partner_order_channel": str,
    "finalization_date": str,
    DECIMAL: boolean,
}
CUSTOMER: dict[str, Reader] = {
    "id": str,
    "email": str,
    "email_sha256": str,
    "device_id": str,
    "is_new": boolean,
}
LINE_ITEM: dict[str, Reader] = {
    "identifier": str,
    "total": minor_units,
    "amount": minor_units,
    "quantity": integer,
    "description": str,
    "sku": str,
    "upc": str,
    # From the most general to the most specific: "Home > Kitchen".
    "category": path,
    "attributes": json_object,
}
OF_CUSTOMER = {f"customer_{name}": name for name in CUSTOMER}
OF_LINE_ITEM = {f"line_item_{name}": name for name in LINE_ITEM}
COLUMNS = (*ORDER, *OF_CUSTOMER, *OF_LINE_ITEM)


def build_values(rows: list[dict[str, str]]) -> dict[str, Any]:
    """
    Return the values of an order from the cells of its rows.

    A row may leave out what an earlier one says of the order, but not contradict
    it. A row that stands there twice, in all its cells, counts once.
    """
    of_order: dict[str, str] = {}
    for position, cells in enumerate(rows, start=1):
        for name, text in cells.items():
            if name in OF_LINE_ITEM:
                continue
            if of_order.setdefault(name, text) != text:
                raise ValidationError({name: f"Row {position} says something else."})
    is_decimal = of_order.get(DECIMAL, "").lower() in ("true", "1")
    values = read(of_order, ORDER, {name: name for name in ORDER}, is_decimal)
    customer = read(of_order, CUSTOMER, OF_CUSTOMER, is_decimal)
    items = [
        read(cells, LINE_ITEM, OF_LINE_ITEM, is_decimal) for cells in distinct(rows)
    ]
    values["customer"] = customer or None
    values["line_items"] = [item for item in items if item]
    return values


def distinct(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    found: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for cells in rows:
        found.setdefault(tuple(cells.items()), cells)
    return list(found.values())


def read(
    cells: dict[str, str],
    readers: dict[str, Reader],
    columns: dict[str, str],
    is_decimal: bool,
) -> dict[str, Any]:
    values = {}
    for column, name in columns.items():
        if column not in cells:
            continue
        reader = decimal if is_decimal and name in AMOUNTS else readers[name]
        try:
            values[name] = reader(cells[column])
        except ValidationError as exc:
            raise ValidationError({column: exc}) from exc
    return values
