"""What the sweep has noted of its rounds: figures that take too long to count anew."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow

# The key of the only row.
ONLY = 1


class Snapshot(models.Model):
    """How things stood when a sweep last looked. One row for each database."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    swept_at = models.DateTimeField(_("last sweep"), db_default=DatabaseNow())
    # When it may be taken again, and by whoever moves this on.
    next_at = models.DateTimeField(_("next"), db_default=DatabaseNow())
    taken_at = models.DateTimeField(_("taken"), null=True)
    seconds = models.FloatField(_("seconds it took"), default=0)
    figures = models.JSONField(_("figures"), default=dict)

    class Meta:
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.taken_at)


class SubmissionHour(models.Model):
    """The submissions of an hour that is over, by outcome and duration."""

    hour = models.DateTimeField(_("hour"), primary_key=True)
    # {"succeeded": {"48": 3}}: three of 48 ms, or a little more.
    durations = models.JSONField(_("durations"), default=dict)

    class Meta:
        verbose_name = _("hour of submissions")
        verbose_name_plural = _("hours of submissions")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.hour)
