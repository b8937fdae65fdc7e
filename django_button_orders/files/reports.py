"""Build the report of an order from a file's values, which have Button's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.files.dates import read_moment
from django_button_orders.report.money import to_minor_units
from django_button_orders.report.objects import Customer, OrderReport, from_mapping
from django_button_orders.report.validation import (
    as_line,
    clean_currency,
    wrong_type,
)

REQUIRED = ("order_id", "total", "currency", "purchase_date")
MOMENTS = ("purchase_date", "finalization_date")
# Button's flag for amounts such as 70.00, and the values to which it applies.
DECIMAL = "total_as_decimal"
AMOUNTS = ("total", "amount")


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What a file's author takes for granted: how to read values that do not say it."""

    decimals: bool = False
    decimal_separator: str = ""
    currency: str = ""
    zone: tzinfo | None = None
    date_format: str = ""

    @property
    def is_decimal(self) -> bool:
        return self.decimals or bool(self.decimal_separator)


NO_CONVENTIONS = Conventions()


def build_report(values: Mapping[str, Any], conventions: Conventions) -> OrderReport:
    """
    Return the report of an order.

    Amounts are integers of minor units unless ``total_as_decimal`` is true. The
    customer's e-mail address is hashed. Raises ``ValidationError`` with a text that
    does not contain the values.
    """
    known = {**dict.fromkeys(REQUIRED), **values}
    if known["currency"] in (None, ""):
        known["currency"] = conventions.currency
    is_decimal = known.pop(DECIMAL, None)
    if is_decimal is None:
        is_decimal = conventions.is_decimal
    if not isinstance(is_decimal, bool):
        raise ValidationError({DECIMAL: "Enter true or false."})
    if is_decimal:
        known = convert_amounts(known)
    convert(known, "customer", read_customer)
    read = partial(
        read_moment, zone=conventions.zone, date_format=conventions.date_format
    )
    for name in MOMENTS:
        convert(known, name, read)
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


def convert_amounts(values: dict[str, Any]) -> dict[str, Any]:
    try:
        currency = clean_currency(values["currency"])
    except ValidationError as exc:
        raise ValidationError({"currency": exc}) from exc
    items = values.get("line_items")
    if isinstance(items, list):
        items = [
            with_minor_units(item, currency) if isinstance(item, dict) else item
            for item in items
        ]
        values = {**values, "line_items": items}
    return with_minor_units(values, currency)


def with_minor_units(values: dict[str, Any], currency: str) -> dict[str, Any]:
    values = dict(values)
    for name in AMOUNTS:
        if isinstance(values.get(name), int | Decimal):
            convert(values, name, lambda amount: to_minor_units(amount, currency))
    return values
