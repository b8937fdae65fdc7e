"""
The panel above the list: sentences, alerts, paused accounts, figures and a chart.

All numbers come from ``monitoring``. The chart has the calls of the last 24 hours, and
the template draws it as SVG.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from django_button_orders.admin import formatting
from django_button_orders.admin.base import UrlsMixin
from django_button_orders.admin.explain import explain_pause
from django_button_orders.admin.filters import STATES, UNKNOWN
from django_button_orders.admin.formatting import format_age, format_due
from django_button_orders.admin.standing import resume_buttons
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.monitoring.alerts import find_alerts, find_site_alerts
from django_button_orders.monitoring.calls import Durations, Period
from django_button_orders.monitoring.current import (
    DAY_HOURS,
    OldestDue,
    find_statistics,
)
from django_button_orders.monitoring.orders import Amount, Closing, Orders

Status = ButtonOrder.Status

REASONS = dict(ButtonOrder.Reason.choices)
NEEDS_A_PERSON = ngettext_lazy(
    "%(number)s order failed and needs attention.",
    "%(number)s orders failed and need attention.",
    "count",
)
STUCK = ngettext_lazy(
    "%(number)s order is stuck: it should have been reported by now.",
    "%(number)s orders are stuck: they should have been reported by now.",
    "count",
)
WAITING = ngettext_lazy(
    "%(number)s order is waiting to be reported.",
    "%(number)s orders are waiting to be reported.",
    "count",
)
OF_OTHER_SITES = ngettext_lazy(
    "%(number)s of them is not reported from here, because another site reports it.",
    "%(number)s of them are not reported from here, because another site reports them.",
    "count",
)
LATE_TOKENS = ngettext_lazy(
    "%(number)s order was reported without its current attribution token.",
    "%(number)s orders were reported without their current attribution tokens.",
    "count",
)
CLOSING_UNSENT = ngettext_lazy(
    "The change window of %(number)s order closes within 24 hours, and its change is "
    "unsent (%(first)s).",
    "The change windows of %(number)s orders close within 24 hours, and their changes "
    "are unsent (the first: %(first)s).",
    "count",
)
UNKNOWN_AMOUNT = ngettext_lazy(
    "%(number)s order of an unknown amount",
    "%(number)s orders of unknown amounts",
    "count",
)

# The chart's size in the units of its drawing, which the page scales.
WIDTH = 480
HEIGHT = 100
GAP = 4
# The least height of a block, so that one failed call among many can be seen.
MIN_HEIGHT = 2

Outcome = Submission.Outcome
# The blocks of a bar from bottom to top: failed calls stand out at the top.
STACK = (Outcome.SUCCEEDED, Outcome.WILL_RETRY, Outcome.FAILED)


class PanelMixin(UrlsMixin):
    """Show the panel above the list."""

    change_list_template = "admin/django_button_orders/buttonorder/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # The page of an action has no panel, so its figures are found only if shown.
        panel: Any = SimpleLazyObject(lambda: self.panel_context(request))
        return super().changelist_view(
            request, {"panel": panel, **(extra_context or {})}
        )

    def panel_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return the context of the panel, about the database that the list reads."""
        statistics = find_statistics(self.get_queryset(request).db)
        list_url = self.url("changelist")
        return {
            "list_url": list_url,
            "has_orders": any(statistics.orders.statuses.values()),
            "sentences": list(summarize(statistics.orders, list_url)),
            "alerts": [
                *find_alerts([statistics.using]),
                *find_site_alerts([statistics]),
            ],
            "closing": closing_figure(statistics.orders.closing, list_url),
            "paused": [
                self.paused_context(request, account) for account in statistics.paused
            ],
            "figures": list(status_figures(statistics.orders, list_url)),
            "amounts": list(amount_figures(statistics.orders, list_url)),
            "late_returns": list(late_figures(statistics.orders, list_url)),
            "oldest": self.oldest_context(statistics.oldest_due),
            "periods": [
                (_("Last 24 hours"), period_context(statistics.day)),
                (_("Last 7 days"), period_context(statistics.week)),
            ],
            "chart": draw_chart(dict(list(statistics.hours.items())[-DAY_HOURS:])),
            # Without an age, all figures are of now, as the list is.
            "counted": format_seconds_ago(statistics.age or None),
            "sweep": format_seconds_ago(statistics.sweep_seconds),
        }

    def paused_context(
        self, request: HttpRequest, account: PausedAccount
    ) -> dict[str, Any]:
        return {
            "standing": explain_pause(account),
            "error": account.last_error,
            "buttons": resume_buttons(request, account, self.admin_site),
        }

    def oldest_context(self, oldest: OldestDue | None) -> dict[str, Any] | None:
        if oldest is None:
            return None
        return {
            "order": oldest.order,
            "url": self.url("change", oldest.order.pk),
            "due": format_due(timedelta(seconds=oldest.seconds)),
        }


