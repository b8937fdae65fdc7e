"""
What Button documents about the fields of an order, as rules for JSON.

Types, names and limits are those of Button's page "Report an Order", of its
overview of the Order API and of its client libraries. Where they are silent,
anything goes, with two exceptions that are the sandbox's own, to catch
mistakes: unknown keys and values that are null or empty are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from iso4217 import Currency

INT32 = 2**31 - 1
EXPONENTS = {item.code: item.exponent for item in Currency if item.exponent is not None}
TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})"
)

Rule = Callable[[Any], "str | None"]
Rules = Mapping[str, Rule]


class RefusedError(Exception):
    """The body breaks a rule; the message names the field."""


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def amount(minimum: int) -> Rule:
    def rule(value: Any) -> str | None:
        if not is_integer(value):
            return "must be an integer"
        return None if minimum <= value <= INT32 else f"must be {minimum} to {INT32}"

    return rule


def quantity(value: Any) -> str | None:
    return None if is_integer(value) else "must be an integer"


def text(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    return None if value else "must not be empty"


def short_text(value: Any) -> str | None:
    return text(value) or (None if len(value) <= 255 else "must have 255 characters")


def ascii_text(value: Any) -> str | None:
    return short_text(value) or (None if value.isascii() else "must be ASCII")


def currency(value: Any) -> str | None:
    return None if value in EXPONENTS else "must be an ISO 4217 code in upper case"


def timestamp(value: Any) -> str | None:
    problem = "must be an ISO 8601 time with a time zone"
    if not isinstance(value, str) or not TIMESTAMP.fullmatch(value):
        return problem
    try:
        datetime.fromisoformat(re.sub(r"(\.\d+)?Z?$", "", value[:19]))
    except ValueError:
        return problem
    return None


def token(value: Any) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._~-]{1,255}", value):
        return None
    return "must be a URL-safe string of 1 to 255 characters"


def sha256(value: Any) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        return None
    return "must be 64 hexadecimal digits"


def boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def channel(value: Any) -> str | None:
    return None if value in ("app", "webview") else "must be app or webview"


def texts(value: Any) -> str | None:
    if isinstance(value, list) and value and not any(map(text, value)):
        return None
    return "must be an array of strings"


def attributes(value: Any) -> str | None:
    if isinstance(value, dict) and value and not any(map(text, value.values())):
        return None
    return "must be an object of strings"


def customer(value: Any) -> str | None:
    if not isinstance(value, dict) or not value:
        return "must be an object"
    return first_problem(value, CUSTOMER_RULES)


def line_items(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return "must be an array of objects"
    seen = set()
    for position, item in enumerate(value):
        problem = line_item(item)
        if problem is None and item["identifier"] in seen:
            problem = ".identifier must be unique in the order"
        if problem is not None:
            return f"[{position}]{problem}"
        seen.add(item["identifier"])
    return None


def line_item(value: Any) -> str | None:
    if not isinstance(value, dict):
        return " must be an object"
    if "identifier" not in value:
        return ".identifier is required"
    problem = first_problem(value, LINE_ITEM_RULES)
    return None if problem is None else problem


CUSTOMER_RULES: Rules = {
    "id": short_text,
    "email_sha256": sha256,
    "device_id": text,
    "is_new": boolean,
}
LINE_ITEM_RULES: Rules = {
    "identifier": text,
    "total": amount(-INT32),
    "amount": amount(-INT32),
    "quantity": quantity,
    "description": text,
    "sku": text,
    "upc": text,
    "category": texts,
    "attributes": attributes,
}
ORDER_RULES: Rules = {
    "total": amount(0),
    "currency": currency,
    "order_id": ascii_text,
    "purchase_date": timestamp,
    "btn_ref": token,
    "customer": customer,
    "customer_order_id": short_text,
    "line_items": line_items,
    "partner_order_channel": channel,
    "total_as_decimal": boolean,
    "finalization_date": timestamp,
}
REQUIRED = ("total", "currency", "order_id", "purchase_date")


def first_problem(values: Mapping[str, Any], rules: Rules) -> str | None:
    """Return what is wrong with an object, as ".key must be ...", or None."""
    for key, value in values.items():
        if key not in rules:
            return f".{key} is not known"
        problem = rules[key](value)
        if problem is not None:
            return f".{key}{join(problem)}"
    return None


def join(problem: str) -> str:
    return problem if problem[0] in ".[" else f" {problem}"


def check_order(body: Mapping[str, Any], *, known_currency: str = "") -> dict[str, Any]:
    """
    Return an order with its amounts in minor units.

    An update may leave keys out, so it names the currency that is known. Raises
    ``RefusedError`` at the first rule that is broken.
    """
    values = dict(body)
    if not known_currency:
        for key in REQUIRED:
            if key not in values:
                raise RefusedError(f"{key} is required")
    if values.get("total_as_decimal") is True:
        values = in_minor_units(values, values.get("currency", known_currency))
    problem = first_problem(values, ORDER_RULES)
    if problem is not None:
        raise RefusedError(problem.lstrip("."))
    values.pop("total_as_decimal", None)
    return values


def in_minor_units(values: Mapping[str, Any], code: Any) -> dict[str, Any]:
    if currency(code) is not None:
        raise RefusedError("currency must be an ISO 4217 code in upper case")
    converted = convert(values, code, ("total",), "")
    lines = converted.get("line_items")
    if isinstance(lines, list):
        converted["line_items"] = [
            convert(line, code, ("total", "amount"), f"line_items[{position}].")
            if isinstance(line, dict)
            else line
            for position, line in enumerate(lines)
        ]
    return converted


def convert(
    values: Mapping[str, Any], code: str, keys: tuple[str, ...], path: str
) -> dict[str, Any]:
    converted = dict(values)
    for key in keys:
        if key in converted:
            converted[key] = minor_units(converted[key], code, f"{path}{key}")
    return converted


def minor_units(value: Any, code: str, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(f"{path} must be a number")
    try:
        units = Decimal(repr(value)).scaleb(EXPONENTS[code])
    except InvalidOperation as exc:
        raise RefusedError(f"{path} must be a number") from exc
    if units != units.to_integral_value():
        raise RefusedError(f"{path} has more decimals than {code}")
    return int(units)
