"""The panel above the list: whether everything is reported, and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from django_button_orders.admin import display
from django_button_orders.admin.base import AddressedAdmin
from django_button_orders.admin.box import resume_buttons
from django_button_orders.admin.chart import draw
from django_button_orders.admin.filters import STATES, UNKNOWN
from django_button_orders.admin.moments import ago_by, due_for
from django_button_orders.admin.standing import describe_pause
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.monitoring.alerts import find_alerts
from django_button_orders.monitoring.calls import Period
from django_button_orders.monitoring.current import (
    DAY_HOURS,
    OldestDue,
    find_statistics,
)
from django_button_orders.monitoring.orders import Orders

Status = ButtonOrder.Status

REASONS = dict(ButtonOrder.Reason.choices)
NEEDS_A_PERSON = ngettext_lazy(
    "%(number)s order has failed and needs a person.",
    "%(number)s orders have failed and need a person.",
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
UNKNOWN_AMOUNT = ngettext_lazy(
    "%(number)s order of an unknown amount",
    "%(number)s orders of unknown amounts",
    "count",
)


class PanelAdmin(AddressedAdmin):
    change_list_template = "admin/django_button_orders/buttonorder/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # An action shows a page of its own, and nobody sees a panel there.
        panel: Any = SimpleLazyObject(lambda: self.describe_desk(request))
        return super().changelist_view(
            request, {"panel": panel, **(extra_context or {})}
        )

    def describe_desk(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the panel shows of the database that the list is of."""
        statistics = find_statistics(self.get_queryset(request).db)
        list_url = self.url("changelist")
        return {
            "list_url": list_url,
            "has_orders": any(statistics.orders.statuses.values()),
            "sentences": list(summarize(statistics.orders, list_url)),
            "alerts": find_alerts([statistics.using]),
            "paused": [
                self.describe_paused(request, account) for account in statistics.paused
            ],
            "figures": list(figures(statistics.orders, list_url)),
            "amounts": list(amounts(statistics.orders, list_url)),
            "oldest": self.describe_oldest(statistics.oldest_due),
            "periods": [
                (_("Last 24 hours"), describe_period(statistics.day)),
                (_("Last 7 days"), describe_period(statistics.week)),
            ],
            "chart": draw(dict(list(statistics.hours.items())[-DAY_HOURS:])),
            "counted": seconds_ago(statistics.age),
            "sweep": seconds_ago(statistics.sweep_seconds),
        }

    def describe_paused(
        self, request: HttpRequest, account: PausedAccount
    ) -> dict[str, Any]:
        return {
            "standing": describe_pause(account),
            "error": account.last_error,
            "buttons": resume_buttons(request, account, self.admin_site),
        }

    def describe_oldest(self, oldest: OldestDue | None) -> dict[str, Any] | None:
        if oldest is None:
            return None
        return {
            "order": oldest.order,
            "url": self.url("change", oldest.order.pk),
            "due": due_for(timedelta(seconds=oldest.seconds)),
        }


def seconds_ago(seconds: float | None) -> str:
    return "" if seconds is None else ago_by(timedelta(seconds=seconds))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its name, and the list of what it has counted."""

    name: Any = ""
    number: str
    url: str
    status: str = ""
    parts: tuple[Figure, ...] = ()


def narrowed(list_url: str, **parameters: str) -> str:
    return f"{list_url}?{urlencode(parameters)}"


def counted(sentence: Any, count: int) -> str:
    return str(sentence % {"count": count, "number": display.count(count)})


def summarize(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Say in a sentence or two whether there is anything to do."""
    failed, pending = Status.FAILED.value, Status.PENDING.value
    for sentence, count, parameters in (
        (NEEDS_A_PERSON, orders.statuses[failed], {"status__exact": failed}),
        (STUCK, orders.states["stuck"], {"state": "stuck"}),
        (WAITING, orders.statuses[pending], {"status__exact": pending}),
    ):
        if count:
            url = narrowed(list_url, **parameters)
            yield Figure(number=counted(sentence, count), url=url)


def figures(orders: Orders, list_url: str) -> Iterator[Figure]:
    for status in Status:
        parts = PARTS.get(status)
        yield Figure(
            name=status.label,
            number=display.count(orders.statuses[status]),
            url=narrowed(list_url, status__exact=status.value),
            status=status.value,
            parts=tuple(parts(orders, list_url)) if parts else (),
        )


def states(orders: Orders, list_url: str) -> Iterator[Figure]:
    for state, number in orders.states.items():
        url = narrowed(list_url, state=state)
        yield Figure(name=STATES[state], number=display.count(number), url=url)


def reasons(orders: Orders, list_url: str) -> Iterator[Figure]:
    status = Status.FAILED.value
    for reason, number in orders.reasons(status).items():
        yield Figure(
            name=REASONS.get(reason, reason),
            number=display.count(number),
            url=narrowed(list_url, status__exact=status, reason__exact=reason),
        )


PARTS: dict[str, Callable[[Orders, str], Iterator[Figure]]] = {
    Status.PENDING: states,
    Status.FAILED: reasons,
}


def amounts(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield the money that Button does not know of yet, and what holds it up."""
    names = {Status.PENDING: _("Waiting"), Status.FAILED: _("Failed")}
    for status, name in names.items():
        for amount in orders.amounts(status):
            yield Figure(
                name=name,
                number=display.money(amount.total, amount.currency)
                if amount.currency
                else counted(UNKNOWN_AMOUNT, amount.orders),
                url=narrowed(
                    list_url,
                    status__exact=status.value,
                    currency=amount.currency or UNKNOWN,
                ),
                status=status.value,
            )


def describe_period(period: Period) -> dict[str, str]:
    return {
        "total": display.count(period.total),
        "success_rate": display.percentage(period.success_rate),
        "median": display.milliseconds(period.median),
        "p95": display.milliseconds(period.p95),
    }
