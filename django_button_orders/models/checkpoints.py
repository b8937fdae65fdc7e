"""How far the long commands have come."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.fields import ExactCharField


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def begin(self, name: str) -> Checkpoint:
        """Return a checkpoint at the start, in place of one that there may be."""
        values = {"position": "", "counts": {}, "errors": []}
        moments = {"started_at": DatabaseNow(), "updated_at": DatabaseNow()}
        checkpoint, _ = self.update_or_create(
            name=name, defaults={**values, **moments}, create_defaults=values
        )
        checkpoint.refresh_from_db(using=self.db)
        return checkpoint


class Checkpoint(models.Model):
    """
    How far a command has come that goes through a shop's orders.

    It is written in the transaction of what was done until there, so a command
    that is killed goes on where the database says that it was.
    """

    # Which command, and through which orders.
    name = ExactCharField(_("name"), max_length=255, unique=True)
    # The key of the last order that is done, as text; empty at the start.
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
        """Write down how far it has come, in the transaction of what was done."""
        rows = type(self)._default_manager.using(self._state.db)
        rows.filter(pk=self.pk).update(updated_at=DatabaseNow(), **values)
