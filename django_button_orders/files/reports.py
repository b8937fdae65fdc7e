"""Build the report of an order from a file's values, which have Button's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime

from django_button_orders.report.money import to_minor_units
from django_button_orders.report.objects import Customer, OrderReport, from_mapping
from django_button_orders.report.validation import as_line, wrong_type

REQUIRED = ("order_id", "total", "currency", "purchase_date")
MOMENTS = ("purchase_date", "finalization_date")
# Button's flag for amounts such as 70.00, and the values to which it applies.
DECIMAL = "total_as_decimal"
AMOUNTS = ("total", "amount")


def build_report(values: Mapping[str, Any]) -> OrderReport:
    """
    Return the report of an order.

    Amounts are integers of minor units unless ``total_as_decimal`` is true. The
    customer's e-mail address is hashed. Raises ``ValidationError`` with a text that
    does not contain the values.
    """
    known = {**dict.fromkeys(REQUIRED), **values}
    if known.pop(DECIMAL, None) is True:
        known = convert_amounts(known)
    elif values.get(DECIMAL) not in (None, False):
        raise ValidationError({DECIMAL: "Enter true or false."})
    convert(known, "customer", read_customer)
    for name in MOMENTS:
        convert(known, name, read_moment)
    report: OrderReport = from_mapping(OrderReport, known)
    return report


def convert(values: dict[str, Any], name: str, read: Any) -> None:
    """Replace a value, unless it is missing, by the result of ``read``."""
    if values.get(name) in (None, ""):
        return
    try:
        values[name] = read(values[name])
    except ValidationError as exc:
        raise ValidationError({name: as_line(exc)}) from exc


def read_customer(value: Any) -> Customer:
    if not isinstance(value, Mapping):
        raise wrong_type("an object", value)
    others = {name: item for name, item in value.items() if name != "email"}
    customer: Customer = from_mapping(Customer, others)
    return replace(customer, email=value.get("email"))


def read_moment(value: Any) -> datetime:
    try:
        moment = parse_datetime(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None:
        raise ValidationError(
            "Enter a date and time of ISO 8601 with its zone, such as "
            "2026-11-23T08:00:00Z."
        )
    return moment


def convert_amounts(values: dict[str, Any]) -> dict[str, Any]:
    currency = values["currency"]
    items = values.get("line_items")
    if isinstance(items, list):
        items = [
            with_minor_units(item, currency) if isinstance(item, dict) else item
            for item in items
        ]
        values = {**values, "line_items": items}
    return with_minor_units(values, currency)


def with_minor_units(values: dict[str, Any], currency: Any) -> dict[str, Any]:
    values = dict(values)
    for name in AMOUNTS:
        if isinstance(values.get(name), int | Decimal):
            convert(values, name, lambda amount: to_minor_units(amount, currency))
    return values
