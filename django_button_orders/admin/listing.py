"""The list: its columns, what it can be narrowed by, searched for and sorted by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin import display
from django_button_orders.admin.changelist import CappedAdmin
from django_button_orders.admin.configured import known_accounts
from django_button_orders.admin.dates import BoughtFilter
from django_button_orders.admin.export import ExportAdmin
from django_button_orders.admin.filters import (
    AccountFilter,
    AnswerFilter,
    CurrencyFilter,
    SourceFilter,
    StateFilter,
    TokenFilter,
)
from django_button_orders.admin.many import ManyAdmin
from django_button_orders.admin.search import find
from django_button_orders.admin.sources import source_link
from django_button_orders.models import ButtonOrder


class ListingAdmin(ManyAdmin, ExportAdmin, CappedAdmin):
    actions = ["retry_orders", "dismiss_orders", "cancel_orders", "export_orders"]
    list_display = [
        "status_badge",
        "order_id",
        "amount",
        "bought",
        "attempts",
        "next_attempt",
        "last_answer",
        "host_order",
    ]
    list_display_links = ["order_id"]
    list_filter = [
        "status",
        StateFilter,
        "reason",
        AnswerFilter,
        AccountFilter,
        CurrencyFilter,
        BoughtFilter,
        TokenFilter,
        SourceFilter,
    ]
    field_lookups = {"status__exact", "reason__exact", "account", "currency"}
    unlisted = ("customer", "line_items")
    # What is looked for, and how, is in search.py.
    search_fields = ["order_id", "customer_order_id", "btn_ref", "button_order_id"]
    search_help_text = _(
        "A whole order ID, customer order ID, attribution token, or Button's order ID, "
        "in the same letters."
    )

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return [*columns, "account"] if self.has_accounts() else columns

    def has_accounts(self) -> bool:
        return len(known_accounts()) > 1

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        orders: Any = self.get_queryset(request)
        return queryset.filter(pk__in=find(orders, term)), False

    def sortable_fields(self, params: Mapping[str, Any]) -> set[str]:
        fields = {"order_id", "purchase_date"}
        is_pending = params.get("status__exact") == ButtonOrder.Status.PENDING
        return (
            fields | {"next_attempt_at"}
            if is_pending or params.get("state")
            else fields
        )

    @admin.display(description=_("status"))
    def status_badge(self, order: ButtonOrder) -> SafeString:
        return display.badge_and_reason(order)

    @admin.display(description=_("total"))
    def amount(self, order: ButtonOrder) -> str:
        return display.amount(order) or self.get_empty_value_display()

    @admin.display(description=_("bought"), ordering="purchase_date")
    def bought(self, order: ButtonOrder) -> str | None:
        return display.moment(order.purchase_date)

    @admin.display(description=_("next attempt"), ordering="next_attempt_at")
    def next_attempt(self, order: ButtonOrder) -> str | None:
        return display.next_attempt(order)

    @admin.display(description=_("last answer"))
    def last_answer(self, order: ButtonOrder) -> str | None:
        return display.last_answer(order)

    @admin.display(description=_("shop's order"))
    def host_order(self, order: ButtonOrder) -> str | None:
        return source_link(order)
