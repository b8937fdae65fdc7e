"""
The box on the page of the shop's own order, with its reports and their buttons.

``ButtonOrderAdminMixin`` adds the box to a ``ModelAdmin``. The template tag
``button_order_box`` shows the same box elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import AdminSite
from django.contrib.admin.sites import all_sites
from django.contrib.admin.sites import site as default_site
from django.db import DatabaseError, router
from django.db.models import Model
from django.http import HttpRequest
from django.template.response import SimpleTemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from django_button_orders.admin.base import (
    find_admin,
    hide_quotes,
    shown_error,
    user_may,
)
from django_button_orders.admin.formatting import format_status
from django_button_orders.admin.standing import standing_context
from django_button_orders.models import ButtonOrder, content_type_of
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.outbox.adapters import find_adapter
from django_button_orders.outbox.identity import RowKey
from django_button_orders.outbox.savepoints import LazySavepoint, savepoint
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_exception, describe_for_log

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    ModelAdminBase = ModelAdmin[Any]
else:
    ModelAdminBase = object

logger = get_logger(__name__)

PAGE = "admin/django_button_orders/host/change_form.html"
# An order has one report, unless its account or its id has changed.
MAX_REPORTS = 20


class ButtonOrderAdminMixin(ModelAdminBase):
    """Add Button's box to the change pages of a ``ModelAdmin``, above the form."""

    def render_change_form(self, *args: Any, **kwargs: Any) -> Any:
        """
        Extend the page's template by one that adds the box.

        The ``ModelAdmin`` may have any template, such as a ``change_form_template``.
        """
        response = super().render_change_form(*args, **kwargs)
        if not isinstance(response, SimpleTemplateResponse) or response.is_rendered:
            return response
        context = response.context_data or {}
        if context.get("original") is not None:
            page = response.resolve_template(response.template_name)
            response.context_data = {
                **context,
                "button_order_page": page,
                "button_order_site": self.admin_site,
            }
            response.template_name = PAGE
        return response


def box_context(
    request: HttpRequest, host_order: Model, site: AdminSite | None
) -> dict[str, Any]:
    """
    Return the context of the box. It is empty if the user may not see the box.

    ``site`` is the admin site of the page, if that is known. A database error becomes
    a sentence in the box, so that the page of the shop's order still opens.
    """
    site = site or site_of(request)
    if not may_see_box(request, site):
        return {}
    using = router.db_for_write(type(host_order), instance=host_order)
    try:
        with savepoint(using):
            return reports_context(request, site, host_order, using=using)
    except DatabaseError as exc:
        logger.error(
            "The report of an order cannot be shown: %s", describe_for_log(exc)
        )
        return {"why": _("The state of its report cannot be read right now.")}


def reports_context(
    request: HttpRequest, site: AdminSite, host_order: Model, *, using: str
) -> dict[str, Any]:
    """Return the context for an order's latest report, and links to the others."""
    reports, why = find_reports(host_order, using=using)
    if not reports:
        return {"why": shown_error(request, why)}
    hide_quotes(request, reports)
    latest, *others = reports
    if not has_pages(site):
        return {
            "badge": format_status(latest),
            "why": _(
                "This admin site has no page for Button orders: register "
                "ButtonOrder on it."
            ),
        }
    next_url = request.get_full_path()
    context = standing_context(request, latest, site, next_url=next_url)
    if latest.write_db != find_admin(site, ButtonOrder).write_database:
        # The site shows another database, where this key is that of another row.
        return {**context, "buttons": [], "elsewhere": latest.write_db}
    return {
        **context,
        "page_url": report_url(site, latest),
        "others": [
            {
                "order": order,
                "badge": format_status(order),
                "page_url": report_url(site, order),
            }
            for order in others
        ],
    }


def site_of(request: HttpRequest) -> AdminSite:
    """Return the admin site of a page, or the default site for other pages."""
    name = getattr(request, "current_app", None)
    return next((site for site in all_sites if site.name == name), default_site)


def may_see_box(request: HttpRequest, site: AdminSite) -> bool:
    """Return whether the user may use the site and view Button orders."""
    if not site.has_permission(request):
        return False
    model_admin = find_admin(site, ButtonOrder)
    if model_admin is None:
        return user_may(request, "view_buttonorder")
    return bool(model_admin.has_view_permission(request))


def has_pages(site: AdminSite) -> bool:
    """Return whether the site has our pages of Button orders and their URLs."""
    model_admin = find_admin(site, ButtonOrder)
    if model_admin is None:
        return False
    # A second site with the same name may have taken the URLs, without that of Retry.
    name = f"{site.name}:{model_admin.url_name('retry')}"
    try:
        reverse(name, args=[0])
    except NoReverseMatch:
        return False
    return True


def report_url(site: AdminSite, order: ButtonOrder) -> str:
    """Return the URL of a Button order's page on a site."""
    return reverse(
        "admin:django_button_orders_buttonorder_change",
        args=[order.pk],
        current_app=site.name,
    )


def find_reports(host_order: Model, *, using: str) -> tuple[list[ButtonOrder], str]:
    """Return an order's Button orders, the latest first, or why there is none."""
    rows = ButtonOrder.objects.using(using).order_by("-pk")
    found = list(filter_by_host_order(rows, host_order)[:MAX_REPORTS])
    return (found, "") if found else find_by_order_id(rows, host_order)


def filter_by_host_order(
    rows: ButtonOrderQuerySet, host_order: Model
) -> ButtonOrderQuerySet:
    """Return the rows whose host order is ``host_order``."""
    adapter = find_adapter(type(host_order))
    model = type(host_order) if adapter is None else adapter.model
    kind = content_type_of(model, rows.db)
    return rows.filter(source_type=kind.pk, source_id=str(host_order.pk))


def find_by_order_id(
    rows: ButtonOrderQuerySet, host_order: Model
) -> tuple[list[ButtonOrder], str]:
    """
    Return the row that the next save would mark, or why there is none.

    The shop may have reported the order directly, before it had an adapter.
    """
    adapter = find_adapter(type(host_order))
    if adapter is None:
        return [], _(
            "These orders are not reported to Button: no adapter is registered "
            "for %(model)s."
        ) % {"model": host_order._meta.label}
    identity = RowKey(adapter, host_order)
    try:
        with LazySavepoint(rows.db):
            identity.resolve()
    except Exception as exc:  # noqa: BLE001 - an adapter must not break this page
        return [], _("It cannot be reported: %(error)s") % {
            "error": describe_exception(exc, identity.hook_name)
        }
    found = rows.filter(account=identity.account, order_id=identity.order_id)
    return list(found), explain_missing(identity)


def explain_missing(identity: RowKey) -> str:
    """Return why an order has no row, although its adapter raises no error."""
    if identity.is_reportable:
        return _(
            "This order has no Button order: it was saved before the app was "
            "installed, or in a way that sends no signal. Save it, or run "
            "button_orders_backfill."
        )
    return _(
        "This order is not reported: is_reportable() of %(adapter)s returns "
        "False. When it returns True, the next save reports the order."
    ) % {"adapter": identity.adapter.name}
