"""Keep Button's attribution token from the landing page until the checkout."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from django_button_orders.report.validation import is_btn_ref

PARAMETER = "btn_ref"
SESSION_KEY = "button_orders_btn_ref"


class AttributionMiddleware:
    """
    Store the parameter ``btn_ref`` of the URL in the visitor's session.

    A new token replaces the old one. An order does not clear it, because Button
    decides which orders it is for. Logging out ends the session, and so the token.
    Put this middleware below Django's ``SessionMiddleware``.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A missing session is an error that the system checks report.
        session = getattr(request, "session", {})
        btn_ref = request.GET.get(PARAMETER, "")
        if is_usable(btn_ref) and btn_ref != get_btn_ref(request):
            session[SESSION_KEY] = btn_ref
        return self.get_response(request)


def is_usable(btn_ref: str) -> bool:
    # In a Button Link, the parameter has the publisher's ID instead of a token.
    return is_btn_ref(btn_ref) and not btn_ref.startswith("org-")


def get_btn_ref(request: HttpRequest) -> str:
    """Return the attribution token of this visitor, or an empty string."""
    session = getattr(request, "session", None)
    btn_ref = session.get(SESSION_KEY, "") if session is not None else ""
    return btn_ref if is_usable(btn_ref) else ""
