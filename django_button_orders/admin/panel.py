"""The panel above the list: whether everything is reported, and if not, why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_button_orders.admin import display
from django_button_orders.admin.chart import draw
from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.statistics.alerts import find_alerts
from django_button_orders.statistics.calls import Period
from django_button_orders.statistics.current import DAY, Statistics, find_statistics
from django_button_orders.statistics.orders import Orders

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    ModelAdminBase = admin.ModelAdmin[ButtonOrder]
else:
    ModelAdminBase = admin.ModelAdmin

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

REASONS = dict(Reason.choices)
STATES: dict[str, _StrPromise] = {
    "due": _("Due now"),
    "waiting": _("Waiting to retry"),
    "in_flight": _("In flight"),
    "stuck": _("Stuck: due for over 10 minutes"),
}


class PanelAdmin(ModelAdminBase):
    change_list_template = "admin/django_button_orders/buttonorder/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # An action redirects to the list, and nobody sees a panel before that.
        panel: Any = SimpleLazyObject(lambda: self.describe_desk(request))
        return super().changelist_view(
            request, {"panel": panel, **(extra_context or {})}
        )

    def describe_desk(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the panel shows of the database that the list is of."""
        statistics = find_statistics(self.get_queryset(request).db)
        list_url = self.list_url()
        return {
            "has_orders": any(statistics.orders.statuses.values()),
            "sentences": list(summarize(statistics.orders, list_url)),
            "alerts": find_alerts([statistics.using]),
            "paused": [
                self.describe_paused(request, account) for account in statistics.paused
            ],
            "figures": list(figures(statistics.orders, list_url)),
            "amounts": list(amounts(statistics.orders, list_url)),
            "oldest": self.describe_oldest(statistics),
            "periods": [
                (_("Last 24 hours"), describe_period(statistics.day)),
                (_("Last 7 days"), describe_period(statistics.week)),
            ],
            "chart": draw(dict(list(statistics.hours.items())[-DAY:])),
            "age": display.duration(statistics.age) if statistics.age >= 1 else "",
            "sweep": None
            if statistics.sweep_seconds is None
            else display.duration(statistics.sweep_seconds),
        }

    def list_url(self) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return reverse(name, current_app=self.admin_site.name)

    def describe_paused(
        self, request: HttpRequest, account: PausedAccount
    ) -> dict[str, Any]:
        may_resume = request.user.has_perm("django_button_orders.resume_pausedaccount")
        return {
            "account": account,
            "resume_url": self.find_resume_url(account) if may_resume else None,
        }

    def find_resume_url(self, account: PausedAccount) -> str | None:
        name = f"admin:{self.opts.app_label}_pausedaccount_resume"
        try:
            return reverse(name, args=[account.pk], current_app=self.admin_site.name)
        except NoReverseMatch:
            # A project may have taken the accounts out of its admin.
            return None

    def describe_oldest(self, statistics: Statistics) -> dict[str, Any] | None:
        oldest = statistics.oldest_due
        if oldest is None:
            return None
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return {
            "order": oldest.order,
            "url": reverse(
                name, args=[oldest.order.pk], current_app=self.admin_site.name
            ),
            "age": display.duration(oldest.seconds),
        }


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its name, and the list of what it has counted."""

    name: Any
    number: str
    url: str
    status: str = ""
    parts: tuple[Figure, ...] = ()


def summarize(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Say in a sentence or two whether there is anything to do."""
    counts = orders.statuses
    failed, pending = counts[Status.FAILED], counts[Status.PENDING]
    stuck = orders.states["stuck"]
    if failed:
        sentence = ngettext(
            "%(count)s order has failed and needs a person.",
            "%(count)s orders have failed and need a person.",
            failed,
        )
        url = narrowed(list_url, status__exact=Status.FAILED.value)
        yield Figure(name="", number=counted(sentence, failed), url=url)
    if stuck:
        sentence = ngettext(
            "%(count)s order is stuck: it should have been reported by now.",
            "%(count)s orders are stuck: they should have been reported by now.",
            stuck,
        )
        url = narrowed(list_url, state="stuck")
        yield Figure(name="", number=counted(sentence, stuck), url=url)
    if pending:
        sentence = ngettext(
            "%(count)s order is waiting to be reported.",
            "%(count)s orders are waiting to be reported.",
            pending,
        )
        url = narrowed(list_url, status__exact=Status.PENDING.value)
        yield Figure(name="", number=counted(sentence, pending), url=url)


def counted(sentence: str, count: int) -> str:
    return sentence % {"count": display.count(count)}


def figures(orders: Orders, list_url: str) -> Iterator[Figure]:
    for status in Status:
        yield Figure(
            name=status.label,
            number=display.count(orders.statuses[status]),
            url=narrowed(list_url, status__exact=status.value),
            status=status.value,
            parts=tuple(PARTS.get(status, no_parts)(orders, list_url)),
        )


def states(orders: Orders, list_url: str) -> Iterator[Figure]:
    for state, number in orders.states.items():
        url = narrowed(list_url, state=state)
        yield Figure(name=STATES[state], number=display.count(number), url=url)


def reasons(orders: Orders, list_url: str) -> Iterator[Figure]:
    for reason, number in orders.reasons(Status.FAILED).items():
        yield Figure(
            name=REASONS.get(reason, reason),
            number=display.count(number),
            url=narrowed(
                list_url, status__exact=Status.FAILED.value, reason__exact=reason
            ),
        )


def no_parts(orders: Orders, list_url: str) -> Iterator[Figure]:
    yield from ()


PARTS: dict[str, Callable[[Orders, str], Iterator[Figure]]] = {
    Status.PENDING: states,
    Status.FAILED: reasons,
}


def amounts(orders: Orders, list_url: str) -> Iterator[Figure]:
    """Yield the money that Button does not know of yet, and what holds it up."""
    names = {Status.PENDING: _("Waiting"), Status.FAILED: _("Failed")}
    for status, name in names.items():
        found = orders.amounts(status)
        for amount in found:
            if amount.priced:
                yield Figure(
                    name=name,
                    number=display.money(amount.total, amount.currency),
                    url=narrowed(
                        list_url,
                        status__exact=status.value,
                        currency=amount.currency or "",
                    ),
                    status=status.value,
                )
        unknown = sum(amount.orders - amount.priced for amount in found)
        if unknown:
            sentence = ngettext(
                "%(count)s order of an unknown amount",
                "%(count)s orders of unknown amounts",
                unknown,
            )
            yield Figure(
                name=name,
                number=counted(sentence, unknown),
                url=narrowed(list_url, status__exact=status.value, total__isnull=True),
                status=status.value,
            )


def narrowed(list_url: str, **parameters: Any) -> str:
    return f"{list_url}?{urlencode(parameters)}"


def describe_period(period: Period) -> dict[str, str]:
    return {
        "total": display.count(period.total),
        "success_rate": display.percentage(period.success_rate),
        "median": display.milliseconds(period.median),
        "p95": display.milliseconds(period.p95),
    }
