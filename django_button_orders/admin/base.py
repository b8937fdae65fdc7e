"""What the admins of our models have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import unquote
from django.core.exceptions import ValidationError
from django.db import connections, router, transaction
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

if TYPE_CHECKING:
    ModelAdminBase = admin.ModelAdmin[Any]
else:
    ModelAdminBase = admin.ModelAdmin


class AddressedAdmin(ModelAdminBase):
    """Knows where its pages are, on whatever site it is registered."""

    class Media:
        css = {"all": ["django_button_orders/admin.css"]}

    def url_name(self, view: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{view}"

    def url(self, view: str, *args: Any) -> str:
        name = f"admin:{self.url_name(view)}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def with_filters(self, request: HttpRequest, url: str) -> str:
        """Keep what narrows the list down, for the way back to it."""
        context: Any = {
            "preserved_filters": self.get_preserved_filters(request),
            "opts": self.opts,
        }
        return str(add_preserved_filters(context, url))

    def get_written_object(self, request: HttpRequest, object_id: str) -> Any:
        """
        Return a row as it is where it is written, or None.

        What is read elsewhere may be late, and is not to be acted upon.
        """
        rows = self.get_queryset(request).using(router.db_for_write(self.model))
        try:
            return rows.get(pk=unquote(object_id))
        except (self.model.DoesNotExist, ValidationError, ValueError):
            return None

    def post_path(self, route: str, view: Any, name: str) -> URLPattern:
        """
        Return an address that only takes a POST.

        No transaction is around it, whatever a project asks for: each batch of
        orders has one of its own, and none may be open while Button takes its time.
        """
        view = require_POST(view)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        view = self.admin_site.admin_view(view)
        pattern: URLPattern = path(route, view, name=self.url_name(name))
        return pattern


class ReadOnlyAdmin(AddressedAdmin):
    """Rows that nobody but the app itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
