"""
The rules for the JSON of an order, as Button documents them.

Names, types and limits come from Button's page "Report an Order", its overview of the
Order API and its client libraries. Values that these do not restrict are accepted,
with two exceptions that catch mistakes: the sandbox refuses unknown keys, and it
refuses null and empty strings.

A rule is a function that returns what is wrong with a value, or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from iso4217 import Currency

from django_button_orders.sandbox.wire import RefusedError

INT32 = 2**31 - 1
# Gold and other metals have a code and no minor unit, so no amount can be in them.
EXPONENTS = {item.code: item.exponent for item in Currency if item.exponent is not None}
# Orders in a currency may be older than its end, and Button does not say that it takes
# only current ones. These ended after 2002.
EXPONENTS |= dict.fromkeys(("BYR", "MGF", "TRL"), 0)
EXPONENTS |= dict.fromkeys(
    (
        # They became the euro: Slovenia, Cyprus, Malta, Slovakia, Estonia, Latvia,
        # Lithuania, Croatia and Bulgaria.
        *("SIT", "CYP", "MTL", "SKK", "EEK", "LVL", "LTL", "HRK", "BGN"),
        # They had too many zeros, or were renamed.
        *("AFA", "ANG", "AZM", "BGL", "CSD", "CUC", "GHC", "MRO", "MZM", "ROL", "RUR"),
        *("SDD", "SLL", "SRG", "STD", "TMM", "VEB", "VEF", "YUM", "ZMK"),
        *("ZWD", "ZWL", "ZWN", "ZWR"),
    ),
    2,
)
EXACT = Context(prec=28, traps=[Inexact, InvalidOperation])

# ISO 8601 has more forms. These are the forms in Button's samples and client
# libraries, and slight variations of them.
TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:T(?P<time>\d\d:\d\d)(?:(?P<second>:\d\d)(?:[.,]\d+)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?[0-5]\d)?)?)?",
    re.ASCII,
)
TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,255}")
SHA256 = re.compile(r"[0-9A-Fa-f]{64}")

Rule = Callable[[Any], "str | None"]
Rules = Mapping[str, Rule]


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_integer(value: Any) -> str | None:
    return None if is_integer(value) else "must be an integer"


def check_order_total(value: Any) -> str | None:
    return check_integer(value) or (
        None if 0 <= value <= INT32 else f"must be from 0 to {INT32}"
    )


def check_text(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if not value:
        return "must not be empty"
    # JSON can spell half of a surrogate pair, which is not a character.
    is_unicode = value.encode(errors="replace").decode() == value
    return None if is_unicode else "must be Unicode"


def check_short_text(value: Any) -> str | None:
    return check_text(value) or (
        None if len(value) <= 255 else "must have at most 255 characters"
    )


def check_ascii_text(value: Any) -> str | None:
    return check_short_text(value) or (None if value.isascii() else "must be ASCII")


def check_currency(value: Any) -> str | None:
    if isinstance(value, str) and value in EXPONENTS:
        return None
    return "must be an ISO 4217 code in upper case"


def check_purchase_time(value: Any) -> str | None:
    match = TIME.fullmatch(value) if isinstance(value, str) else None
    if match and match["zone"] and parse_time(value):
        return None
    return "must be an ISO 8601 time with a time zone"


def check_final_time(value: Any) -> str | None:
    # Button documents a required time zone for the purchase date only.
    if isinstance(value, str) and parse_time(value):
        return None
    return "must be an ISO 8601 time"


def parse_time(value: str) -> datetime | None:
    """Return a time, in UTC if it names no zone, or None if it is not valid."""
    match = TIME.fullmatch(value)
    if match is None:
        return None
    time = (match["time"] or "00:00") + (match["second"] or ":00")
    zone = (match["zone"] or "Z").replace("Z", "+00").replace(":", "").ljust(5, "0")
    try:
        # Python 3.10 reads only this form.
        return datetime.fromisoformat(f"{match['date']}T{time}{zone[:3]}:{zone[3:]}")
    except ValueError:
        return None


def is_past(value: str) -> bool:
    moment = parse_time(value)
    return moment is not None and moment <= datetime.now(timezone.utc)


def check_token(value: Any) -> str | None:
    if isinstance(value, str) and TOKEN.fullmatch(value):
        return None
    return "must be a URL-safe string of 1 to 255 characters"


def check_sha256(value: Any) -> str | None:
    if isinstance(value, str) and SHA256.fullmatch(value):
        return None
    return "must be 64 hexadecimal digits"


def check_boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def check_channel(value: Any) -> str | None:
    return None if value in ("app", "webview") else "must be app or webview"


def check_category(value: Any) -> str | None:
    if isinstance(value, list) and not any(map(check_text, value)):
        return None
    return "must be an array of strings"


def check_attributes(value: Any) -> str | None:
    if isinstance(value, dict) and not any(map(check_text, value.values())):
        return None
    return "must be an object of strings"


def check_customer(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "must be an object"
    return first_problem(value, CUSTOMER_RULES)


def check_line_items(value: Any) -> str | None:
    if not isinstance(value, list):
        return "must be an array of objects"
    seen = set()
    for position, line in enumerate(value):
        problem = check_line_item(line)
        if problem is None and line["identifier"] in seen:
            problem = ".identifier must be unique in the order"
        if problem is not None:
            return f"[{position}]{problem}"
        seen.add(line["identifier"])
    return None


def check_line_item(value: Any) -> str | None:
    if not isinstance(value, dict):
        return " must be an object"
    if "identifier" not in value:
        return ".identifier is required"
    return first_problem(value, LINE_ITEM_RULES)


CUSTOMER_RULES: Rules = {
    "id": check_text,
    "email_sha256": check_sha256,
    "device_id": check_text,
    "is_new": check_boolean,
}
# Button does not publish whether a line needs a total, nor its limits. A free sample
# has the total 0, and a discount has a negative one.
LINE_ITEM_RULES: Rules = {
    "identifier": check_text,
    "total": check_integer,
    "amount": check_integer,
    "quantity": check_integer,
    "description": check_text,
    "sku": check_text,
    "upc": check_text,
    "category": check_category,
    "attributes": check_attributes,
}
ORDER_RULES: Rules = {
    "total": check_order_total,
    "currency": check_currency,
    "order_id": check_ascii_text,
    "purchase_date": check_purchase_time,
    "btn_ref": check_token,
    "customer": check_customer,
    "customer_order_id": check_short_text,
    "line_items": check_line_items,
    "partner_order_channel": check_channel,
    "total_as_decimal": check_boolean,
    "finalization_date": check_final_time,
}
REQUIRED = ("total", "currency", "order_id", "purchase_date")


def first_problem(values: Mapping[str, Any], rules: Rules) -> str | None:
    """Return the first problem of an object, as ".key must be ...", or None."""
    for key, value in values.items():
        if key not in rules:
            return f".{key} is not known"
        problem = rules[key](value)
        if problem is not None:
            return f".{key}{with_separator(problem)}"
    return None


def with_separator(problem: str) -> str:
    return problem if problem[0] in ".[ " else f" {problem}"


def validate_order(
    body: Mapping[str, Any], *, known_currency: str = ""
) -> dict[str, Any]:
    """
    Return an order with its amounts in minor units.

    ``known_currency`` is the currency of the stored order in an update, which may
    leave keys out. Raises ``RefusedError`` at the first rule that is broken.
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
        raise RefusedError(problem.removeprefix("."))
    values.pop("total_as_decimal", None)
    return values


def in_minor_units(values: Mapping[str, Any], code: Any) -> dict[str, Any]:
    """Return an order whose decimal amounts are converted to minor units."""
    problem = check_currency(code)
    if problem is not None:
        raise RefusedError(f"currency {problem}")
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
    if not isinstance(value, Decimal) and not is_integer(value):
        raise RefusedError(f"{path} must be a number")
    exponent = EXPONENTS[code]
    try:
        exact = EXACT.quantize(Decimal(value), Decimal(1).scaleb(-exponent))
        return int(EXACT.scaleb(exact, exponent))
    except Inexact as exc:
        raise RefusedError(f"{path} has more decimals than {code}") from exc
    except InvalidOperation as exc:
        raise RefusedError(f"{path} is beyond all measure") from exc
