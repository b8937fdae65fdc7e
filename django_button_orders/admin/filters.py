"""
The filters of the list of Button orders.

No filter scans the table. The choices are fixed or found by a few steps in an index,
and each condition has an index or matches most rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from datetime import timezone as datetime_timezone
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.base import known_accounts
from django_button_orders.models import TOKEN_IS_KNOWN, ButtonOrder, content_type_of
from django_button_orders.outbox.adapters import registered

Status = ButtonOrder.Status

# An index finds each of these statuses, but cannot find "all but one".
UNREPORTED = [status for status in Status if status != Status.REPORTED]
# The states of orders, by the names of the queryset methods that find them. All are
# states of pending orders, but the last one also has failed orders.
STATES = {
    "due": _("Due now"),
    "waiting": _("Waiting to retry"),
    "in_flight": _("In flight"),
    "stuck": _("Stuck"),
    "of_other_sites": _("Reported by another site"),
    "closing_unsent": _("Change window closes within 24 hours"),
}
ANSWERS = {
    "2xx": (_("2xx: accepted"), Q(last_status_code__range=(200, 299))),
    "3xx": (_("3xx: redirected"), Q(last_status_code__range=(300, 399))),
    "4xx": (_("4xx: refused"), Q(last_status_code__range=(400, 499))),
    "5xx": (_("5xx: failed at Button"), Q(last_status_code__range=(500, 599))),
    # Reported rows are left out: they are most of the table, and need no answer.
    "none": (
        _("No answer"),
        Q(last_status_code__isnull=True) & Q(status__in=UNREPORTED),
    ),
}
# The quick choices of a date, and how many days before today each begins.
RANGES = ((_("Today"), 0), (_("Past 7 days"), 6), (_("Past 30 days"), 29))
DIRECT = "direct"
# No currency has this code.
UNKNOWN = "unknown"

# One part for each index: the index of currencies leaves out the rows that were only
# just saved, which have no purchase date yet. The index of dates has those.
HAS_NO_CURRENCY = (
    Q(currency="")
    | Q(currency__isnull=True, purchase_date__isnull=False)
    | Q(currency__isnull=True, purchase_date__isnull=True)
)


class LookupFilter(admin.SimpleListFilter):
    """Filter by one of a few choices. Any other value matches nothing."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if not value:
            return queryset
        if value not in dict(self.lookup_choices):
            return queryset.none()
        return self.narrow(queryset, value)

    def narrow(self, queryset: Any, value: str) -> Any:
        """Return the orders that a choice matches."""
        raise NotImplementedError


class StateFilter(LookupFilter):
    """Filter unreported orders by their state, such as due, waiting or in flight."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return STATES.items()

    def narrow(self, queryset: Any, value: str) -> Any:
        return getattr(queryset, value)()


class AccountFilter(admin.SimpleListFilter):
    """Filter by account. It is shown if there are several, or the URL has one."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        names = known_accounts()
        is_shown = len(names) > 1 or self.value()
        return [(name, name) for name in names] if is_shown else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        account = self.value()
        if account and "\0" in account:
            # PostgreSQL raises an error for a text with a null character.
            return queryset.none()
        return queryset.filter(account=account) if account else queryset


class CurrencyFilter(LookupFilter):
    """Filter by currency. It is shown if there are several, or the URL has one."""

    title = _("currency")
    parameter_name = "currency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        orders: Any = model_admin.get_queryset(request)
        names = [name for name in orders.values_in("currency", "pk") if name]
        is_shown = len(names) > 1 or self.value()
        choices = [(name, name) for name in names]
        return [*choices, (UNKNOWN, _("Unknown"))] if is_shown else []

    def narrow(self, queryset: Any, value: str) -> Any:
        if value == UNKNOWN:
            return queryset.filter(HAS_NO_CURRENCY)
        return queryset.filter(currency=value)


class AnswerFilter(LookupFilter):
    """Filter by the class of the HTTP status of Button's last answer."""

    title = _("last answer")
    parameter_name = "answer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return [(name, label) for name, (label, _condition) in ANSWERS.items()]

    def narrow(self, queryset: Any, value: str) -> Any:
        return queryset.filter(ANSWERS[value][1])


class TokenFilter(LookupFilter):
    """Filter orders with or without an attribution token, or with a late one."""

    title = _("attribution token")
    parameter_name = "token"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return [
            ("yes", _("With")),
            ("no", _("Without")),
            ("late", _("Came too late")),
        ]

    def narrow(self, queryset: Any, value: str) -> Any:
        if value == "yes":
            return queryset.filter(btn_ref__gt="")
        if value == "late":
            return queryset.filter(has_late_token=True)
        # An order that no worker has processed may have a token. The condition is
        # that of the index, so that PostgreSQL need not read the rows.
        known = queryset.filter(TOKEN_IS_KNOWN)
        return known.filter(token_is_missing(queryset.db))


