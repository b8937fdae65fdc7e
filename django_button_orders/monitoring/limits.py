"""Compare the figures of a database with the limits that an operator has set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django_button_orders.models import ButtonOrder
from django_button_orders.monitoring.current import Statistics

Status = ButtonOrder.Status


@dataclass(frozen=True, kw_only=True)
class Limits:
    """
    Limits, which are exceeded from their value on. None means no limit.

    ``oldest_due``, ``no_sweep`` and ``closing_unsent`` are seconds. ``success_below``
    is a percentage of the calls of the last 24 hours.
    """

    oldest_due: float | None = None
    no_sweep: float | None = None
    due: int | None = None
    stuck: int | None = None
    failed: int | None = None
    success_below: float | None = None
    paused: bool = False
    closing_unsent: float | None = None

    def find_exceeded(self, statistics: Statistics) -> Iterator[str]:
        """Yield a sentence for each exceeded limit."""
        yield from self.find_exceeded_times(statistics)
        yield from self.find_exceeded_numbers(statistics)
        yield from self.find_closing(statistics.using)
        if self.paused:
            for account in statistics.paused:
                yield f"Account {account} is paused."

    def find_exceeded_times(self, statistics: Statistics) -> Iterator[str]:
        oldest, sweep = statistics.oldest_due, statistics.sweep_seconds
        if oldest is not None and reaches(oldest.seconds, self.oldest_due):
            yield (
                f"An order has been due for {oldest.seconds:.0f} seconds "
                f"(limit: {self.oldest_due:.0f})."
            )
        if self.no_sweep is not None and sweep is None:
            yield "No sweep has run yet."
        if sweep is not None and reaches(sweep, self.no_sweep):
            yield (
                f"The last sweep was {sweep:.0f} seconds ago "
                f"(limit: {self.no_sweep:.0f})."
            )

    def find_exceeded_numbers(self, statistics: Statistics) -> Iterator[str]:
        states = statistics.orders.states
        numbers = {
            "due": (states["due"], self.due),
            "stuck": (states["stuck"], self.stuck),
            "failed": (statistics.orders.statuses[Status.FAILED], self.failed),
        }
        for name, (number, limit) in numbers.items():
            if reaches(number, limit):
                yield f"{name.capitalize()} orders: {number} (limit: {limit})."
        rate, least = statistics.day.success_rate, self.success_below
        if rate is not None and least is not None and 100 * rate < least:
            yield (
                f"{100 * rate:.1f} % of the calls of the last 24 hours succeeded "
                f"(limit: {least:g} %)."
            )

    def find_closing(self, using: str) -> Iterator[str]:
        """Yield a sentence if change windows close within ``closing_unsent``."""
        if self.closing_unsent is None:
            return
        orders = ButtonOrder.objects.using(using)
        number = orders.closing_unsent(self.closing_unsent).count()
        if number:
            yield (
                f"Change windows that close with a change unsent: {number} "
                f"(limit: within {self.closing_unsent:.0f} seconds)."
            )


def reaches(number: float, limit: float | None) -> bool:
    return limit is not None and number >= limit
