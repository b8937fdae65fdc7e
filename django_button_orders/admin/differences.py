"""What comparisons have found, to look at and to search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.sources import source_url
from django_button_orders.models import ButtonOrder, Difference

if TYPE_CHECKING:
    ModelAdminBase = admin.ModelAdmin[Difference]
else:
    ModelAdminBase = admin.ModelAdmin


@admin.register(Difference)
class DifferenceAdmin(ModelAdminBase):
    list_display = ["order_id", "kind", "short_values", "row_link", "found_at", "fixed"]
    list_filter = ["kind", ("fixed_at", admin.EmptyFieldListFilter)]
    search_fields = ["=order_id"]
    search_help_text = _("A whole order ID.")
    ordering = ["-pk"]
    # Counting what nobody asked for makes the list slow once there are millions.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    fields = (
        "order_id",
        "account",
        "kind",
        "all_values",
        "error",
        "row_link",
        "source_link",
        "found_at",
        "fixed_at",
    )
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Difference]:
        differences = super().get_queryset(request)
        rows = ButtonOrder.objects.using(differences.db).filter(
            account=OuterRef("account"), order_id=OuterRef("order_id")
        )
        return differences.annotate(row_pk=Subquery(rows.values("pk")[:1]))

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Difference | None:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            # For the link, which depends on who looks.
            found.request = request  # type: ignore[attr-defined]
        return found

    @admin.display(description=_("fixed"), ordering="fixed_at", empty_value="")
    def fixed(self, difference: Difference) -> Any:
        return difference.fixed_at

    @admin.display(description=_("values"))
    def short_values(self, difference: Difference) -> str:
        names = ", ".join(difference.values) or difference.error
        return Truncator(names).chars(80)

    @admin.display(description=_("values: here, and there"))
    def all_values(self, difference: Difference) -> SafeString | str:
        lines = [
            (name, as_text(ours), as_text(theirs))
            for name, (ours, theirs) in difference.values.items()
        ]
        return (
            format_html_join("", "<div><b>{}</b>: {}, {}</div>", lines)
            or self.get_empty_value_display()
        )

    @admin.display(description=_("Button order"))
    def row_link(self, difference: Any) -> SafeString | None:
        if difference.row_pk is None:
            return None
        name = "admin:django_button_orders_buttonorder_change"
        url = reverse(name, args=[difference.row_pk], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, difference.order_id)

    @admin.display(description=_("shop's order"))
    def source_link(self, difference: Any) -> SafeString | str | None:
        model, key = difference.get_source_model(), difference.source_id
        if model is None or key is None:
            return str(key) if key else None
        name = f"{model._meta.verbose_name} {key}"
        url = source_url(difference.request, self.admin_site, model, key)
        return format_html('<a href="{}">{}</a>', url, name) if url else name


def as_text(value: Any) -> Any:
    return _("nothing") if value is None else str(value)
