"""When the last message about each cause was sent to the addresses of ``ALERTS``."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.fields import (
    AwareDateTimeField,
    StrictCharField,
    as_aware,
)

# At most one message about a cause is sent in this time.
INTERVAL = timedelta(days=1)


class SentAlertQuerySet(models.QuerySet["SentAlert"]):
    def last_messages(self) -> dict[str, datetime | None]:
        """Return when the last message about each cause was sent."""
        sent = self.values_list("cause", "sent_at")
        return {cause: as_aware(sent_at) for cause, sent_at in sent}

    def claim(self, cause: str, *, now: datetime) -> bool:
        """Move the date of a cause to ``now``. Return False if it is too early."""
        self.bulk_create([self.model(cause=cause)], ignore_conflicts=True)
        is_over = Q(sent_at__isnull=True) | Q(sent_at__lte=now - INTERVAL)
        return self.filter(is_over, cause=cause).update(sent_at=now) == 1

    def release(self, cause: str, *, now: datetime, last: datetime | None) -> None:
        """Move the date of a claimed cause back, because no message was sent."""
        self.filter(cause=cause, sent_at=now).update(sent_at=last)


class SentAlert(models.Model):
    """
    The last message about one cause, such as a paused account.

    There is one row for each cause. The process that moves its date on sends the
    message, so that no two processes send it.
    """

    cause = StrictCharField(
        _("cause"),
        primary_key=True,
        max_length=20,
        help_text=_("The cause of the message, such as account_paused."),
    )
    sent_at = AwareDateTimeField(
        _("sent"),
        null=True,
        help_text=_("When the last message was sent; empty before the first."),
    )

    objects = SentAlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("sent alert")
        verbose_name_plural = _("sent alerts")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.cause)