def token_is_missing(using: str) -> Q:
    """
    Return the condition for orders without a token.

    A missing token is "" or NULL. The condition has both only if both occur, because
    the index returns the rows of one value in the order of the list, but not of two.
    """
    is_empty, is_null = Q(btn_ref=""), Q(btn_ref__isnull=True)
    nulls = ButtonOrder.objects.using(using).filter(TOKEN_IS_KNOWN, is_null)
    return is_empty | is_null if nulls.exists() else is_empty


class SourceFilter(LookupFilter):
    """Filter by the shop's model. It is shown if any model has an adapter."""

    title = _("source")
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        models = [adapter.model for adapter in registered()]
        if not models:
            return []
        choices = [
            (m._meta.label_lower, capfirst(m._meta.verbose_name)) for m in models
        ]
        return [*choices, (DIRECT, _("Reported directly"))]

    def narrow(self, queryset: Any, value: str) -> Any:
        if value == DIRECT:
            # If the app of a model is removed, its orders keep only their IDs.
            return queryset.filter(source_type__isnull=True, source_id__isnull=True)
        model = next(
            adapter.model
            for adapter in registered()
            if adapter.model._meta.label_lower == value
        )
        kind = content_type_of(model, queryset.db)
        return queryset.filter(source_type_id=kind.pk)


class DateFilter(admin.ListFilter):
    """
    Filter by the first and the last day of a date that has an index.

    The list is then also sorted by that date, so that one walk along the index finds
    the rows, however old they are.
    """

    template = "admin/django_button_orders/date_filter.html"
    field_name: str
    parameter_name: str

    def __init__(
        self, request: HttpRequest, params: Any, model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.first, self.last = (self.pop_day(params, name) for name in self.names())
        self.others: list[tuple[str, Any]] = []

    def pop_day(self, params: Any, name: str) -> date | None:
        """Remove a day from the parameters and return it, or None without one."""
        text = params.pop(name, [""])[-1]
        if not text:
            return None
        try:
            day = parse_date(text)
        except ValueError:
            day = None
        # Python must have a date for the next day, and for this day in any time zone.
        if day is None or not 1 < day.year < 9999:
            raise IncorrectLookupParameters
        self.used_parameters[name] = text
        return day

    @property
    def is_active(self) -> bool:
        return bool(self.used_parameters)

    @property
    def form_id(self) -> str:
        """Return the ID of the form of its days, which stands below the list."""
        return f"button-order-{self.parameter_name}"

    def has_output(self) -> bool:
        return True

    def names(self) -> list[str]:
        """Return the names of the parameters for the first and the last day."""
        return [f"{self.parameter_name}_from", f"{self.parameter_name}_to"]

    def expected_parameters(self) -> list[str | None]:
        return [*self.names()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.first is not None:
            start = start_of(self.first)
            queryset = queryset.filter(**{f"{self.field_name}__gte": start})
        if self.last is not None:
            end = start_of(self.last + timedelta(days=1))
            queryset = queryset.filter(**{f"{self.field_name}__lt": end})
        return queryset

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        names = self.names()
        self.others = other_parameters(changelist, names)
        yield {
            "selected": not self.is_active,
            "query_string": changelist.get_query_string(remove=names),
            "display": _("Any date"),
        }
        for label, days in RANGES:
            first = today() - timedelta(days=days)
            query = {names[0]: first.isoformat(), names[1]: None}
            yield {
                "selected": (self.first, self.last) == (first, None),
                "query_string": changelist.get_query_string(query),
                "display": label,
            }


class PurchaseDateFilter(DateFilter):
    """Filter by the purchase date."""

    title = _("purchase date")
    field_name = "purchase_date"
    parameter_name = "bought"


def today() -> date:
    """Return today's date in the current time zone."""
    return timezone.localtime(datetime.now(datetime_timezone.utc)).date()


def start_of(day: date) -> datetime:
    """Return the moment when a day begins in the current time zone."""
    return timezone.make_aware(datetime.combine(day, time.min))


def other_parameters(changelist: Any, names: list[str]) -> list[tuple[str, str]]:
    """Return the list's other filters, which the form has as hidden fields."""
    return [
        (name, value)
        for name, values in changelist.filter_params.items()
        if name not in names
        for value in values
    ]
