"""The positions from which long commands resume, and the moment of the first work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.fields import (
    AnyTextField,
    AwareDateTimeField,
    ExactCharField,
    StrictJSONField,
)
from django_button_orders.models.orders import ButtonOrder

# The name of the checkpoint that begins when the app is first at work on a database.
FIRST_AT_WORK = "first at work"


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def begin(self, name: str) -> Checkpoint:
        """Create a checkpoint at the start, or reset the one with this name."""
        values = {"position": "", "counts": {}, "errors": []}
        moments = {"started_at": DatabaseNow(), "updated_at": DatabaseNow()}
        checkpoint, _ = self.update_or_create(
            name=name, defaults={**values, **moments}, create_defaults=values
        )
        checkpoint.refresh_from_db(using=self.db)
        return checkpoint

    def first_at_work(self) -> datetime:
        """
        Return the moment at which the app was first at work on this database.

        It is stored by the first call, and never moved. A database that has rows by
        then takes the moment at which the oldest of them was created.
        """
        moments = self.filter(name=FIRST_AT_WORK).values_list("started_at", flat=True)
        if (moment := moments.first()) is not None:
            return moment
        rows = ButtonOrder.objects.using(self.db).order_by("pk")
        oldest = rows.values_list("created_at", flat=True).first()
        values = {} if oldest is None else {"started_at": oldest}
        self.get_or_create(name=FIRST_AT_WORK, defaults=values)
        return moments.get()


class Checkpoint(models.Model):
    """
    The position of a command that goes through all of a shop's orders.

    It is written in the transaction of the work before it. So a command that was
    killed resumes where its work has really ended.
    """

    # The command, and the orders that it goes through.
    name = ExactCharField(
        _("name"),
        max_length=255,
        unique=True,
        help_text=_("The command and the orders that it goes through."),
    )
    # The position of the last finished order, as ``Keyset`` writes it; empty at first.
    position = AnyTextField(
        _("position"),
        blank=True,
        help_text=_("The last finished order; empty at the start."),
    )
    counts = StrictJSONField(
        _("counts"),
        default=dict,
        help_text=_("The number of orders by result, as JSON."),
    )
    errors = StrictJSONField(
        _("errors"),
        default=list,
        help_text=_("The first errors, as JSON."),
    )
    started_at = AwareDateTimeField(
        _("started"),
        db_default=DatabaseNow(),
        help_text=_("When the command started."),
    )
    updated_at = AwareDateTimeField(
        _("updated"),
        db_default=DatabaseNow(),
        help_text=_("When the position was last stored."),
    )

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")

    def __str__(self) -> str:
        return str(self.name)

    def advance(self, **values: Any) -> None:
        """Store the new position. Call it in the transaction of the work before it."""
        rows = type(self)._default_manager.using(self._state.db)
        rows.filter(pk=self.pk).update(updated_at=DatabaseNow(), **values)
