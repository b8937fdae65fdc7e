"""Where an order stands and what can be done: on its own page, and on the shop's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from django_button_orders.admin.base import AddressedAdmin
from django_button_orders.admin.display import badge
from django_button_orders.admin.forms import MAX_NOTE_LENGTH
from django_button_orders.admin.standing import describe, find_pause
from django_button_orders.models import ButtonOrder, PausedAccount

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True, kw_only=True)
class Button:
    """
    A form with one button, which posts to ``url``.

    ``warning`` is what it says before it acts, and ``takes_note`` makes it ask
    for a note.
    """

    name: str
    label: _StrPromise | str
    url: str
    warning: _StrPromise | str = ""
    takes_note: bool = False
    max_note_length: ClassVar[int] = MAX_NOTE_LENGTH


def standing_context(
    request: HttpRequest, order: ButtonOrder, site: AdminSite, *, next_url: str = ""
) -> dict[str, Any]:
    """
    Return what the template ``includes/standing.html`` needs of an order.

    That is nothing for a user who may not see the order there. ``next_url`` is
    where the buttons lead to, if not to the order's own page.
    """
    model_admin = find_admin(site, ButtonOrder)
    if model_admin is None or not model_admin.has_view_permission(request, order):
        return {}
    page_url = model_admin.button_url(request, order)
    pause = find_pause(order)
    buttons = model_admin.buttons_for(request, order)
    if pause is not None:
        buttons += resume_buttons(request, pause, site)
    return {
        "button_order": order,
        "badge": badge(order),
        "standing": describe(order, pause),
        "buttons": buttons,
        "page_url": page_url,
        "next_url": next_url or page_url,
    }


def resume_buttons(
    request: HttpRequest, pause: PausedAccount, site: AdminSite
) -> list[Button]:
    model_admin = find_admin(site, PausedAccount)
    if model_admin is None or not model_admin.has_resume_permission(request):
        return []
    label = _("Resume the account %(account)s") % {"account": pause.account}
    return [Button(name="resume", label=label, url=model_admin.url("resume", pause.pk))]


def find_admin(site: AdminSite, model: Any) -> Any:
    """Return the admin of a model of ours, unless a project has put its own there."""
    try:
        model_admin = site.get_model_admin(model)
    except NotRegistered:
        return None
    return model_admin if isinstance(model_admin, AddressedAdmin) else None


def safe_next_url(request: HttpRequest) -> str:
    """Return where a button was pressed, if that is a page of this site."""
    url = request.POST.get("next", "")
    is_safe = url_has_allowed_host_and_scheme(
        url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return url if is_safe else ""
