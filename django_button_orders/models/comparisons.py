"""What goes through all of a shop's orders: how far it is, and what was amiss."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.contenttypes import model_of
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


class Difference(models.Model):
    """
    What two sides did not agree about when an order was last compared.

    One for each order and comparison: what is found again is the same one. It
    holds no personal data: of all but amounts, dates and codes there are hashes.
    """

    class Side(models.TextChoices):
        SHOP = "shop", _("The shop and its row")
        BUTTON = "button", _("The row and Button")

    class Kind(models.TextChoices):
        MISSING = "missing", _("The order has no row")
        CHANGED = "changed", _("The order has changed unseen")
        GONE = "gone", _("The shop's order is gone")
        INVALID = "invalid", _("No valid report can be built")
        UNKNOWN = "unknown", _("Button does not know the order")
        DIFFERENT = "different", _("Button has other values")
        ACTIVE = "active", _("Cancelled here, and not at Button")
        DELETED = "deleted", _("Cancelled at Button, and not here")

    side = models.CharField(_("comparison"), max_length=6, choices=Side)
    kind = models.CharField(_("difference"), max_length=9, choices=Kind)
    account = ExactCharField(_("account"), max_length=100, default=DEFAULT_ACCOUNT)
    order_id = ExactCharField(_("order ID"), max_length=255)
    # As on a row: an order that has none is found by these.
    source_type = models.ForeignKey(
        ContentType,
        verbose_name=_("source type"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    source_id = ExactCharField(_("source ID"), max_length=255, null=True, blank=True)
    # What the row has and what the other side has, by the names of what differs.
    values = models.JSONField(_("values"), default=dict, blank=True)
    error = models.TextField(_("error"), blank=True)
    found_at = models.DateTimeField(_("found"), db_default=DatabaseNow())
    fixed_at = models.DateTimeField(
        _("fixed"),
        null=True,
        blank=True,
        help_text=_("When the order was marked due, or both sides agreed again."),
    )

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        constraints = [
            # Begins with what people search for.
            models.UniqueConstraint(
                fields=["order_id", "account", "side"], name="button_difference_unique"
            ),
        ]
        indexes = [
            # Pruning, and the list in the admin, whose filters are below.
            models.Index(fields=["found_at", "id"], name="button_difference_found"),
            models.Index(
                fields=["kind", "found_at", "id"], name="button_difference_kind"
            ),
            models.Index(
                fields=["fixed_at", "found_at", "id"], name="button_difference_fixed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.kind}"

    def get_source_model(self) -> type[models.Model] | None:
        return model_of(self.source_type_id, self._state.db)
