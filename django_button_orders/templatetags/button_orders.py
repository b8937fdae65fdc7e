"""``{% button_order_box order %}``, for templates of your own."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

register = template.Library()


@register.inclusion_tag("admin/django_button_orders/host/box.html", takes_context=True)
def button_order_box(context: template.Context, host_order: Any) -> dict[str, Any]:
    """Show how the report of the shop's order stands, and the user's buttons."""
    # Django imports all tags there are, and the admin cannot be imported where it
    # is not installed.
    from django_button_orders.admin.host import box_context

    request = getattr(context, "request", None)
    if request is None:
        raise ImproperlyConfigured("{% button_order_box %} needs a request.")
    if not isinstance(host_order, Model):
        # What a template does not know is an empty text there.
        return {}
    return {
        **box_context(request, host_order, context.get("button_order_site")),
        "is_popup": context.get("is_popup", False),
    }
