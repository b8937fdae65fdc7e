"""Check the total of a report against its lines, and against the shop's amounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django_button_orders.monitoring.preflight.texts import Mistake
from django_button_orders.outbox.adapters import OrderAdapter
from django_button_orders.report.objects import OrderReport
from django_button_orders.report.privacy import describe_for_list


class Amounts(NamedTuple):
    """What the optional hooks return: minor units, or None if it is not known."""

    gross_total: int | None = None
    tax: int | None = None
    delivery: int | None = None


class HookError(Exception):
    """A hook has raised, or returned no amount. The text says which and why."""


def ask_amounts(adapter: OrderAdapter, order: Any) -> Amounts:
    """Call the optional hooks of an adapter. Raises ``HookError``."""
    return Amounts(*(ask_amount(adapter, name, order) for name in Amounts._fields))


def ask_amount(adapter: OrderAdapter, name: str, order: Any) -> int | None:
    doing = f"{adapter.name}.{name}"
    try:
        amount = getattr(adapter, name)(order)
    except Exception as exc:
        raise HookError(describe_for_list(exc, doing)) from exc
    if amount is None or type(amount) is int:
        return amount
    raise HookError(f"{doing} returned {type(amount).__name__}.")


def check_amounts(report: OrderReport, amounts: Amounts) -> Iterator[Mistake]:
    """Yield the mistakes about the money of a report, of each sort at most one."""
    lines = report.lines_total
    if lines is not None and lines != report.total:
        yield "lines_differ", ""
    if code := find_excess(report.total, amounts, lines):
        yield code, ""
    elif is_above_net(report, amounts):
        yield "total_above_net", ""


def find_excess(total: int, amounts: Amounts, lines: int | None) -> str:
    """
    Return the code of what a total contains beside the goods, or "".

    An equation can only hold by accident if what is said to be contained is 0.
    """
    gross, tax, delivery = amounts.gross_total, amounts.tax or 0, amounts.delivery or 0
    if gross is not None and total > gross:
        return "total_above_gross"
    if gross is not None and total == gross:
        # The amounts may be equal where the shop says that it adds nothing.
        is_unknown = amounts.tax is None and amounts.delivery is None
        return "total_is_gross" if tax or delivery or is_unknown else ""
    if delivery and total in without_none(minus(gross, tax), plus(lines, delivery)):
        return "total_has_delivery"
    if tax and total in without_none(minus(gross, delivery), plus(lines, tax)):
        return "total_has_tax"
    if tax and delivery and total == plus(lines, tax + delivery):
        return "total_is_gross"
    return ""


def is_above_net(report: OrderReport, amounts: Amounts) -> bool:
    """
    Return whether a total contains a part of the tax or of the delivery.

    The shop may have rounded each line.
    """
    if amounts.gross_total is None:
        return False
    net = amounts.gross_total - (amounts.tax or 0) - (amounts.delivery or 0)
    return report.total > net + max(len(report.line_items or ()), 1)


def plus(amount: int | None, other: int) -> int | None:
    return None if amount is None else amount + other


def minus(amount: int | None, other: int) -> int | None:
    return None if amount is None else amount - other


def without_none(*amounts: int | None) -> list[int]:
    return [amount for amount in amounts if amount is not None]
