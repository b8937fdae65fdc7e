"""The template tag ``{% button_order_box order %}``, for the shop's templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

register = template.Library()


@register.inclusion_tag("admin/django_button_orders/host/box.html", takes_context=True)
def button_order_box(context: template.Context, host_order: Any) -> dict[str, Any]:
    """Explain how a host order's report stands, and show the user's buttons."""
    if not apps.is_installed("django.contrib.admin"):
        # The dashboard of an Oscar shop may be its only admin.
        return {}
    # Imported here, because it cannot be imported without Django's admin.
    from django_button_orders.admin.host import box_context

    request = getattr(context, "request", None)
    if request is None:
        raise ImproperlyConfigured("{% button_order_box %} needs a request.")
    if not isinstance(host_order, Model):
        # A template passes "" for a variable that it does not have.
        return {}
    return {
        **box_context(request, host_order, context.get("button_order_site")),
        "is_popup": context.get("is_popup", False),
    }
