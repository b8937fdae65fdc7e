"""Statistics as lines for people, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django_button_orders.management.held_back import HOW_TO_RESUME
from django_button_orders.monitoring.calls import Period
from django_button_orders.monitoring.current import Statistics
from django_button_orders.monitoring.orders import UNSETTLED, Amount
from django_button_orders.report.money import in_major_units

LARGEST_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def describe(statistics: Statistics) -> Iterator[str]:
    orders = statistics.orders
    yield f"Orders: {listed(orders.statuses)}"
    yield f"Pending: {listed(orders.states)}"
    for status in UNSETTLED:
        if amounts := orders.amounts(status):
            yield f"Amount {status}: {', '.join(map(money, amounts))}"
    if reasons := orders.reasons("failed"):
        yield f"Failed because: {listed(reasons)}"
    oldest, sweep = statistics.oldest_due, statistics.sweep_seconds
    yield "Oldest due: " + (
        f"order {oldest.order}, for {time(oldest.seconds)}" if oldest else "none"
    )
    yield f"Calls, 24 hours: {rates(statistics.day)}"
    yield f"Calls, 7 days: {rates(statistics.week)}"
    for account in statistics.paused:
        parts = (f"Paused: account {account}.", account.last_error, HOW_TO_RESUME)
        yield " ".join(filter(None, parts))
    yield f"Last sweep: {'never' if sweep is None else f'{time(sweep)} ago'}"
    yield f"Counted: {time(statistics.age)} ago"


def listed(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{number} {name.replace('_', ' ')}" for name, number in counts.items()
    )


def money(amount: Amount) -> str:
    value = in_major_units(amount.total, amount.currency)
    if value is None:
        return f"{amount.orders} of an unknown amount"
    return f"{value} {amount.currency}"


def rates(period: Period) -> str:
    if period.success_rate is None or period.median is None or period.p95 is None:
        return "none"
    return (
        f"{period.total}, {100 * period.success_rate:.1f} % succeeded, "
        f"median {period.median:.0f} ms, 95th percentile {period.p95:.0f} ms"
    )


def time(seconds: float) -> str:
    """Return a time in the largest unit of which there is one."""
    for size, unit in LARGEST_UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def as_dict(statistics: Statistics) -> dict[str, Any]:
    oldest = statistics.oldest_due
    return {
        "database": statistics.using,
        "age": round(statistics.age, 1),
        "orders": statistics.orders.statuses,
        "pending": statistics.orders.states,
        "failed": statistics.orders.reasons("failed"),
        "amounts": [
            amount_as_dict(amount)
            for status in UNSETTLED
            for amount in statistics.orders.amounts(status)
        ],
        "oldest_due": oldest
        and {"order_id": oldest.order.order_id, "seconds": round(oldest.seconds)},
        "calls": {
            "24h": period_as_dict(statistics.day),
            "7d": period_as_dict(statistics.week),
        },
        "paused": {
            account.account: account.last_error for account in statistics.paused
        },
        "last_sweep_seconds": statistics.sweep_seconds,
    }


def amount_as_dict(amount: Amount) -> dict[str, Any]:
    value = in_major_units(amount.total, amount.currency)
    return {
        "status": amount.status,
        "currency": amount.currency,
        # Text, which keeps the decimals that it has.
        "amount": None if value is None else str(value),
        "orders": amount.orders,
    }


def period_as_dict(period: Period) -> dict[str, Any]:
    return {
        **period.counts,
        "success_rate": period.success_rate,
        "median_ms": period.median,
        "p95_ms": period.p95,
    }
