"""The list: its columns, what it can be narrowed by, searched for and sorted by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin import display
from django_button_orders.admin.changelist import CappedPaginator, OrderChangeList
from django_button_orders.admin.dates import BoughtFilter, CreatedFilter
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
from django_button_orders.conf import account_names
from django_button_orders.models import ButtonOrder

# What filters ask for by the name of a field.
FIELD_LOOKUPS = {"status__exact", "reason__exact", "account", "currency"}


class ListingAdmin(ManyAdmin, ExportAdmin):
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
        CreatedFilter,
        TokenFilter,
        SourceFilter,
    ]
    # What is looked for, and how, is in search.py.
    search_fields = ["order_id", "customer_order_id", "btn_ref", "button_order_id"]
    search_help_text = _(
        "A whole order ID, customer order ID, attribution token, or Button's order ID, "
        "in the same letters."
    )
    ordering = ["-pk"]
    paginator = CappedPaginator
    # Counting what nobody asked for makes the list slow once there are millions.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return OrderChangeList

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return [*columns, "account"] if self.has_accounts() else columns

    def has_accounts(self) -> bool:
        return len(account_names()) > 1

    def lookup_allowed(
        self, lookup: str, value: Any, request: HttpRequest | None = None
    ) -> bool:
        """Allow what the filters offer: anything else would read the whole table."""
        try:
            self.opts.get_field(lookup.partition("__")[0])
        except FieldDoesNotExist:
            # A name of a filter's own, or a mistake, which Django takes care of.
            return True
        return lookup in FIELD_LOOKUPS

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        orders: Any = self.get_queryset(request)
        return queryset.filter(pk__in=find(orders, term)), False

    def get_sortable_by(self, request: HttpRequest) -> Any:
        fields = self.sortable_fields(request.GET)
        return [
            name
            for name in self.get_list_display(request)
            if getattr(getattr(self, name, None), "admin_order_field", name) in fields
        ]

    def sortable_fields(self, params: Mapping[str, Any]) -> set[str]:
        """Return what an index sorts by, or what a sort of pending orders finds."""
        fields = {"order_id", "purchase_date", "created_at"}
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
    def bought(self, order: ButtonOrder) -> str:
        return display.moment(order.purchase_date) or self.get_empty_value_display()

    @admin.display(description=_("next attempt"), ordering="next_attempt_at")
    def next_attempt(self, order: ButtonOrder) -> str:
        return display.next_attempt(order) or self.get_empty_value_display()

    @admin.display(description=_("last answer"))
    def last_answer(self, order: ButtonOrder) -> str:
        return display.last_answer(order) or self.get_empty_value_display()

    @admin.display(description=_("shop's order"))
    def host_order(self, order: Any) -> str:
        """Return a link where there is one: the change list has looked for it."""
        name = display.source_name(order)
        if name is None:
            return self.get_empty_value_display()
        url = getattr(order, "source_url", None)
        return format_html('<a href="{}">{}</a>', url, name) if url else name
