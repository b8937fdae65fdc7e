"""The base classes of our admins, their permissions, and links to host orders."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import (
    FieldDoesNotExist,
    ImproperlyConfigured,
    PermissionDenied,
    ValidationError,
)
from django.db import DEFAULT_DB_ALIAS, connections, router, transaction
from django.http import HttpRequest
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import Truncator
from django.views.decorators.http import require_POST

from django_button_orders.conf import DEFAULT_ACCOUNT, account_names, get_settings
from django_button_orders.operations.orders import log_change
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.report.privacy import without_quotes

if TYPE_CHECKING:
    ModelAdminBase = admin.ModelAdmin[Any]
else:
    ModelAdminBase = admin.ModelAdmin

# The name of a host order is cut after so many characters.
MAX_NAME_LENGTH = 100


class UrlsMixin(ModelAdminBase):
    """
    Build the URLs of an admin's pages, on the site where it is registered.

    ``field_lookups`` are the field lookups that its filters use. ``database`` is the
    alias of the database whose rows it shows and changes. If it is empty, the routers
    choose the database.
    """

    field_lookups: Collection[str] = ()
    database: str = ""

    class Media:
        css = {"all": ["django_button_orders/admin.css"]}

    @property
    def write_database(self) -> str:
        return self.database or router.db_for_write(self.model)

    def shows(self, alias: str | None) -> bool:
        """Return whether a row from a database is one of those that it shows."""
        read_database = self.database or router.db_for_read(self.model)
        return alias in (read_database, self.write_database)

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        return rows.using(self.database) if self.database else rows

    def url_name(self, view: str) -> str:
        """Return the name of a view's URL, without the namespace."""
        return f"{self.opts.app_label}_{self.opts.model_name}_{view}"

    def url(self, view: str, *args: Any) -> str:
        """Return the URL of a view."""
        name = f"admin:{self.url_name(view)}"
        return reverse(name, args=args, current_app=self.admin_site.name)

    def with_filters(self, request: HttpRequest, url: str) -> str:
        """Add the filters of the list to a URL, so that the user can return to it."""
        context: Any = {
            "preserved_filters": self.get_preserved_filters(request),
            "opts": self.opts,
        }
        return str(add_preserved_filters(context, url))

    def lookup_allowed(
        self, lookup: str, value: Any, request: HttpRequest | None = None
    ) -> bool:
        """
        Allow only the lookups of the filters.

        Others would scan the table, or break the page, as a regular expression does
        that the database does not understand.
        """
        name = lookup.partition("__")[0]
        if name == "pk":
            return False
        try:
            self.opts.get_field(name)
        except FieldDoesNotExist:
            # Django handles the parameters of filters, and refuses mistakes.
            return True
        return lookup in self.field_lookups

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Add a log entry, whatever characters its table has."""
        if not isinstance(message, str):
            return super().log_change(request, obj, message)
        return log_change(obj, request.user.pk, message)

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        found = super().get_object(request, *args, **kwargs)
        hide_quotes(request, [found] if found is not None else [])
        return found

    def find_on_write_database(self, request: HttpRequest, object_id: str) -> Any:
        """
        Return a row from the database that is written to, or None.

        A replica may be late, so an action must not rely on it.
        """
        rows = self.get_queryset(request).using(self.write_database)
        try:
            return rows.get(pk=unquote(object_id))
        except (self.model.DoesNotExist, ValidationError, ValueError):
            return None

    def find_for_action(
        self, request: HttpRequest, object_id: str, *, is_allowed: bool
    ) -> Any:
        """
        Return the row that an action is for, or None if there is none.

        An action needs its own permission, ``is_allowed``, and the one to view the row.
        Raise ``PermissionDenied`` if the user does not have both.
        """
        found = self.find_on_write_database(request, object_id)
        if not (is_allowed and self.has_view_permission(request, found)):
            raise PermissionDenied
        return found

    def post_path(self, route: str, view: Any, name: str) -> URLPattern:
        """
        Return a URL pattern that accepts only POST.

        The view runs outside ``ATOMIC_REQUESTS``: each batch of orders commits by
        itself, and a call to Button must not hold a transaction open.
        """
        view = require_POST(view)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        view = self.admin_site.admin_view(view)
        pattern: URLPattern = path(route, view, name=self.url_name(name))
        return pattern


class ReadOnlyMixin(UrlsMixin):
    """Allow no user to add, change or delete rows, because only the app writes them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def find_admin(site: AdminSite, model: Any) -> Any:
    """Return a model's admin on a site if it is ours, or None."""
    try:
        model_admin = site.get_model_admin(model)
    except NotRegistered:
        return None
    return model_admin if isinstance(model_admin, UrlsMixin) else None


