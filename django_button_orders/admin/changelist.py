"""
Lists that cost the same however many rows there are.

They look for as many keys as they are ready to list, and no further; whatever they
say of more rows than that is that there are more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

from django_button_orders.admin.base import AddressedAdmin
from django_button_orders.admin.dates import DateFilter
from django_button_orders.admin.sources import link_to_sources

if TYPE_CHECKING:
    PaginatorBase = Paginator[Any]
else:
    PaginatorBase = Paginator

# What can be leafed through. Nobody reads more, and all of it can be exported.
MOST_LISTED = 1000


class CappedPaginator(PaginatorBase):
    @cached_property
    def found(self) -> list[int]:
        keys: Any = self.object_list
        return list(keys.values_list("pk", flat=True)[: MOST_LISTED + 1])

    @cached_property
    def count(self) -> int:
        return min(len(self.found), MOST_LISTED)

    @property
    def is_capped(self) -> bool:
        """Whether there are more rows than can be leafed through."""
        return len(self.found) > MOST_LISTED


class CappedChangeList(ChangeList):
    # It knows what can be sorted by.
    model_admin: Any

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """Return an order that an index is in, whatever was asked for."""
        if ORDER_VAR not in self.params:
            for spec in self.filter_specs:
                if isinstance(spec, DateFilter) and spec.is_active:
                    return [f"-{spec.field_name}", "-pk"]
        names: list[Any] = super().get_ordering(request, queryset)
        return in_one_direction(list(filter(self.is_sortable, names)))

    def is_sortable(self, name: str) -> bool:
        return name.lstrip("-") in {
            *self.model_admin.sortable_fields(self.params),
            "pk",
        }

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Its keys are known by now: whatever it took to find them, once is enough.
        keys = self.paginator.found[: self.paginator.count]
        if self.multi_page and not (self.show_all and self.can_show_all):
            start = (self.page_num - 1) * self.list_per_page
            keys = keys[start : start + self.list_per_page]
        rows = self.root_queryset.filter(pk__in=keys).defer(*self.model_admin.unlisted)
        self.result_list = rows.order_by(*self.queryset.query.order_by)
        link_to_sources(request, self.model_admin.admin_site, self.result_list)


def in_one_direction(names: list[str]) -> list[str]:
    """Let the key, which comes last, run as the first one does: so does an index."""
    sign = "-" if names[0].startswith("-") else ""
    if names[0].lstrip("-") == "order_id":
        # The index of both.
        return [f"{sign}account", f"{sign}order_id"]
    return [names[0], f"{sign}pk"] if names[0].lstrip("-") != "pk" else [names[0]]


class CappedAdmin(AddressedAdmin):
    """
    Shows, filters and sorts by what is in an index, and nothing else.

    ``field_lookups`` are those that the filters have of fields, and ``unlisted``
    what is large and not on the list.
    """

    paginator = CappedPaginator
    # Counting what nobody asked for makes the list slow once there are millions.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    ordering = ["-pk"]
    field_lookups: Collection[str] = ()
    unlisted: Collection[str] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return CappedChangeList

    def lookup_allowed(
        self, lookup: str, value: Any, request: HttpRequest | None = None
    ) -> bool:
        """Allow what the filters offer: anything else would read the whole table."""
        name = lookup.partition("__")[0]
        if name == "pk":
            return False
        try:
            self.opts.get_field(name)
        except FieldDoesNotExist:
            # A name of a filter's own, or a mistake, which Django takes care of.
            return True
        return lookup in self.field_lookups

    def get_sortable_by(self, request: HttpRequest) -> Any:
        fields = self.sortable_fields(request.GET)
        names: Any = self.get_list_display(request)
        return [
            name
            for name in names
            if getattr(getattr(self, name, None), "admin_order_field", name) in fields
        ]

    def sortable_fields(self, params: Mapping[str, Any]) -> set[str]:
        """Return what an index sorts by, or what a sort of a few rows finds."""
        return set()
