"""
The page "Check the adapter": the preflight of the newest orders, without the command.

It builds at most ``LIMIT`` reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from django_button_orders.admin.base import UrlsMixin, known_accounts
from django_button_orders.admin.formatting import format_count, format_percentage
from django_button_orders.monitoring.preflight.findings import Finding, Preflight
from django_button_orders.monitoring.preflight.run import (
    LIMIT,
    newest_orders,
    run_preflight,
)
from django_button_orders.outbox.adapters import registered
from django_button_orders.report.privacy import describe_exception, without_quotes

TEMPLATE = "admin/django_button_orders/buttonorder/check_adapter.html"
SHARES = {
    "token": gettext_lazy("Attribution token"),
    "lines": gettext_lazy("Line items"),
    "customer": gettext_lazy("Customer"),
    "is_new": gettext_lazy("New or known customer"),
    "customer_order_id": gettext_lazy("Order number for customers"),
    "gross_total": gettext_lazy("Gross total to compare with"),
}


class CheckAdapterMixin(UrlsMixin):
    """Add the page, which needs the permission to view the list."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_safe(self.check_adapter_view))
        name = self.url_name("check_adapter")
        return [path("check-adapter/", view, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"has_adapters": bool(registered()), **(extra_context or {})}
        return super().changelist_view(request, context)

    def check_adapter_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a preflight finds. Nothing is sent, and nothing is kept."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Check the adapter"),
            "opts": self.opts,
            "media": self.media,
            **self.check_context(request),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, TEMPLATE, context)

    def check_context(self, request: HttpRequest) -> dict[str, Any]:
        number = len(registered())
        if not number:
            return {"error": _("No adapter is registered, so nothing can be checked.")}
        limit = max(LIMIT // number, 1)
        try:
            preflight = run_preflight(newest_orders(limit))
        except (DatabaseError, InterfaceError) as exc:
            error = without_quotes(describe_exception(exc, "The database"))
            return {"error": error}
        pages = self.find_pages(request, preflight.findings)
        return {
            "limit": format_count(limit),
            "has_models": number > 1,
            "preflight": preflight,
            "groups": [
                (_("Wrong"), "failed", as_items(preflight.errors, pages)),
                (_("Worth a look"), "will_retry", as_items(preflight.warnings, pages)),
            ],
            "shares": as_shares(preflight),
        }

    def find_pages(
        self, request: HttpRequest, findings: Iterable[Finding]
    ) -> dict[str, str]:
        """Return the URLs of the Button orders' pages, by the order IDs shown."""
        order_ids = {name for finding in findings for name in finding.order_ids}
        orders = self.get_queryset(request).filter(
            account__in=known_accounts(), order_id__in=order_ids
        )
        found: dict[str, list[int]] = {}
        for order_id, pk in orders.values_list("order_id", "pk"):
            found.setdefault(order_id, []).append(pk)
        # Two accounts may have orders with one ID, and a finding names no account.
        return {
            order_id: self.url("change", pks[0])
            for order_id, pks in found.items()
            if len(pks) == 1
        }


def as_items(
    findings: Iterable[Finding], pages: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return findings, each with the pages of its orders."""
    return [
        {
            "finding": finding,
            "number": format_count(finding.count),
            "orders": [(name, pages.get(name)) for name in finding.order_ids],
            "more": finding.count > len(finding.order_ids) > 0,
        }
        for finding in findings
    ]


def as_shares(preflight: Preflight) -> list[tuple[Any, str, str]]:
    """Return what reports may have: its name, how many have it, and their share."""
    reports, counts = preflight.reports, preflight.shares
    if not reports:
        return []
    return [
        (name, format_count(counts[key]), format_percentage(counts[key] / reports))
        for key, name in SHARES.items()
    ]
