"""What a pending order waits for, in the explanation of its commission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import get_settings
from django_button_orders.models import ButtonOrder, PausedAccount

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

DISABLED = _("ENABLED is false for the account %(account)s.")
PAUSED = _(
    "The account %(account)s is paused, because Button refused its API key. Correct "
    "API_KEY and resume it."
)
IN_FLIGHT = _("A worker is sending it right now.")
WAITS = _("The next attempt is on %(next)s.")
DUE = _(
    "It has been due since %(next)s. Check that a Celery worker and Celery beat are "
    "running."
)


def find_wait(order: ButtonOrder, pause: PausedAccount | None) -> _StrPromise:
    """Return what a pending order waits for. The texts have placeholders."""
    row = order.row()
    if row.in_flight().exists():
        return IN_FLIGHT
    if not is_enabled(order.account):
        return DISABLED
    if pause is not None:
        return PAUSED
    return WAITS if row.waiting().exists() else DUE


def is_enabled(account: str) -> bool:
    """Return whether the settings let an account's orders be sent."""
    try:
        return get_settings(account).enabled
    except ImproperlyConfigured:
        # The worker's next attempt writes the error of the settings onto the row.
        return True
