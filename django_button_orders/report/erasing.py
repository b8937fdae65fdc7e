"""
Remove what is about the customer from a report, and keep what is about the money.

Account, order ID, amounts, dates, articles and the channel stay. The identifiers of
lines and articles are part of the amounts, so a shop must not put names into them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.report.objects import HALF, OrderReport
from django_button_orders.report.validation import clean_text

# What stays of a line item. Texts of the shop go: a gift's message may be among them.
KEPT_OF_LINE = (
    "identifier",
    "total",
    "amount",
    "quantity",
    "sku",
    "upc",
    "category",
)
# A marked digest ends with this. Other digests have no capitals.
UNTOLD = "U"
# The half of a digest that stands for a customer who was erased.
NO_CUSTOMER = "0" * HALF


def without_personal_data(report: OrderReport) -> OrderReport:
    """Return a report without customer, token, customer order ID and texts."""
    return replace(
        report,
        btn_ref="",
        customer_order_id="",
        customer=None,
        line_items=[
            replace(item, description="", attributes=None)  # type: ignore[type-var]  # cleaned
            for item in report.line_items or ()
        ],
    )


def erased_lines(lines: Any) -> list[dict[str, Any]] | None:
    """Return line items, which need not be valid, with ``KEPT_OF_LINE`` alone."""
    if not isinstance(lines, Sequence) or isinstance(lines, str):
        return None
    return [
        {name: line[name] for name in KEPT_OF_LINE if name in line}
        for line in lines
        if isinstance(line, Mapping)
    ]


def as_untold(digest: str) -> str:
    """Return a digest with a mark: Button still has to get what it stands for."""
    return digest[:-1] + UNTOLD


def without_customer(digest: str) -> str:
    """
    Return a digest without its half that is a hash of the customer.

    No report has such a digest, so the order still differs from what is wanted.
    """
    return digest[:HALF] + NO_CUSTOMER if len(digest) == 2 * HALF else digest


def hash_any_email(email: str) -> str:
    """
    Return the SHA-256 of an address as ``hash_email`` does, also of a dummy address.

    Raises ``ValidationError`` if it is no address. The error does not quote it.
    """
    normalized = clean_text(email).strip().lower()
    if "@" not in normalized:
        raise ValidationError("Enter an e-mail address.", code="required")
    return hashlib.sha256(normalized.encode()).hexdigest()
