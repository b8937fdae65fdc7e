"""Export the list as CSV: the orders that match its filters, or the selected ones."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache, partial
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

from django_button_orders.admin.base import UrlsMixin, shown_error
from django_button_orders.admin.formatting import shorten_error
from django_button_orders.models import ButtonOrder
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.report.money import in_major_units

# docs/reference/admin.rst documents them. None is about a customer, because the
# permission to view the list is enough to export it.
COLUMNS = (
    "account",
    "order_id",
    "status",
    "reason",
    "total",
    "currency",
    "reported_total",
    "late_amount",
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
    "finalizes_at",
    "created_at",
)
# Orders in memory at a time.
PAGE_SIZE = 2000
FIELDS = ["source_type_id" if name == "source" else name for name in COLUMNS]
# Spreadsheets take a cell for a formula if it begins with one of these characters,
# some of which are full-width. A spreadsheet that expects semicolons between cells
# begins a new cell in the middle of a text.
FORMULA = re.compile(r"(^|[;\t\r\n])(?= *[=+@\-\t\r\uff1d\uff0b\uff0d\uff20])")


class ExportMixin(UrlsMixin):
    """Add the export of the list, which needs the permission to view it."""

    @admin.action(description=_("Export selected orders as CSV"), permissions=["view"])
    def export_orders(
        self, request: HttpRequest, queryset: ButtonOrderQuerySet
    ) -> HttpResponseBase:
        return csv_response(queryset, partial(shown_error, request))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_safe(self.export_view))
        export = path("export/", view, name=self.url_name("export"))
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Export the orders that match the filters and the search in the URL."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            changelist = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{self.url('changelist')}?e=1")
        return csv_response(changelist.queryset, partial(shown_error, request))


def csv_response(
    orders: Any, show_error: Callable[[str], str]
) -> StreamingHttpResponse:
    """Return orders as a CSV file that is written while it is sent."""
    content_type = "text/csv; charset=utf-8"
    response = StreamingHttpResponse(
        write_pages(orders, show_error), content_type=content_type
    )
    name = f"button-orders-{timezone.now():%Y-%m-%d-%H%M}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def write_pages(orders: Any, show_error: Callable[[str], str]) -> Iterator[str]:
    """Yield the text of the file page by page: few large writes are faster."""
    writer = csv.writer(Echo())
    yield writer.writerow(COLUMNS)
    label_of = cache(partial(find_label, using=orders.db))
    # Named tuples, because to create a million instances would take most of the time.
    rows = orders.values_list("pk", *FIELDS, named=True)
    for page in Keyset(rows, ("-pk",)).pages(PAGE_SIZE):
        rows_of_page = (
            row._replace(last_error=show_error(row.last_error)) for row in page
        )
        yield "".join(
            writer.writerow(make_cells(row, label_of)) for row in rows_of_page
        )


class Echo:
    """A file whose ``write()`` returns the text, so that ``writerow()`` does, too."""

    def write(self, text: str) -> str:
        return text


def find_label(source_type_id: Any, *, using: str) -> str:
    """
    Return the label of the shop's model, such as "shop.order", by its content type.

    Without such a model it is "".
    """
    order = ButtonOrder(source_type_id=source_type_id)
    order._state.db = using
    model = order.get_source_model()
    return "" if model is None else model._meta.label_lower


def make_cells(row: Any, label_of: Callable[[Any], str]) -> list[Any]:
    """Return the cells of an order in the order of ``COLUMNS``."""
    values = row._asdict()
    values["source_type_id"] = label_of(row.source_type_id)
    for name in ("total", "reported_total", "late_amount"):
        values[name] = in_major_units(values[name], row.currency)
    values["last_error"] = shorten_error(row)
    return [format_cell(values[name]) for name in FIELDS]


def format_cell(value: Any) -> Any:
    """Return a value for a cell, with an apostrophe before a formula."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, str):
        return FORMULA.sub(r"\1'", value)
    return value