def safe_next_url(request: HttpRequest) -> str:
    """Return the page where a button was pressed, or "" if it is on another host."""
    url = request.POST.get("next", "")
    is_safe = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if is_safe else ""


# Permissions


def user_may(request: HttpRequest, codename: str) -> bool:
    """Return whether the user has a permission of this app."""
    return request.user.has_perm(f"django_button_orders.{codename}")


def may_view_bodies(request: HttpRequest) -> bool:
    """Return whether the user may see customers and the bodies of calls."""
    return user_may(request, "view_bodies_submission")


def shown_error(request: HttpRequest, error: str) -> str:
    """Return an error without what it may quote of a customer the user may not see."""
    return error if may_view_bodies(request) else without_quotes(error)


def hide_quotes(request: HttpRequest, items: Iterable[Any]) -> None:
    """Do to rows of our models, for this page only, what ``shown_error`` does."""
    if may_view_bodies(request):
        return
    for item in items:
        for name in ("last_error", "error"):
            if hasattr(item, name):
                setattr(item, name, without_quotes(getattr(item, name)))


# Settings: a page opens even if BUTTON_ORDERS is invalid.


def known_accounts() -> tuple[str, ...]:
    """Return the names of the accounts, or the default one if settings are invalid."""
    try:
        return account_names()
    except ImproperlyConfigured:
        return (DEFAULT_ACCOUNT,)


def keep_bodies_days() -> int | None:
    """Return ``KEEP_BODIES_DAYS``, or None if the settings are invalid."""
    try:
        return get_settings().keep_bodies_days
    except ImproperlyConfigured:
        return None


# Links from our rows to the shop's own orders


def add_host_order_urls(request: HttpRequest, site: AdminSite, items: Any) -> None:
    """
    Set ``host_model``, ``host_url`` and ``seen_order`` of Button orders or differences.

    The URL is that of the host order's page on the site, and ``seen_order`` is the
    host order. Both are None if the user may not view that page. Each model costs one
    query.
    """
    # A dictionary also remembers the content types whose models are gone.
    models: dict[Any, Any] = {}
    by_model: dict[Any, list[Any]] = {}
    for item in items:
        if item.source_type_id not in models:
            models[item.source_type_id] = item.get_source_model()
        model = item.host_model = models[item.source_type_id]
        item.host_url = item.seen_order = None
        if model is not None and site.is_registered(model):
            by_model.setdefault(model, []).append(item)
    for model, its_items in by_model.items():
        seen = find_visible(request, site.get_model_admin(model), its_items)
        for item in its_items:
            if item.source_id in seen:
                item.host_url = host_order_url(site, model, item.source_id)
                item.seen_order = seen[item.source_id]


def find_visible(
    request: HttpRequest, model_admin: Any, items: list[Any]
) -> dict[str, Any]:
    """Return the host orders that the user may view, by their keys as texts."""
    key, keys = model_admin.opts.pk, set()
    for item in items:
        # The type of a model's key may have changed since the order was saved.
        with suppress(ValidationError, ValueError):
            keys.add(key.to_python(item.source_id))
    found = model_admin.get_queryset(request).filter(pk__in=keys)
    return {
        str(item.pk): item
        for item in found
        if model_admin.has_view_permission(request, item)
    }


def host_order_url(site: AdminSite, model: Any, source_id: str) -> str | None:
    """Return the URL of a host order's page in the admin, or None without one."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return reverse(name, args=[quote(source_id)], current_app=site.name)
    except NoReverseMatch:
        # The shop's ModelAdmin may define other URLs than Django's.
        return None


def host_order_link(item: Any, *, is_named: bool = False) -> str | None:
    """
    Return a link to a row's host order, or only its text if ``host_url`` is not set.

    The text is the model and the key. With ``is_named``, it is the host order's own
    name if the user may view that order. That may cost queries of the shop's.
    """
    if item.source_id is None:
        return None
    is_known = hasattr(item, "host_model")
    model = item.host_model if is_known else item.get_source_model()
    if model is None:
        return str(item.source_id)
    name = f"{model._meta.verbose_name} {item.source_id}"
    url = getattr(item, "host_url", None)
    if url is None:
        return name
    if is_named:
        name = own_name(item.seen_order) or name
    return format_html('<a href="{}"><bdi>{}</bdi></a>', url, name)


def own_name(host_order: Any) -> str:
    """Return what the shop calls an order, shortened, or "" if that is not possible."""
    try:
        with savepoint(host_order._state.db or DEFAULT_DB_ALIAS):
            text = str(host_order)
    except Exception:  # noqa: BLE001 - a method of the shop must not break this page
        return ""
    # A page cannot have lone surrogates.
    words = " ".join(text.encode(errors="replace").decode().split())
    return Truncator(words).chars(MAX_NAME_LENGTH)
