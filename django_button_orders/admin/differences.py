"""The pages of differences, which the comparisons have found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.base import (
    ReadOnlyMixin,
    add_host_order_urls,
    find_admin,
    host_order_link,
)
from django_button_orders.admin.changelist import CappedMixin
from django_button_orders.admin.search import search_terms
from django_button_orders.models import ButtonOrder, Difference


@admin.register(Difference)
class DifferenceAdmin(ReadOnlyMixin, CappedMixin):
    """Show the list of differences and the page of each."""

    list_display = ["order_id", "kind", "short_values", "row_link", "found_at", "fixed"]
    list_filter = ["kind", ("fixed_at", admin.EmptyFieldListFilter)]
    field_lookups = {"kind__exact", "fixed_at__isempty"}
    # A difference that is found again is the same row, with a later date.
    ordering = ["-found_at", "-pk"]
    search_fields = ["order_id"]
    search_help_text = _("Exact, case-sensitive match: order ID.")
    fields = (
        "order_id",
        "account",
        "kind",
        "all_values",
        "error",
        "row_link",
        "host_order",
        "found_at",
        "fixed_at",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Difference]:
        """Add the key of each Button order, if the user may view Button orders."""
        differences: QuerySet[Difference] = super().get_queryset(request)
        orders = find_admin(self.admin_site, ButtonOrder)
        if orders is None or not orders.has_view_permission(request):
            return differences
        rows = ButtonOrder.objects.using(differences.db).filter(
            account=OuterRef("account"), order_id=OuterRef("order_id")
        )
        return differences.annotate(row_pk=Subquery(rows.values("pk")[:1]))

    def get_object(self, request: HttpRequest, *args: Any) -> Difference | None:
        found: Difference | None = super().get_object(request, *args)
        if found is not None:
            add_host_order_urls(request, self.admin_site, [found])
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        term = search_term.strip()
        found = queryset.filter(order_id__in=search_terms(term)) if term else queryset
        return found, False

    def sortable_fields(self, params: Mapping[str, Any]) -> set[str]:
        return {"found_at"}

    @admin.display(description=_("fixed"), empty_value="")
    def fixed(self, difference: Difference) -> Any:
        return difference.fixed_at

    @admin.display(description=_("values"))
    def short_values(self, difference: Difference) -> str:
        names = ", ".join(difference.values) or difference.error
        return Truncator(names).chars(80)

    @admin.display(description=_("values on both sides"))
    def all_values(self, difference: Difference) -> str:
        lines = [
            (name, format_value(ours), format_value(theirs))
            for name, (ours, theirs) in difference.values.items()
        ]
        return (
            format_html_join("", "<div><b>{}</b>: {}, {}</div>", lines)
            or self.get_empty_value_display()
        )

    @admin.display(description=_("Button order"))
    def row_link(self, difference: Any) -> SafeString | str:
        key = getattr(difference, "row_pk", None)
        if key is None:
            return self.get_empty_value_display()
        url = find_admin(self.admin_site, ButtonOrder).url("change", key)
        return format_html('<a href="{}">{}</a>', url, difference.order_id)

    @admin.display(description=_("shop's order"))
    def host_order(self, difference: Difference) -> str:
        link = host_order_link(difference, is_named=True)
        return link or self.get_empty_value_display()


def format_value(value: Any) -> Any:
    """Return a value as a text, or "nothing" for None."""
    return _("nothing") if value is None else str(value)
