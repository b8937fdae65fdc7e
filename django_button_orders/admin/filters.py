"""Filters that never read the whole table to find out what they offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import account_names
from django_button_orders.querysets import ButtonOrderQuerySet

STATES: dict[str, tuple[Any, Callable[[ButtonOrderQuerySet], ButtonOrderQuerySet]]] = {
    "due": (_("Due now"), ButtonOrderQuerySet.due),
    "waiting": (_("Waiting"), ButtonOrderQuerySet.waiting),
    "in_flight": (_("In flight"), ButtonOrderQuerySet.in_flight),
    "stuck": (_("Stuck"), ButtonOrderQuerySet.stuck),
}


class StateFilter(admin.SimpleListFilter):
    """Where a pending order stands."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        return [(name, label) for name, (label, _narrow) in STATES.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        state = STATES.get(self.value() or "")
        return state[1](queryset) if state else queryset


class AccountFilter(admin.SimpleListFilter):
    """Shown only if there is more than one account to choose from."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[Any]:
        names = account_names()
        return [(name, name) for name in names] if len(names) > 1 else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        account = self.value()
        return queryset.filter(account=account) if account else queryset
