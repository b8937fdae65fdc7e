"""The way from a row to the shop's own order."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.utils import quote
from django.core.exceptions import ValidationError
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
    return address(site, model, source_id)


def address(site: AdminSite, model: Any, source_id: str) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    return reverse(name, args=[quote(source_id)], current_app=site.name)


def link_to_sources(request: HttpRequest, site: AdminSite, orders: Any) -> None:
    """Give orders the addresses of the shop's orders, with one query per model."""
    by_model: dict[Any, list[Any]] = {}
    for order in orders:
        order.source_url = None
        model = order.get_source_model()
        if model is not None and site.is_registered(model):
            by_model.setdefault(model, []).append(order)
    for model, its_orders in by_model.items():
        seen = visible_keys(request, site.get_model_admin(model), its_orders)
        for order in its_orders:
            if order.source_id in seen:
                order.source_url = address(site, model, order.source_id)


def visible_keys(
    request: HttpRequest, model_admin: Any, orders: list[ButtonOrder]
) -> set[str]:
    """Return the keys of the shop's orders that the user may view there."""
    if not model_admin.has_view_permission(request):
        return set()
    key, keys = model_admin.opts.pk, set()
    for order in orders:
        # A model may have got another kind of key since.
        with suppress(ValidationError, ValueError):
            keys.add(key.to_python(order.source_id))
    found = model_admin.get_queryset(request).filter(pk__in=keys)
    return {
        str(item.pk) for item in found if model_admin.has_view_permission(request, item)
    }
