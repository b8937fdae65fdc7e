"""What is sent: the JSON object for Button, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from django_button_orders.report.money import exponent, to_decimal


def without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in values.items() if value not in (None, "", (), {})
    }


def payload_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON object for Button, from what ``as_fields`` returns."""
    values = {**fields, "line_items": fields["line_items"] or None}
    for name in ("purchase_date", "finalization_date"):
        values[name] = as_timestamp(values[name])
    return without_empty(values)


def without_btn_ref(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != "btn_ref"}


def digest_of(payload: Mapping[str, Any]) -> str:
    """
    Return a fingerprint of what an update can change at Button.

    It leaves out ``btn_ref``, which an update never sends, and does not depend
    on how amounts are written.
    """
    text = json.dumps(without_btn_ref(payload), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def as_timestamp(value: datetime | None) -> str | None:
    """Return a moment as in Button's samples: UTC, whole seconds, ending in Z."""
    if value is None:
        return None
    text = value.astimezone(timezone.utc).isoformat(timespec="seconds")
    return text.replace("+00:00", "Z")


def with_decimals(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload with amounts in major units, as a setting asks for."""
    currency = payload["currency"]
    amounts = ("total", "amount")

    def convert(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: as_number(value, currency) if key in amounts else value
            for key, value in values.items()
        }

    decimal = convert(payload)
    decimal["total_as_decimal"] = True
    if "line_items" in payload:
        decimal["line_items"] = [convert(item) for item in payload["line_items"]]
    return decimal


def as_number(minor_units: int, currency: str) -> int | float:
    amount = to_decimal(minor_units, currency)
    # A float writes up to fifteen digits exactly, and an int32 has ten.
    return int(amount) if exponent(currency) == 0 else float(amount)
