"""Check a report for mistakes that are not about money."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db.models import Model

from django_button_orders.report.money import WITHDRAWN
from django_button_orders.report.objects import OrderReport, lines_of

FIRST_DATE = datetime(2000, 1, 1, tzinfo=timezone.utc)
# The clocks of two machines may differ by that.
TOLERANCE = timedelta(minutes=5)
# With a top-level domain, so that "Tee@Night" is none.
ADDRESS = re.compile(r"[^\s@](@|%40)[^\s@]+\.[^\W\d_]{2}")
HASHES_OF_NOTHING = {
    sha256(text.encode()).hexdigest()
    for text in ("", "None", "none", "null", "undefined", "nan", "false", "anonymous")
}
# Addresses that shops, and people in a hurry, enter instead of a customer's.
PLACEHOLDER_NAMES = (
    *("anonymous", "customer", "dummy", "email", "guest", "no-reply", "none"),
    *("noreply", "test", "user"),
)
PLACEHOLDER_DOMAINS = ("example.com", "example.org", "none.com", "test.com")
HASHES_OF_PLACEHOLDERS = {
    sha256(f"{name}@{domain}".encode()).hexdigest()
    for name in PLACEHOLDER_NAMES
    for domain in PLACEHOLDER_DOMAINS
}
WITHDRAWN_CODES = {code for codes in WITHDRAWN.values() for code in codes.split()}
# Names that shops give to the number that a customer sees.
NUMBER_FIELDS = (
    *("number", "order_number", "order_no", "reference", "order_reference", "ref"),
    *("code", "order_code", "display_id", "public_id", "invoice_number"),
)
# A ULID, the ID of a payment, or another text of 20 or more letters and digits.
RANDOM = re.compile(r"(?=\D*\d)(?=[^a-zA-Z]*[a-zA-Z])\w{20,}", re.ASCII)

#: What ``Findings.add`` takes beside the order ID: the code and the detail.
Mistake = tuple[str, str]


def check_texts(
    report: OrderReport, order: Model, *, now: datetime
) -> Iterator[Mistake]:
    """Yield the mistakes of a report. ``order`` is the shop's order."""
    yield from check_dates(report, now)
    yield from check_customer(report)
    yield from check_token(report.btn_ref or "")
    if report.currency in WITHDRAWN_CODES:
        yield "withdrawn_currency", report.currency
    for name, has_address in find_addresses(report).items():
        if has_address:
            yield "email_in_text", name
    if any(line.is_numbered for line in lines_of(report)):
        yield "repeated_identifier", ""
    if not report.customer_order_id and (why := explain_unseen_id(report, order)):
        yield "unseen_order_id", why


def check_dates(report: OrderReport, now: datetime) -> Iterator[Mistake]:
    if report.purchase_date > now + TOLERANCE:
        yield "future_date", ""
    if report.purchase_date < FIRST_DATE:
        yield "old_date", ""


def check_customer(report: OrderReport) -> Iterator[Mistake]:
    customer: Any = report.customer
    if customer is None:
        return
    if customer.has_dummy_email:
        yield "dummy_email", ""
    if customer.email_sha256 in HASHES_OF_NOTHING:
        yield "hash_of_nothing", ""
    if customer.email_sha256 in HASHES_OF_PLACEHOLDERS:
        yield "placeholder_email", ""


def check_token(token: str) -> Iterator[Mistake]:
    if token.startswith("org-"):
        yield "publisher_token", ""
    if token.startswith("fakesrctok-"):
        yield "fake_token", ""


def find_addresses(report: OrderReport) -> dict[str, bool]:
    """Return for each field with free text whether it has an e-mail address."""
    lines = lines_of(report)
    texts: dict[str, list[Any]] = {
        "order_id": [report.order_id],
        "customer_order_id": [report.customer_order_id],
        "identifier": [line.identifier for line in lines],
        "description": [line.description for line in lines],
        "sku": [line.sku for line in lines],
        "upc": [line.upc for line in lines],
        "category": [name for line in lines for name in line.category],
        "attributes": [
            text
            for line in lines
            for pair in (line.attributes or {}).items()
            for text in pair
        ],
    }
    return {
        name: any(ADDRESS.search(text) for text in found if text)
        for name, found in texts.items()
    }


def explain_unseen_id(report: OrderReport, order: Model) -> str:
    """Return why customers may not know the ID of an order, or ""."""
    order_id = str(report.order_id)
    if is_uuid(order_id):
        return "The ID is a UUID."
    if RANDOM.fullmatch(order_id):
        return "The ID looks random."
    if order_id != str(order.pk):
        return ""
    for name in NUMBER_FIELDS:
        number = getattr(order, name, None)
        if number and not callable(number) and str(number) != order_id:
            return f"The ID is the primary key, and the order has the field {name}."
    return ""


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