def format_seconds_ago(seconds: float | None) -> str:
    return "" if seconds is None else format_age(timedelta(seconds=seconds))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its name, and the URL of the list of what it counts."""

    name: Any = ""
    number: str
    url: str
    status: str = ""
    parts: tuple[Figure, ...] = ()


def filtered_url(list_url: str, **parameters: str) -> str:
    """Return the URL of the list with filters."""
    return f"{list_url}?{urlencode(parameters)}"


def format_counted(sentence: Any, count: int, **names: str) -> str:
    """Return a sentence with a number filled in, in its singular or plural."""
    number = formatting.format_count(count)
    return str(sentence % {"count": count, "number": number, **names})


def summarize(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield a sentence for each kind of orders that are not, or wrongly, reported."""
    failed, pending = Status.FAILED.value, Status.PENDING.value
    others = sum(orders.other_sites.values())
    late = "will_retry"
    # Those of other sites are a part of those that wait, so they stand below them.
    for sentence, count, parameters, colour in (
        (NEEDS_A_PERSON, orders.statuses[failed], {"status__exact": failed}, failed),
        (STUCK, orders.states["stuck"], {"state": "stuck"}, failed),
        (WAITING, orders.statuses[pending], {"status__exact": pending}, pending),
        (OF_OTHER_SITES, others, {"state": "of_other_sites"}, late),
        (LATE_TOKENS, orders.late_tokens, {"token": "late"}, late),
    ):
        if count:
            is_failed = sentence is NEEDS_A_PERSON
            yield Figure(
                number=format_counted(sentence, count),
                url=filtered_url(list_url, **parameters),
                status=colour,
                parts=tuple(reason_figures(orders, list_url)) if is_failed else (),
            )


def closing_figure(closing: Closing, list_url: str) -> Figure | None:
    """Return a warning of windows that close with a change unsent, or None."""
    if closing.first is None:
        return None
    first = formatting.format_datetime(closing.first)
    return Figure(
        number=format_counted(CLOSING_UNSENT, closing.orders, first=first),
        url=filtered_url(list_url, state="closing_unsent"),
    )


def status_figures(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield the number of orders of each status, and of each state or reason in it."""
    parts = {
        Status.PENDING: state_figures(orders, list_url),
        Status.FAILED: reason_figures(orders, list_url),
    }
    for status in Status:
        yield Figure(
            name=status.label,
            number=formatting.format_count(orders.statuses[status]),
            url=filtered_url(list_url, status__exact=status.value),
            status=status.value,
            parts=tuple(parts.get(status, ())),
        )


def state_figures(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield the number of pending orders in each state."""
    for state, number in orders.states.items():
        url = filtered_url(list_url, state=state)
        yield Figure(
            name=STATES[state], number=formatting.format_count(number), url=url
        )


def reason_figures(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield the number of failed orders for each reason."""
    status = Status.FAILED.value
    for reason, number in orders.reasons(status).items():
        yield Figure(
            name=REASONS.get(reason, reason),
            number=formatting.format_count(number),
            url=filtered_url(list_url, status__exact=status, reason__exact=reason),
        )


def amount_figures(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield the unreported amounts by currency: of pending, then of failed orders."""
    names = {Status.PENDING: _("Waiting"), Status.FAILED: _("Failed")}
    for status, name in names.items():
        for amount in orders.amounts(status):
            yield Figure(
                name=name,
                number=format_amount(amount),
                url=filtered_url(
                    list_url,
                    status__exact=status.value,
                    currency=amount.currency or UNKNOWN,
                ),
                status=status.value,
            )


def late_figures(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield the money of returns that came too late, by currency."""
    status = Status.CLOSED.value
    for amount in orders.late_returns:
        # Closed orders of an unknown amount have a currency.
        filters = {"currency": amount.currency} if amount.currency else {}
        yield Figure(
            name=Status.CLOSED.label,
            number=format_amount(amount),
            url=filtered_url(list_url, status__exact=status, **filters),
            status=status,
        )


def format_amount(amount: Amount) -> str:
    if not amount.currency:
        return format_counted(UNKNOWN_AMOUNT, amount.orders)
    return formatting.format_money(amount.total, amount.currency)


def period_context(period: Period) -> dict[str, str]:
    """Return a period's calls, success rate and durations as texts."""
    return {
        "total": formatting.format_count(period.total),
        "success_rate": formatting.format_percentage(period.success_rate),
        "median": formatting.format_milliseconds(period.median),
        "p95": formatting.format_milliseconds(period.p95),
    }


@dataclass(frozen=True, kw_only=True)
class Block:
    """The part of a bar for one outcome."""

    outcome: str
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """The calls of one hour; ``counts`` are in the order of ``STACK``."""

    hour: datetime
    counts: list[int]
    x: float
    width: float
    blocks: list[Block]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A bar for each hour; ``labels`` and ``totals`` are in the order of ``STACK``."""

    bars: list[Bar]
    labels: list[str]
    totals: list[int]
    most: int
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def total(self) -> int:
        return sum(self.totals)


def draw_chart(hours: Mapping[datetime, Durations]) -> Chart:
    """Return the chart of the calls of each hour, scaled to the busiest hour."""
    counted = {
        hour: [sum(durations.get(outcome, {}).values()) for outcome in STACK]
        for hour, durations in hours.items()
    }
    most = max((sum(counts) for counts in counted.values()), default=0)
    step = WIDTH / max(len(counted), 1)
    return Chart(
        bars=[
            Bar(
                hour=formatting.to_local(hour),
                counts=counts,
                x=at * step,
                width=step - GAP,
                blocks=list(stack_blocks(counts, most)),
            )
            for at, (hour, counts) in enumerate(counted.items())
        ],
        labels=[str(outcome.label) for outcome in STACK],
        totals=[sum(column) for column in zip(*counted.values(), strict=True)],
        most=most,
    )


def stack_blocks(counts: list[int], most: int) -> Iterator[Block]:
    """Yield the blocks of a bar from bottom to top, none beyond the chart's height."""
    shares = [
        max(MIN_HEIGHT, count / most * HEIGHT) if count else 0 for count in counts
    ]
    scale = min(1, HEIGHT / sum(shares)) if any(shares) else 0
    y = float(HEIGHT)
    for outcome, share in zip(STACK, shares, strict=True):
        if share:
            height = round(share * scale, 2)
            y -= height
            yield Block(outcome=outcome.value, y=round(max(y, 0), 2), height=height)
