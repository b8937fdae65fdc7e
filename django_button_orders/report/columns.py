"""
The columns of Button's batch files: the names of all, and the default files.

Button publishes only part of its list, so a shop sets the columns that it has agreed on
with Button in ``BATCH_FILE_COLUMNS``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

KINDS = ("new", "changes")

# The names of the fields in Button's API.
ORDER = (
    "order_id",
    "total",
    "currency",
    "purchase_date",
    "btn_ref",
    "customer_order_id",
    "partner_order_channel",
    "finalization_date",
    "total_as_decimal",
)
CUSTOMER = ("id", "email_sha256", "device_id", "is_new")
LINE_ITEM = (
    "identifier",
    "total",
    "amount",
    "quantity",
    "sku",
    "upc",
    "category",
    "description",
    "attributes",
)
OF_CUSTOMER = {f"customer_{name}": name for name in CUSTOMER}
OF_LINE_ITEM = {f"line_item_{name}": name for name in LINE_ITEM}
# Columns that are no fields of the API.
OF_CHANGE = ("updated_date", "is_cancelled")
COLUMNS = (*ORDER, *OF_CUSTOMER, *OF_LINE_ITEM, *OF_CHANGE)

Columns = Mapping[str, Mapping[str, str]]


def as_headers(*names: str) -> Mapping[str, str]:
    """Return columns whose headers are their own names."""
    return MappingProxyType({name: name for name in names})


DEFAULT: Columns = MappingProxyType(
    {
        "new": as_headers(
            "purchase_date",
            "order_id",
            "line_item_identifier",
            "currency",
            "total",
            "btn_ref",
            "customer_id",
            "customer_email_sha256",
            "line_item_total",
            "line_item_quantity",
            "line_item_sku",
            "line_item_category",
            "line_item_description",
        ),
        "changes": as_headers(
            "updated_date",
            "order_id",
            "line_item_identifier",
            "is_cancelled",
            "purchase_date",
            "currency",
            "total",
            "line_item_total",
            "line_item_quantity",
            "line_item_sku",
            "line_item_category",
            "line_item_description",
        ),
    }
)
MUST = (
    "be a dict with the key 'new', 'changes' or both. Each value is a dict from the "
    "header of a column to its field. One field must be order_id. The fields are: "
    f"{', '.join(COLUMNS)}"
)


def is_columns(value: object) -> bool:
    """Return whether a setting has valid columns for one or both kinds of file."""
    return (
        isinstance(value, Mapping)
        and value.keys() <= set(KINDS)
        and all(map(is_table, value.values()))
    )


def is_table(value: object) -> bool:
    """Return whether a value maps headers to known columns, order_id among them."""
    return (
        isinstance(value, Mapping)
        and all(isinstance(header, str) and header for header in value)
        and all(isinstance(name, str) and name in COLUMNS for name in value.values())
        and "order_id" in value.values()
    )


def is_brand(value: object) -> bool:
    """Return whether a value can begin the name of a file."""
    return isinstance(value, str) and bool(
        re.fullmatch("[A-Za-z0-9][\\w-]*", value, re.A)
    )
