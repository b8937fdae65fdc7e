"""
Filters of the list.

None reads the whole table: what they offer is known, or found with a few steps in
an index, and what they narrow is in one, or is what most rows are like.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.configured import known_accounts
from django_button_orders.models import TOKEN_IS_KNOWN, ButtonOrder, content_types
from django_button_orders.outbox.adapters import registered

Status = ButtonOrder.Status

# An index has each of them, and none has "all but one".
UNREPORTED = [status for status in Status if status != Status.REPORTED]
# Where a pending order stands, by the names of the methods that find them.
STATES = {
    "due": _("Due now"),
    "waiting": _("Waiting to retry"),
    "in_flight": _("In flight"),
    "stuck": _("Stuck"),
}
ANSWERS = {
    "2xx": (_("2xx: accepted"), Q(last_status_code__range=(200, 299))),
    "3xx": (_("3xx: redirected"), Q(last_status_code__range=(300, 399))),
    "4xx": (_("4xx: refused"), Q(last_status_code__range=(400, 499))),
    "5xx": (_("5xx: failed at Button"), Q(last_status_code__range=(500, 599))),
    # Not of reported rows: what they wait for has come, and they are most of all.
    "none": (
        _("No answer"),
        Q(last_status_code__isnull=True) & Q(status__in=UNREPORTED),
    ),
}
DIRECT = "direct"
# No code of a currency.
UNKNOWN = "unknown"

# A part for each index: rows that were only just saved are in that of the dates.
HAS_NO_CURRENCY = (
    Q(currency="")
    | Q(currency__isnull=True, purchase_date__isnull=False)
    | Q(currency__isnull=True, purchase_date__isnull=True)
)


class LookupFilter(admin.SimpleListFilter):
    """A choice of a few. What cannot be chosen matches nothing."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        if not value:
            return queryset
        if value not in dict(self.lookup_choices):
            return queryset.none()
        return self.narrow(queryset, value)

    def narrow(self, queryset: Any, value: str) -> Any:
        raise NotImplementedError


class StateFilter(LookupFilter):
    """Where a pending order stands."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return STATES.items()

    def narrow(self, queryset: Any, value: str) -> Any:
        return getattr(queryset, value)()


class AccountFilter(admin.SimpleListFilter):
    """Shown only if there is more than one account, or one is asked for."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        names = known_accounts()
        is_shown = len(names) > 1 or self.value()
        return [(name, name) for name in names] if is_shown else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        account = self.value()
        if account and "\0" in account:
            # PostgreSQL does not even compare with it.
            return queryset.none()
        return queryset.filter(account=account) if account else queryset


class CurrencyFilter(LookupFilter):
    """Shown only if there is more than one currency, or one is asked for."""

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
    """The class of the HTTP status that Button answered with last."""

    title = _("last answer")
    parameter_name = "answer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return [(name, label) for name, (label, _condition) in ANSWERS.items()]

    def narrow(self, queryset: Any, value: str) -> Any:
        return queryset.filter(ANSWERS[value][1])


class TokenFilter(LookupFilter):
    title = _("attribution token")
    parameter_name = "token"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return [("yes", _("With")), ("no", _("Without"))]

    def narrow(self, queryset: Any, value: str) -> Any:
        if value == "yes":
            return queryset.filter(btn_ref__gt="")
        # An order that no worker has looked at may have one. This says so just as
        # the index does, so that PostgreSQL need not look into the rows.
        known = queryset.filter(TOKEN_IS_KNOWN)
        return known.filter(is_without_token(queryset.db))


def is_without_token(using: str) -> Q:
    """
    Return the condition for it, without NULL where no order has that for a token.

    The index has one value in the order of the list, and two of them not.
    """
    is_empty, is_null = Q(btn_ref=""), Q(btn_ref__isnull=True)
    nulls = ButtonOrder.objects.using(using).filter(TOKEN_IS_KNOWN, is_null)
    return is_empty | is_null if nulls.exists() else is_empty


class SourceFilter(LookupFilter):
    """Shown only if there are orders of the shop's own models."""

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
            return queryset.filter(source_type__isnull=True)
        kinds = content_types(queryset.db)
        model = next(
            adapter.model
            for adapter in registered()
            if adapter.model._meta.label_lower == value
        )
        return queryset.filter(source_type_id=kinds.get_for_model(model).pk)
