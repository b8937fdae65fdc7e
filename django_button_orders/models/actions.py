"""Actions of operators on many orders, which wait for the next sweep."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.fields import ExactCharField, StrictJSONField


class QueuedAction(models.Model):
    """
    A batch of orders that the next sweep retries, cancels, dismisses or erases.

    The row is deleted after its orders were changed. A process that is killed in
    between leaves it to the next sweep, which skips the orders that were changed.
    """

    # A key of ``operations.orders.ACTIONS``.
    action = ExactCharField(
        _("action"), max_length=20, help_text=_("Retry, cancel, dismiss or erase.")
    )
    keys = StrictJSONField(
        _("keys of the orders"),
        default=list,
        help_text=_("The primary keys of the Button orders, as JSON."),
    )
    # The log may be in another database, so this is no foreign key.
    entry_id = models.BigIntegerField(
        _("log entry"),
        help_text=_("The entry of the admin's log that has the user and the note."),
    )

    class Meta:
        verbose_name = _("queued action")
        verbose_name_plural = _("queued actions")

    def __str__(self) -> str:
        return f"{self.action}: {len(self.keys)}"
