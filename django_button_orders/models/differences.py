"""Differences that comparisons have found between the shop, our rows and Button."""

from __future__ import annotations

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_button_orders.conf import ACCOUNT_LENGTH, DEFAULT_ACCOUNT
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.models.contenttypes import model_of
from django_button_orders.models.fields import (
    AnyTextField,
    AwareDateTimeField,
    ExactCharField,
    StrictCharField,
    StrictJSONField,
)


class Difference(models.Model):
    """
    A difference that the last comparison of an order has found.

    Each order has at most one difference for each kind of comparison. A new comparison
    updates it. It contains no personal data: only amounts, dates and codes are stored
    as they are, and all other values as hashes.
    """

    class Side(models.TextChoices):
        SHOP = "shop", _("The shop and the Button order")
        BUTTON = "button", _("The Button order and Button")

    class Kind(models.TextChoices):
        MISSING = "missing", _("The order has no Button order")
        CHANGED = "changed", _("Changed, not reported")
        GONE = "gone", _("The shop's order is gone")
        INVALID = "invalid", _("No valid report can be built")
        UNKNOWN = "unknown", _("Button does not know the order")
        DIFFERENT = "different", _("Button has other values")
        ACTIVE = "active", _("Cancelled here, not at Button")
        DELETED = "deleted", _("Cancelled at Button, not here")
        TOKEN = "token", _("Reported without its current attribution token")

    side = StrictCharField(
        _("comparison"),
        max_length=6,
        choices=Side,
        help_text=_("The two sides that were compared."),
    )
    kind = StrictCharField(
        _("difference"),
        max_length=9,
        choices=Kind,
        help_text=_("How the two sides differ."),
    )
    account = ExactCharField(
        _("account"),
        max_length=ACCOUNT_LENGTH,
        default=DEFAULT_ACCOUNT,
        help_text=_("The account at Button, as BUTTON_ORDERS names it."),
    )
    order_id = ExactCharField(
        _("order ID"),
        max_length=255,
        help_text=_("The shop's unique ID of the order. Button finds the order by it."),
    )
    # The same columns as on a row. They identify an order that has no row.
    source_type = models.ForeignKey(
        ContentType,
        verbose_name=_("source type"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text=_(
            "The content type of the shop's order; empty if it is reported directly."
        ),
    )
    source_id = ExactCharField(
        _("source ID"),
        max_length=255,
        null=True,
        blank=True,
        help_text=_(
            "The primary key of the shop's order; empty if it is reported directly."
        ),
    )
    # The values of the row and of the other side, by the names of the fields.
    values = StrictJSONField(
        _("values"),
        default=dict,
        blank=True,
        help_text=_(
            "The values of both sides by field, as JSON; personal data as hashes."
        ),
    )
    error = AnyTextField(
        _("error"),
        blank=True,
        help_text=_("Why the two sides cannot be compared or fixed; empty otherwise."),
    )
    found_at = AwareDateTimeField(
        _("found"),
        db_default=DatabaseNow(),
        help_text=_("When the difference was last found."),
    )
    fixed_at = AwareDateTimeField(
        _("fixed"),
        null=True,
        blank=True,
        help_text=_(
            "When the order was marked due, or both sides agreed again; empty"
            " until then."
        ),
    )

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        constraints = [
            # The order id comes first, because people search for it.
            models.UniqueConstraint(
                fields=["order_id", "account", "side"], name="button_difference_unique"
            ),
        ]
        indexes = [
            # For pruning and the admin's list. The next two are for its filters.
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
        """Return the model of the host order, or None if it is gone."""
        return model_of(self.source_type_id, self._state.db)
