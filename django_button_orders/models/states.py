"""The states of a row: its stored status and reason, and what they mean in SQL."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import this_site
from django_button_orders.models.clock import DatabaseNow, from_now


class Status(models.TextChoices):
    """The status of a row. Only a pending row has something to report."""

    PENDING = "pending", _("Pending")
    REPORTED = "reported", _("Reported")
    CANCELLED = "cancelled", _("Cancelled")
    # Button holds an older state of the order, which can no longer be changed.
    CLOSED = "closed", _("Closed")
    FAILED = "failed", _("Failed")
    DISMISSED = "dismissed", _("Dismissed")


class Reason(models.TextChoices):
    """Why a row has failed, waits or was dismissed."""

    INVALID = "invalid", _("No valid report could be built")
    REFUSED = "refused", _("Button refused it")
    FINALIZED = "finalized", _("Too late to change")
    TAKEN = "taken", _("Button has another order under this ID")
    EXHAUSTED = "exhausted", _("Gave up after all attempts")
    UNAUTHORIZED = "unauthorized", _("Button does not accept the key")
    UNAVAILABLE = "unavailable", _("Button is not available")
    NO_TOKEN = "no_token", _("No attribution token")


# A row is stuck if it has been due for longer than this.
STUCK_SECONDS = 600

# Rows that no worker has claimed yet. With FIRST_REPORT_DELAY they are held until their
# time comes, and a change does not bring that forward.
NEW = Q(
    status=Status.PENDING,
    reason="",
    attempts=0,
    unanswered=0,
    reported_revision__isnull=True,
)
LEASED = Q(lease_expires_at__gt=DatabaseNow())
FREE = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=DatabaseNow())
DUE = FREE & Q(next_attempt_at__lte=DatabaseNow())
# The states of pending rows: each is due, waiting or in flight. A stuck row is also
# due, and no worker has claimed it for a while, or the worker that did has died.
STATES = {
    "due": DUE,
    "waiting": FREE & Q(next_attempt_at__gt=DatabaseNow()),
    "in_flight": LEASED,
    "stuck": DUE
    & (
        Q(next_attempt_at__lte=from_now(-STUCK_SECONDS))
        | Q(lease_expires_at__isnull=False)
    ),
}


def of_this_site() -> Q:
    """
    Return the condition of the rows that this installation may report.

    They are those that it has reported before, and those that nobody has, or before
    ``SITE`` was set.
    """
    site = this_site()
    return Q(site__in=["", site]) if site else Q(site="")
