"""The list as CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from django_button_orders.admin.base import AddressedAdmin
from django_button_orders.admin.display import short_error
from django_button_orders.admin.pages import in_pages
from django_button_orders.models import ButtonOrder
from django_button_orders.models.querysets import ButtonOrderQuerySet
from django_button_orders.report.money import in_major_units

# Documented in docs/admin.rst. What the list shows, and when: nothing of a customer.
COLUMNS = (
    "account",
    "order_id",
    "status",
    "reason",
    "total",
    "currency",
    "purchase_date",
    "attempts",
    "next_attempt_at",
    "last_status_code",
    "last_error",
    "source",
    "source_id",
    "button_order_id",
    "cancel_requested_at",
    "reported_at",
    "created_at",
)
FIELDS = ["source_type_id" if name == "source" else name for name in COLUMNS]
# What makes a spreadsheet take a text for a formula, wide letters included. Also in
# the middle, where those that expect semicolons between cells would cut it.
FORMULA = re.compile(r"(^|[;\t\r\n])(?= *[=+@\-\t\r\uff1d\uff0b\uff0d\uff20])")


class ExportAdmin(AddressedAdmin):
    """Whoever may view the list may have it as CSV."""

    @admin.action(description=_("Export selected orders as CSV"), permissions=["view"])
    def export_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> HttpResponseBase:
        return export(queryset)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_safe(self.export_view))
        export = path("export/", view, name=self.url_name("export"))
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Export what the list would show, with the same filters and search."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            changelist = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{self.url('changelist')}?e=1")
        return export(changelist.queryset)


def export(orders: Any) -> StreamingHttpResponse:
    content_type = "text/csv; charset=utf-8"
    response = StreamingHttpResponse(lines(orders), content_type=content_type)
    name = f"button-orders-{timezone.now():%Y-%m-%d-%H%M}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def lines(orders: Any) -> Iterator[str]:
    """Yield the text a page at a time: few large writes are faster than many."""
    writer = csv.writer(Echo())
    yield writer.writerow(COLUMNS)
    labels = Labels(orders.db)
    # Tuples, because of a million instances the making takes longer than the rest.
    for page in in_pages(orders.values_list("pk", *FIELDS, named=True)):
        yield "".join(writer.writerow(cells(row, labels)) for row in page)


class Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


class Labels(dict[Any, str]):
    """The labels of the shop's models, each looked up once."""

    def __init__(self, using: str) -> None:
        super().__init__()
        self.using = using

    def __missing__(self, source_type_id: Any) -> str:
        order = ButtonOrder(source_type_id=source_type_id)
        order._state.db = self.using
        model = order.get_source_model()
        self[source_type_id] = "" if model is None else model._meta.label_lower
        return self[source_type_id]


def cells(row: Any, labels: Labels) -> list[Any]:
    values = row._asdict()
    values["source_type_id"] = labels[row.source_type_id]
    values["total"] = in_major_units(row.total, row.currency)
    values["last_error"] = short_error(row)
    return [as_cell(values[name]) for name in FIELDS]


def as_cell(value: Any) -> Any:
    """Return a value as it is written: texts are harmless, and numbers are numbers."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, str):
        return FORMULA.sub(r"\1'", value)
    return value
