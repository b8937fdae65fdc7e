"""The way to the shop's own order, from its row and from what was found about it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html


def source_link(item: Any) -> str | None:
    """Return what the shop's order is called, with a link if one was looked for."""
    if item.source_id is None:
        return None
    is_known = hasattr(item, "source_model")
    model = item.source_model if is_known else item.get_source_model()
    if model is None:
        return str(item.source_id)
    name = f"{model._meta.verbose_name} {item.source_id}"
    url = getattr(item, "source_url", None)
    return format_html('<a href="{}">{}</a>', url, name) if url else name


def address(site: AdminSite, model: Any, source_id: str) -> str | None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return reverse(name, args=[quote(source_id)], current_app=site.name)
    except NoReverseMatch:
        # A shop's admin may have other pages than Django's.
        return None


def link_to_sources(request: HttpRequest, site: AdminSite, items: Any) -> None:
    """
    Look for the addresses of the shop's orders, with one query for each model.

    They are for users who may see them there. The items are rows, or differences.
    """
    # Also those that are gone, which nothing else remembers.
    models: dict[Any, Any] = {}
    by_model: dict[Any, list[Any]] = {}
    for item in items:
        if item.source_type_id not in models:
            models[item.source_type_id] = item.get_source_model()
        model = item.source_model = models[item.source_type_id]
        item.source_url = None
        if model is not None and site.is_registered(model):
            by_model.setdefault(model, []).append(item)
    for model, its_items in by_model.items():
        seen = visible_keys(request, site.get_model_admin(model), its_items)
        for item in its_items:
            if item.source_id in seen:
                item.source_url = address(site, model, item.source_id)


def visible_keys(request: HttpRequest, model_admin: Any, items: list[Any]) -> set[str]:
    """Return the keys of the shop's orders that the user may view there."""
    key, keys = model_admin.opts.pk, set()
    for item in items:
        # A model may have got another kind of key since.
        with suppress(ValidationError, ValueError):
            keys.add(key.to_python(item.source_id))
    found = model_admin.get_queryset(request).filter(pk__in=keys)
    return {
        str(item.pk) for item in found if model_admin.has_view_permission(request, item)
    }
