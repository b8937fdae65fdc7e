"""
Invented orders in the shape of the shop's own, for the walk through Button's guide.

Button's guide "Validating Order Reporting" asks for fake attribution tokens:
``fakesrctok-`` and 16 hexadecimal digits, a new one for each test order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from secrets import token_hex

from django_button_orders.report.lines import spread
from django_button_orders.report.objects import (
    Customer,
    LineItem,
    OrderReport,
    lines_of,
)
from django_button_orders.report.validation import INT32_MAX, redact_email

CUSTOMER = "preflight-customer"
# The SHA-256 of preflight@example.com, which is nobody's address.
EMAIL_SHA256 = "994e2e45155118e6c0b0d15f0b5e712102f6e84eee306e26ce42515129a31dec"
DEVICE_ID = "00000000-0000-4000-8000-000000000000"
# How many of the shop's reports are looked at, because it may have few with two lines.
LOOKED_AT = 100
# Half of a smaller total may be nothing.
LEAST_TOTAL = 2
# A shorter ID may stand in a text by chance, as 42 does in "Size 42".
SHORTEST_REPLACED_ID = 4


def choose_samples(
    reports: Iterable[OrderReport], *, currency: str, now: datetime
) -> tuple[OrderReport, OrderReport]:
    """
    Return two invented orders: one with a fake token, and one without a token.

    ``reports`` are those of the shop's orders, the newest first. The first sample has
    the shape of the newest order with two or more lines, and the second that of the
    newest order. If no order has two lines, the first sample repeats the line of the
    newest one. A shop without orders gets orders in ``currency``.
    """
    newest = with_lines = None
    for report in islice(reports, LOOKED_AT):
        if report.total >= LEAST_TOTAL:
            newest = newest or report
            if len(report.line_items or ()) > 1:
                with_lines = report
                break
    newest = newest or make_order(currency, now)
    return (
        as_sample(
            with_lines or with_second_line(newest), now, btn_ref=make_fake_token()
        ),
        as_sample(newest, now, btn_ref=""),
    )


def with_second_line(report: OrderReport) -> OrderReport:
    """Return an order of one line with that line twice, so that one can be returned."""
    lines = lines_of(report)
    total = report.total + sum(line.total or 0 for line in lines)
    if len(lines) != 1 or not 0 < total <= INT32_MAX:
        return report
    other = replace(lines[0], identifier=f"{lines[0].identifier}-2")
    return replace(report, total=total, line_items=[*lines, other])


def make_fake_token() -> str:
    """Return a new fake attribution token, as Button's guide describes them."""
    return f"fakesrctok-{token_hex(8)}"


def make_order(currency: str, now: datetime) -> OrderReport:
    """Return a small order, for a shop that has none yet."""
    return OrderReport(
        order_id="1",
        total=4500,
        currency=currency,
        purchase_date=now,
        customer=Customer(id=CUSTOMER, email_sha256=EMAIL_SHA256, is_new=False),
        line_items=[
            LineItem(
                identifier=name,
                sku=name,
                amount=1500,
                quantity=quantity,
                category=["Preflight"],
                description=f"An article for tests ({name})",
            )
            for name, quantity in (("preflight-a", 2), ("preflight-b", 1))
        ],
    )


def as_sample(report: OrderReport, now: datetime, *, btn_ref: str) -> OrderReport:
    """
    Return an invented order with the articles and the fields of a real one.

    It has its own IDs, and an invented customer where the real one has a customer. The
    IDs of the real order and its customer, and e-mail addresses, are replaced in its
    lines.
    """
    order_id = f"preflight-{now:%Y%m%d}-{token_hex(4)}"
    replaced = dict.fromkeys(find_ids(report), order_id)
    return replace(
        report,
        order_id=order_id,
        purchase_date=now,
        btn_ref=btn_ref,
        customer_order_id=f"{order_id}-c" if report.customer_order_id else "",
        customer=as_invented(report.customer),
        line_items=[clean_line(line, replaced) for line in lines_of(report)],
        # A date of the real order may have passed: Button would refuse each change.
        finalization_date=None,
    )


def find_ids(report: OrderReport) -> list[str]:
    """Return the IDs of an order and its customer, the longest first."""
    customer = report.customer
    values = customer.as_dict() if isinstance(customer, Customer) else {}
    ids = [report.order_id, report.customer_order_id, report.btn_ref, *values.values()]
    texts = {name for name in ids if isinstance(name, str)}
    long_enough = (name for name in texts if len(name) >= SHORTEST_REPLACED_ID)
    # A short one may be a part of a longer one.
    return sorted(long_enough, key=len, reverse=True)


def as_invented(customer: Customer | Mapping[str, object] | None) -> Customer | None:
    """Return an invented customer with the fields that a real one has."""
    if not isinstance(customer, Customer):
        return None
    return Customer(
        id=CUSTOMER if customer.id else "",
        email_sha256=EMAIL_SHA256 if customer.email_sha256 else "",
        device_id=DEVICE_ID if customer.device_id else "",
        is_new=None if customer.is_new is None else False,
    )


def clean_line(line: LineItem, replaced: Mapping[str, str]) -> LineItem:
    """Return a line without e-mail addresses, and with some words replaced."""

    def clean(text: object) -> str:
        cleaned = redact_email(str(text))
        for word, by in replaced.items():
            cleaned = cleaned.replace(word, by)
        return cleaned

    attributes = line.attributes or {}
    return replace(
        line,
        identifier=clean(line.identifier),
        sku=clean(line.sku),
        upc=clean(line.upc),
        description=clean(line.description),
        category=[clean(name) for name in line.category],
        attributes={key: clean(value) for key, value in attributes.items()} or None,
    )


def after_partial_return(report: OrderReport) -> OrderReport:
    """
    Return an order after a part of it was returned.

    Its last line is gone if others remain and the total allows it. Otherwise the total
    is halved, as for a refund without a returned article, and each line bears a share.
    """
    lines = lines_of(report)
    for line in reversed(lines):
        others = [other for other in lines if other is not line]
        returned = line.total or 0
        if others and 0 < returned < report.total:
            return replace(report, total=report.total - returned, line_items=others)
    refund = report.total - report.total // 2
    if refund <= sum(line.total or 0 for line in lines):
        shares = spread(refund, over=lines)
        lines = tuple(
            replace(line, total=(line.total or 0) - share, amount=None)
            for line, share in zip(lines, shares, strict=True)
        )
    return replace(report, total=report.total - refund, line_items=lines)
