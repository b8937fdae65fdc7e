"""The box on the page of the shop's own order: how its report stands."""

from __future__ import annotations

import logging
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

from django_button_orders.admin.box import find_admin, standing_context
from django_button_orders.admin.display import badge
from django_button_orders.admin.reports import find_reports
from django_button_orders.admin.rights import may
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.report.privacy import describe_for_log

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    ModelAdminBase = ModelAdmin[Any]
else:
    ModelAdminBase = object

logger = logging.getLogger(__name__)

PAGE = "admin/django_button_orders/host/change_form.html"


class ButtonOrderAdminMixin(ModelAdminBase):
    """Puts the box on the pages of a ``ModelAdmin``, above the form."""

    def render_change_form(self, *args: Any, **kwargs: Any) -> Any:
        """
        Wrap whatever template the page has in one that adds the box.

        So there may be a ``change_form_template``, or one found by its name.
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
    request: HttpRequest, host_order: Model, site: AdminSite | None = None
) -> dict[str, Any]:
    """
    Return what the box has to say to a user: nothing to one who may not see it.

    ``site`` is the one that the page belongs to, where that is known. An error of
    the database's is none of the page's, which shows the shop's order.
    """
    site = site or site_of(request)
    if not may_see(request, site):
        return {}
    using = router.db_for_write(type(host_order), instance=host_order)
    try:
        with savepoint(using):
            return describe_reports(request, site, host_order, using=using)
    except DatabaseError as exc:
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "The report of an order cannot be shown: %s", describe_for_log(exc)
        )
        return {"why": _("How its report stands cannot be read now.")}


def describe_reports(
    request: HttpRequest, site: AdminSite, host_order: Model, *, using: str
) -> dict[str, Any]:
    """Describe the latest report of an order, and name the others it has."""
    reports, why = find_reports(host_order, using=using)
    if not reports:
        return {"why": why}
    latest, *others = reports
    if not has_pages(site):
        return {
            "badge": badge(latest),
            "why": _("This admin site has no page for it: register ButtonOrder there."),
        }
    next_url = request.get_full_path()
    context = standing_context(request, latest, site, next_url=next_url)
    if latest.write_db != router.db_for_write(ButtonOrder):
        # The pages and buttons of the admin would be those of another row.
        return {**context, "buttons": [], "elsewhere": latest.write_db}
    return {
        **context,
        "page_url": page_url(site, latest),
        "others": [
            {"order": order, "badge": badge(order), "page_url": page_url(site, order)}
            for order in others
        ],
    }


def site_of(request: HttpRequest) -> AdminSite:
    """Return the site that a page belongs to, or the default one outside them."""
    name = getattr(request, "current_app", None)
    return next((site for site in all_sites if site.name == name), default_site)


def may_see(request: HttpRequest, site: AdminSite) -> bool:
    if not site.has_permission(request):
        return False
    model_admin = find_admin(site, ButtonOrder)
    if model_admin is None:
        return may(request, "view_buttonorder")
    return bool(model_admin.has_view_permission(request))


def has_pages(site: AdminSite) -> bool:
    """Return whether Button orders have our pages there, and those have addresses."""
    model_admin = find_admin(site, ButtonOrder)
    if model_admin is None:
        return False
    # Another site of the same name may have the addresses, but not this page.
    name = f"{site.name}:{model_admin.url_name('retry')}"
    try:
        reverse(name, args=[0])
    except NoReverseMatch:
        return False
    return True


def page_url(site: AdminSite, order: ButtonOrder) -> str:
    return reverse(
        "admin:django_button_orders_buttonorder_change",
        args=[order.pk],
        current_app=site.name,
    )
