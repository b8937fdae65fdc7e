"""
The box with an order's badge, its explanation and its buttons.

It is on the page of the Button order, and on the page of the shop's own order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.translation import gettext as _

from django_button_orders.admin.base import find_admin
from django_button_orders.admin.explain import explain, find_pause
from django_button_orders.admin.formatting import format_status
from django_button_orders.admin.verbs import MAX_NOTE_LENGTH
from django_button_orders.models import ButtonOrder, PausedAccount

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True, kw_only=True)
class Button:
    """
    A form with one button, which posts to ``url``.

    With a ``warning`` or with ``takes_note``, it first shows the warning, or a field
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
    Return the context of the template ``includes/standing.html``.

    It is empty if the user may not view the order on this site. After a press, the
    buttons lead to ``next_url``, or else to the order's page.
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
        "badge": format_status(order),
        "standing": explain(order, pause),
        "buttons": buttons,
        "page_url": page_url,
        "next_url": next_url or page_url,
    }


def resume_buttons(
    request: HttpRequest, pause: PausedAccount, site: AdminSite
) -> list[Button]:
    """Return the button to resume an account, or none if the user may not."""
    model_admin = find_admin(site, PausedAccount)
    if model_admin is None or not (
        model_admin.shows(pause._state.db)
        and model_admin.has_resume_permission(request)
        and model_admin.has_view_permission(request, pause)
    ):
        return []
    label = _("Resume the account %(account)s") % {"account": pause.account}
    return [Button(name="resume", label=label, url=model_admin.url("resume", pause.pk))]
