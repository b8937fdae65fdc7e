"""Name the figures for monitoring systems, and print them for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from django_button_orders.monitoring.current import Statistics
from django_button_orders.monitoring.orders import UNSETTLED, Amount
from django_button_orders.report.money import in_major_units

ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels = Mapping[str, str]
Value = float | Decimal


class Metric(NamedTuple):
    """
    The name, the description, the unit and the labels of a figure.

    Figures of a database also have the label ``database``.
    """

    name: str
    description: str
    unit: str = ""
    labels: tuple[str, ...] = ()


class Sample(NamedTuple):
    metric: Metric
    labels: Labels
    value: Value


ORDERS = Metric("button_orders_orders", "Orders by status.", labels=("status",))
PENDING = Metric(
    "button_orders_pending",
    "Pending orders by state. Stuck orders count as due.",
    labels=("state",),
)
OTHER_SITES = Metric(
    "button_orders_other_sites",
    "Pending orders that another site reports.",
    labels=("site",),
)
AMOUNT = Metric(
    "button_orders_amount",
    "Unreported amount, in major units.",
    labels=("status", "currency"),
)
LATE_TOKENS = Metric(
    "button_orders_late_tokens",
    "Orders reported without their current attribution token.",
)
LATE_RETURNS = Metric(
    "button_orders_late_returns",
    "Returns that came after the change window, in major units.",
    labels=("currency",),
)
CLOSING_UNSENT = Metric(
    "button_orders_closing_unsent",
    "Orders whose change window closes within 24 hours, with a change unsent.",
)
OLDEST_DUE = Metric(
    "button_orders_oldest_due_seconds",
    "Time since the oldest due order became due, or 0.",
    "s",
)
CALLS = Metric(
    "button_orders_calls", "Calls to Button by outcome.", labels=("window", "outcome")
)
SUCCESS = Metric(
    "button_orders_success_ratio",
    "Share of calls to Button that succeeded.",
    "1",
    labels=("window",),
)
DURATION = Metric(
    "button_orders_call_duration_seconds",
    "Duration of calls to Button.",
    "s",
    labels=("window", "quantile"),
)
PAUSED = Metric(
    "button_orders_paused_accounts", "Paused accounts: Button refused their API key."
)
SWEEP = Metric(
    "button_orders_last_sweep_age_seconds", "Time since the last sweep.", "s"
)
PING = Metric(
    "button_orders_ping_ok",
    "1 if Button accepts the API key of the account, else 0.",
    labels=("account",),
)
AGE = Metric(
    "button_orders_figures_age_seconds", "Time since the orders were counted.", "s"
)
METRICS = (
    *(ORDERS, PENDING, OTHER_SITES, AMOUNT, LATE_TOKENS),
    *(LATE_RETURNS, CLOSING_UNSENT, OLDEST_DUE),
    *(CALLS, SUCCESS, DURATION),
    *(PAUSED, SWEEP, AGE, PING),
)


def make_samples(statistics: Statistics) -> Iterator[Sample]:
    database = {"database": statistics.using}
    for metric, labels, value in database_samples(statistics):
        yield Sample(metric, {**database, **labels}, value)


def database_samples(statistics: Statistics) -> Iterator[Sample]:
    for status, number in statistics.orders.statuses.items():
        yield Sample(ORDERS, {"status": status}, number)
    for state, number in statistics.orders.states.items():
        yield Sample(PENDING, {"state": state}, number)
    for site, number in statistics.orders.other_sites.items():
        yield Sample(OTHER_SITES, {"site": site}, number)
    yield from amount_samples(statistics)
    yield Sample(LATE_TOKENS, {}, statistics.orders.late_tokens)
    yield Sample(CLOSING_UNSENT, {}, statistics.orders.closing.orders)
    oldest, sweep = statistics.oldest_due, statistics.sweep_seconds
    yield Sample(OLDEST_DUE, {}, oldest.seconds if oldest else 0)
    yield from call_samples(statistics)
    yield Sample(PAUSED, {}, len(statistics.paused))
    if sweep is not None:
        yield Sample(SWEEP, {}, sweep)
    yield Sample(AGE, {}, statistics.age)


def amount_samples(statistics: Statistics) -> Iterator[Sample]:
    orders = statistics.orders
    for status in UNSETTLED:
        for labels, value in money_by_currency(orders.amounts(status)):
            yield Sample(AMOUNT, {"status": status.value, **labels}, value)
    for labels, value in money_by_currency(orders.late_returns):
        yield Sample(LATE_RETURNS, labels, value)


def money_by_currency(amounts: Iterable[Amount]) -> Iterator[tuple[Labels, Decimal]]:
    """Yield the label and the major units of the amounts of a known currency."""
    for amount in amounts:
        value = in_major_units(amount.total, amount.currency)
        if value is not None:
            yield {"currency": amount.currency or ""}, value


def call_samples(statistics: Statistics) -> Iterator[Sample]:
    for window, period in {"24h": statistics.day, "7d": statistics.week}.items():
        for outcome, number in period.counts.items():
            yield Sample(CALLS, {"window": window, "outcome": outcome}, number)
        if period.success_rate is not None:
            yield Sample(SUCCESS, {"window": window}, period.success_rate)
        for quantile, milliseconds in {
            "0.5": period.median,
            "0.95": period.p95,
        }.items():
            if milliseconds is not None:
                labels = {"window": window, "quantile": quantile}
                yield Sample(DURATION, labels, milliseconds / 1000)


def as_prometheus(samples: Iterable[Sample]) -> Iterator[str]:
    """Yield the lines of Prometheus' text format, grouped by metric."""
    found = list(samples)
    for metric in METRICS:
        lines = [sample for sample in found if sample.metric == metric]
        if lines:
            yield f"# HELP {metric.name} {metric.description}"
            yield f"# TYPE {metric.name} gauge"
        for _, labels, value in lines:
            pairs = [
                f'{name}="{text.translate(ESCAPES)}"' for name, text in labels.items()
            ]
            yield f"{metric.name}{{{','.join(pairs)}}} {value}"
