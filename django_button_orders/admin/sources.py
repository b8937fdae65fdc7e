"""The way from a row to the shop's own order."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse

from django_button_orders.models import ButtonOrder


def describe_source(
    request: HttpRequest, site: AdminSite, order: ButtonOrder
) -> dict[str, Any]:
    """Return what the page shows of the shop's order: a name, and maybe a link."""
    if order.source_id is None:
        return {}
    model = order.get_source_model()
    if model is None:
        return {"source": order.source_id}
    return {
        "source": f"{model._meta.verbose_name} {order.source_id}",
        "source_url": source_url(request, site, model, order.source_id),
    }


def source_url(
    request: HttpRequest, site: AdminSite, model: Any, source_id: str
) -> str | None:
    """Return the address of the shop's order, if the user may see it there."""
    try:
        model_admin = site.get_model_admin(model)
    except NotRegistered:
        return None
    found = model_admin.get_object(request, source_id)
    if found is None or not model_admin.has_view_permission(request, found):
        return None
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return reverse(name, args=[quote(source_id)], current_app=site.name)
