"""The permissions of this app that are not Django's own."""

from __future__ import annotations

from django.http import HttpRequest


def may(request: HttpRequest, permission: str) -> bool:
    return request.user.has_perm(f"django_button_orders.{permission}")


def may_view_bodies(request: HttpRequest) -> bool:
    """Return whether a user may see what is sent of customers, and answered."""
    return may(request, "view_bodies_submission")
