from __future__ import annotations

import argparse
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import (
    CommandError,
    CommandParser,
    SystemCheckError,
)
from django.db import Error

from django_button_orders.conf import account_names
from django_button_orders.delivery.troubles import Trouble
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    counted,
    progress_bar,
)
from django_button_orders.management.exit_statuses import NOT_DONE, UNKNOWN
from django_button_orders.management.options.values import positive, seconds
from django_button_orders.management.unfinished import how_to_resume
from django_button_orders.models.databases import MissingTablesError, database_aliases
from django_button_orders.monitoring.alerts import (
    Alert,
    find_alerts,
    find_site_alerts,
)
from django_button_orders.monitoring.calls import Period
from django_button_orders.monitoring.current import Statistics, find_statistics
from django_button_orders.monitoring.limits import Limits
from django_button_orders.monitoring.metrics import (
    PING,
    Sample,
    as_prometheus,
    make_samples,
)
from django_button_orders.monitoring.orders import (
    UNSETTLED,
    Amount,
    Orders,
    find_example,
)
from django_button_orders.monitoring.ping import Ping, ping
from django_button_orders.monitoring.snapshot import closing_as_json
from django_button_orders.report.money import in_major_units

WHY = {"failed": "Failed because", "pending": "Pending because"}
LARGEST_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


class Command(ButtonOrdersCommand):
    help = (
        "Shows the state of the reporting: the backlog, the oldest due "
        "order, the paused accounts and the last sweep. It also counts the "
        "calls of a day and a week."
    )
    examples = """\
  manage.py button_orders_status
  manage.py button_orders_status --ping
  manage.py button_orders_status --fail-if-oldest-due 15m --fail-if-failed 10
  manage.py button_orders_status --fail-if-no-sweep 10m --format json
  manage.py button_orders_status --fail-if-closing-unsent 24h
  manage.py button_orders_status --format prometheus > button_orders.prom
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format",
            choices=["text", "json", "prometheus"],
            default="text",
            help="the format of the output (default: %(default)s)",
        )
        parser.add_argument(
            "--ping",
            action="store_true",
            help="test the API key of each account: ask Button for an order that "
            "cannot exist; nothing is created",
        )
        limits = parser.add_argument_group("limits (exit status 1 when exceeded)")
        limits.add_argument(
            "--fail-if-oldest-due",
            type=seconds,
            dest="oldest_due",
            metavar="TIME",
            help="fail if an order has been due for TIME or longer: 90s, 15m, 2h, 1d",
        )
        limits.add_argument(
            "--fail-if-no-sweep",
            type=seconds,
            dest="no_sweep",
            metavar="TIME",
            help="fail if no sweep has run within TIME",
        )
        limits.add_argument(
            "--fail-if-closing-unsent",
            type=seconds,
            dest="closing_unsent",
            metavar="TIME",
            help="fail if Button stops accepting changes to an order within TIME, and "
            "a change of it is unsent",
        )
        for name, what in {
            "due": "are due",
            "stuck": "are stuck: due for more than 10 minutes, or their worker died",
            "failed": "have failed",
        }.items():
            limits.add_argument(
                f"--fail-if-{name}",
                type=positive,
                dest=name,
                metavar="N",
                help=f"fail if N or more orders {what}",
            )
        limits.add_argument(
            "--fail-if-success-below",
            type=percent,
            dest="success_below",
            metavar="PERCENT",
            help="fail if less than PERCENT of the calls in 24 hours succeeded",
        )
        limits.add_argument(
            "--fail-if-paused",
            action="store_true",
            dest="paused",
            help="fail if an account is paused",
        )
        limits.add_argument(
            "--fail-if-warned",
            action="store_true",
            dest="warned",
            help="fail if there is a warning about the settings or the sweep",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (Error, ImproperlyConfigured) as exc:
            raise CommandError(str(exc), returncode=UNKNOWN) from exc
        except CommandError as exc:
            causes = (Error, MissingTablesError)
            if isinstance(exc, SystemCheckError) or isinstance(exc.__cause__, causes):
                exc.returncode = UNKNOWN
            raise

    def handle(self, *, format: str, warned: bool, **options: Any) -> None:
        limits = Limits(**{item.name: options[item.name] for item in fields(Limits)})
        state = State(
            databases=[find_statistics(alias) for alias in database_aliases()],
            pings=self.ping(account_names()) if options["ping"] else [],
        )
        passed = [
            *state.find_exceeded(limits),
            *(alert.message for alert in state.alerts if warned),
        ]
        if format == "json":
            self.stdout.write(json.dumps({**state.as_dict(), "passed": passed}))
        elif format == "prometheus":
            self.print_lines(state.as_prometheus())
        else:
            self.print_lines(state.as_text())
        if passed:
            raise CommandError(" ".join(passed), returncode=NOT_DONE)
        if format == "text" and (options["ping"] or warned or limits != Limits()):
            self.stdout.write("No limit is exceeded.")

    def ping(self, accounts: Collection[str]) -> list[Ping]:
        """Ask Button with the key of each account, which may take half a minute."""
        unit, total = " accounts", len(accounts)
        with progress_bar(self.stderr, "Asking Button", total, unit=unit) as bar:
            pings = []
            for account in accounts:
                pings.append(ping(account))
                bar.update()
        return pings


@dataclass(frozen=True, kw_only=True)
class State:
    """Statistics and pings, which can be printed in three formats."""

    databases: list[Statistics]
    pings: list[Ping]

    @cached_property
    def alerts(self) -> list[Alert]:
        return [
            *find_alerts(item.using for item in self.databases),
            *find_site_alerts(self.databases),
        ]

    def find_exceeded(self, limits: Limits) -> Iterator[str]:
        """Yield a sentence for each limit that is exceeded, and each failed ping."""
        for statistics in self.databases:
            yield from limits.find_exceeded(statistics)
        for item in self.pings:
            if not item.is_ok:
                yield f"Ping of {item.account}: {item.message}"

    def as_text(self) -> Iterator[str]:
        for statistics in self.databases:
            if len(self.databases) > 1:
                yield f"Database: {statistics.using}"
            yield from text_lines(statistics)
        for item in self.pings:
            took = "" if item.seconds is None else f" {1000 * item.seconds:.0f} ms."
            yield f"Ping of {item.account}: {item.message}{took}"
        for alert in self.alerts:
            yield f"Warning: {alert.message}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "databases": [as_dict(statistics) for statistics in self.databases],
            "pings": [asdict(item) for item in self.pings],
            "warnings": [alert._asdict() for alert in self.alerts],
        }

    def as_prometheus(self) -> Iterator[str]:
        samples = [
            sample
            for statistics in self.databases
            for sample in make_samples(statistics)
        ]
        samples += [
            Sample(PING, {"account": item.account}, int(item.is_ok))
            for item in self.pings
        ]
        return as_prometheus(samples)


def percent(text: str) -> float:
    """Parse a number from 0 to 100."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) is None or float(text) > 100:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 100")
    return float(text)


