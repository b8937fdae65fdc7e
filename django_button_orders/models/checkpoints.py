"""The positions from which long commands resume."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.fields import ExactCharField


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


class Checkpoint(models.Model):
    """
    The position of a command that goes through all of a shop's orders.

    It is written in the transaction of the work before it. So a command that was
    killed resumes where its work has really ended.
    """

    # The command, and the orders that it goes through.
    name = ExactCharField(_("name"), max_length=255, unique=True)
    # The position of the last finished order, as ``Keyset`` writes it; empty at first.
    position = models.TextField(_("position"), blank=True)
    counts = models.JSONField(_("counts"), default=dict)
    errors = models.JSONField(_("errors"), default=list)
    started_at = models.DateTimeField(_("started"), db_default=DatabaseNow())
    updated_at = models.DateTimeField(_("updated"), db_default=DatabaseNow())

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
