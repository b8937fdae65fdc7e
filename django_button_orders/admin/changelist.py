"""
The list of Button orders: how its columns, search and sort order work.

``ButtonOrderAdmin`` in ``orders`` declares which columns and filters it has.

``CappedMixin`` keeps a list fast however many rows there are: it counts and pages
through at most ``MAX_LISTED`` of them, and filters and sorts only by indexes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin import formatting
from django_button_orders.admin.actions import BulkActionsMixin
from django_button_orders.admin.base import (
    UrlsMixin,
    add_host_order_urls,
    hide_quotes,
    host_order_link,
    known_accounts,
    may_view_bodies,
)
from django_button_orders.admin.check_adapter import CheckAdapterMixin
from django_button_orders.admin.export import ExportMixin
from django_button_orders.admin.filters import (
    DateFilter,
)
from django_button_orders.admin.search import AnyTermForm, search_orders
from django_button_orders.models import ButtonOrder

if TYPE_CHECKING:
    PaginatorBase = Paginator[Any]
else:
    PaginatorBase = Paginator

# Rows that can be paged through. Nobody reads more, and an export has all of them.
MAX_LISTED = 1000


class CappedPaginator(PaginatorBase):
    """Page through the first ``MAX_LISTED`` rows, and count no further."""

    @cached_property
    def found(self) -> list[int]:
        """The keys of the rows, and one more if there are more."""
        keys: Any = self.object_list
        return list(keys.values_list("pk", flat=True)[: MAX_LISTED + 1])

    @cached_property
    def count(self) -> int:
        return min(len(self.found), MAX_LISTED)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than the paginator counts."""
        return len(self.found) > MAX_LISTED

    @property
    def formatted_count(self) -> str:
        """Return the number of listed rows as the pages show it, such as "1,000"."""
        return formatting.format_count(self.count)


class CappedChangeList(ChangeList):
    """Sort by an index, and load the rows of one page by their keys."""

    # Any, because it is a CappedMixin, which has more than a ModelAdmin.
    model_admin: Any
    search_form_class = AnyTermForm

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """Return a sort order that an index has, close to the one in the URL."""
        if ORDER_VAR not in self.params:
            for spec in self.filter_specs:
                if isinstance(spec, DateFilter) and spec.is_active:
                    return [f"-{spec.field_name}", "-pk"]
        names: list[Any] = super().get_ordering(request, queryset)
        return in_one_direction(list(filter(self.is_sortable, names)))

    def is_sortable(self, name: Any) -> bool:
        # The ModelAdmin of a shop may sort by an expression, which has no index.
        return isinstance(name, str) and name.lstrip("-") in {
            *self.model_admin.sortable_fields(self.params),
            "pk",
        }

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # The paginator has found the keys. The rows are loaded by them, so that a
        # slow filter or search runs only once.
        keys = self.paginator.found[: self.paginator.count]
        if self.multi_page and not (self.show_all and self.can_show_all):
            start = (self.page_num - 1) * self.list_per_page
            keys = keys[start : start + self.list_per_page]
        rows = self.root_queryset.filter(pk__in=keys).defer(*self.model_admin.unlisted)
        self.result_list = rows.order_by(*self.queryset.query.order_by)
        hide_quotes(request, self.result_list)
        add_host_order_urls(request, self.model_admin.admin_site, self.result_list)


def in_one_direction(names: list[str]) -> list[str]:
    """
    Return a sort order that one index has: the first field, then the key.

    Both sort in the direction of the first field.
    """
    sign = "-" if names[0].startswith("-") else ""
    if names[0].lstrip("-") == "order_id":
        # The index of the unique constraint begins with the account.
        return [f"{sign}account", f"{sign}order_id"]
    return [names[0], f"{sign}pk"] if names[0].lstrip("-") != "pk" else [names[0]]


class CappedMixin(UrlsMixin):
    """
    Show a list that stays fast with millions of rows.

    It counts only to ``MAX_LISTED``, and filters and sorts only by indexes.
    ``unlisted`` are large fields without a column, which the list does not load.
    """

    paginator = CappedPaginator
    # Counting all rows is slow once there are millions.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ["-pk"]
    unlisted: Collection[str] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return CappedChangeList

    def get_sortable_by(self, request: HttpRequest) -> Any:
        fields = self.sortable_fields(request.GET)
        names: Any = self.get_list_display(request)
        return [
            name
            for name in names
            if getattr(getattr(self, name, None), "admin_order_field", name) in fields
        ]

    def sortable_fields(self, params: Mapping[str, Any]) -> set[str]:
        """Return the fields that an index sorts by, under these filters."""
        return set()


class OrderListMixin(BulkActionsMixin, CheckAdapterMixin, ExportMixin, CappedMixin):
    """
    The columns and the search of the list of Button orders.

    ``ButtonOrderAdmin`` declares which of them are shown, in ``list_display`` and
    the like.
    """

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return [*columns, "account"] if self.has_accounts() else columns

    def has_accounts(self) -> bool:
        """Return whether the settings have more than one account."""
        return len(known_accounts()) > 1

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term.strip():
            return queryset, False
        orders: Any = self.get_queryset(request)
        found = search_orders(
            orders, search_term, with_customers=may_view_bodies(request)
        )
        return queryset.filter(pk__in=found), False

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
        return formatting.format_status_and_reason(order)

    @admin.display(description=_("total"))
    def amount(self, order: ButtonOrder) -> str:
        return formatting.format_total(order) or self.get_empty_value_display()

    @admin.display(description=_("purchase date"), ordering="purchase_date")
    def bought(self, order: ButtonOrder) -> str | None:
        return formatting.format_moment(order.purchase_date)

    @admin.display(description=_("next attempt"), ordering="next_attempt_at")
    def next_attempt(self, order: ButtonOrder) -> str | None:
        return formatting.format_next_attempt(order)

    @admin.display(description=_("last answer"))
    def last_answer(self, order: ButtonOrder) -> str | None:
        return formatting.format_last_answer(order)

    @admin.display(description=_("shop's order"))
    def host_order(self, order: ButtonOrder) -> str | None:
        link = host_order_link(order)
        label = gettext("shop's order")
        return link and formatting.format_labelled(label, link)