# As text


def text_lines(statistics: Statistics) -> Iterator[str]:
    """Yield the lines of one database for people."""
    orders = statistics.orders
    yield f"Orders: {listed(orders.statuses)}"
    yield f"Pending: {listed(orders.states)}"
    for status in UNSETTLED:
        if amounts := orders.amounts(status):
            yield f"Unreported amount, {status}: {', '.join(map(money, amounts))}"
    for name, title in WHY.items():
        if reasons := find_reasons(statistics, name):
            words = ", ".join(reason.describe(with_error=False) for reason in reasons)
            yield f"{title}: {words}"
    yield from window_lines(orders)
    if orders.late_tokens:
        yield f"Reported without their current attribution token: {orders.late_tokens}"
    oldest, sweep = statistics.oldest_due, statistics.sweep_seconds
    yield "Oldest due: " + (
        f"order {oldest.order}, for {duration(oldest.seconds)}" if oldest else "none"
    )
    yield f"Calls, 24 hours: {rates(statistics.day)}"
    yield f"Calls, 7 days: {rates(statistics.week)}"
    for account in statistics.paused:
        what = f"Paused: account {account}."
        # Button's own words need not be a sentence.
        error = f"{account.last_error.rstrip('.')}." if account.last_error else ""
        todo = how_to_resume(account.account)
        yield " ".join(filter(None, [what, error, todo]))
    yield f"Last sweep: {'never' if sweep is None else f'{duration(sweep)} ago'}"
    yield f"Counted: {duration(statistics.age)} ago"


def window_lines(orders: Orders) -> Iterator[str]:
    """Yield a line about change windows that close, and one about those that have."""
    closing, late = orders.closing, orders.late_returns
    if closing.first is not None:
        first = f"{closing.first:%Y-%m-%d %H:%M %Z}"
        yield f"Closing within 24 hours, change unsent: {closing.orders}, first {first}"
    if late:
        yield f"Returns that came too late: {', '.join(map(money, late))}"


def find_reasons(statistics: Statistics, status: str) -> list[Trouble]:
    """Return the reasons of a status, the most frequent first, each with an order."""
    using, found = statistics.using, []
    for reason, number in statistics.orders.reasons(status).items():
        example = find_example(using, status=status, reason=reason)
        order_id = "" if example is None else example.order_id
        found.append(Trouble(reason=reason, order_id=order_id, number=number))
    return found


def examples_as_dict(statistics: Statistics, status: str) -> dict[str, str]:
    """Return the ID of an order for each reason of a status."""
    return {
        reason.reason: reason.order_id for reason in find_reasons(statistics, status)
    }


def listed(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{number} {name.replace('_', ' ')}" for name, number in counts.items()
    )


def money(amount: Amount) -> str:
    value = in_major_units(amount.total, amount.currency)
    if value is None:
        return f"{counted(amount.orders, 'order')} of an unknown amount"
    return f"{value} {amount.currency}"


def rates(period: Period) -> str:
    if period.success_rate is None or period.median is None or period.p95 is None:
        return "none"
    return (
        f"{period.total}, {100 * period.success_rate:.1f} % succeeded, "
        f"median {period.median:.0f} ms, 95th percentile {period.p95:.0f} ms"
    )


def duration(seconds: float) -> str:
    """Return a duration in the largest unit of which it has at least 1."""
    for size, unit in LARGEST_UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def as_dict(statistics: Statistics) -> dict[str, Any]:
    """Return the statistics of one database as JSON values."""
    oldest = statistics.oldest_due
    return {
        "database": statistics.using,
        "age": round(statistics.age, 1),
        "orders": statistics.orders.statuses,
        "pending": statistics.orders.states,
        "other_sites": statistics.orders.other_sites,
        "failed": statistics.orders.reasons("failed"),
        "late_tokens": statistics.orders.late_tokens,
        "late_returns": [
            amount_as_dict(amount) for amount in statistics.orders.late_returns
        ],
        "closing_unsent": closing_as_json(statistics.orders.closing),
        "failed_examples": examples_as_dict(statistics, "failed"),
        "waiting": statistics.orders.reasons("pending"),
        "waiting_examples": examples_as_dict(statistics, "pending"),
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
        # A text keeps the decimals, which a JSON number would lose.
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
