"""The permissions that are not those of one model's pages."""

from __future__ import annotations

from django.http import HttpRequest

APP = "django_button_orders"


def may_view_bodies(request: HttpRequest) -> bool:
    """Return whether a user may see what is sent of customers, and answered."""
    return request.user.has_perm(f"{APP}.view_bodies_submission")


def may_ask(request: HttpRequest) -> bool:
    return request.user.has_perm(f"{APP}.ask_buttonorder")


def may_resume(request: HttpRequest) -> bool:
    return request.user.has_perm(f"{APP}.resume_pausedaccount")
