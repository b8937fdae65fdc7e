"""The attribution tokens of orders whose model has no field for one."""

from __future__ import annotations

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.fields import (
    AwareDateTimeField,
    ExactCharField,
    StrictCharField,
)


class AttributionTokenQuerySet(models.QuerySet["AttributionToken"]):
    def of_order(
        self, source_type_id: int | None, source_id: str | None
    ) -> AttributionTokenQuerySet:
        """Select the token of an order, by what a row keeps of the order."""
        return self.filter(source_type_id=source_type_id, source_id=source_id)


class AttributionToken(models.Model):
    """
    The attribution token of one of the shop's orders, as ``set_btn_ref`` keeps it.

    The table is empty if the shop's own order model has a field for the token.
    """

    # There is no constraint, because the content types may be in another database.
    source_type = models.ForeignKey(
        ContentType,
        verbose_name=_("source type"),
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text=_("The content type of the shop's order."),
    )
    source_id = ExactCharField(
        _("source ID"),
        max_length=255,
        help_text=_("The primary key of the shop's order."),
    )
    btn_ref = StrictCharField(
        _("attribution token"),
        max_length=255,
        help_text=_("The btn_ref of the Button link that the customer followed."),
    )
    kept_at = AwareDateTimeField(
        _("kept"),
        db_default=DatabaseNow(),
        help_text=_("When the shop called set_btn_ref() with this token."),
    )

    objects = AttributionTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("attribution token")
        verbose_name_plural = _("attribution tokens")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["source_type", "source_id"], name="button_token_source"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_type_id} {self.source_id}"
