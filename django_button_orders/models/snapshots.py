"""Figures that the sweep counts, because counting them for each page is too slow."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.fields import AwareDateTimeField, StrictJSONField

# The primary key of the only row.
ONLY = 1


class Snapshot(models.Model):
    """The figures of the last count. There is one row in each database."""

    id = models.PositiveSmallIntegerField(
        primary_key=True,
        default=ONLY,
        help_text=_("Always 1, because each database has one snapshot."),
    )
    swept_at = AwareDateTimeField(
        _("last sweep"),
        db_default=DatabaseNow(),
        help_text=_("When the last sweep ended, to within 10 seconds."),
    )
    # The earliest time of the next count. The sweep that moves it does the count.
    next_at = AwareDateTimeField(
        _("next count"),
        db_default=DatabaseNow(),
        help_text=_("The earliest time of the next count."),
    )
    taken_at = AwareDateTimeField(
        _("counted"),
        null=True,
        help_text=_("When the figures were counted; empty before the first count."),
    )
    seconds = models.FloatField(
        _("duration in seconds"),
        default=0,
        help_text=_("How long counting took, in seconds."),
    )
    figures = StrictJSONField(
        _("figures"),
        default=dict,
        help_text=_("The counted figures, as JSON."),
    )

    class Meta:
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.taken_at)


class SubmissionHour(models.Model):
    """The submissions of one past hour, counted by outcome and duration."""

    hour = AwareDateTimeField(
        _("hour"),
        primary_key=True,
        help_text=_("When the hour began."),
    )
    # {"succeeded": {"48": 3}}: three submissions of 48 ms, or slightly more.
    durations = StrictJSONField(
        _("durations"),
        default=dict,
        help_text=_(
            "The number of calls by outcome and by duration in milliseconds, as JSON."
        ),
    )

    class Meta:
        verbose_name = _("hour of submissions")
        verbose_name_plural = _("hours of submissions")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.hour)
