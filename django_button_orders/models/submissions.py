"""The record of calls: what was sent to Button, and what Button answered."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from django_button_orders.models.fields import (
    AnyTextField,
    AwareDateTimeField,
    StrictCharField,
)
from django_button_orders.models.orders import ButtonOrder
from django_button_orders.models.querysets import LockableQuerySet


class SubmissionQuerySet(LockableQuerySet["Submission"]):
    """A queryset of submissions."""


class Submission(models.Model):
    """One call to Button, as sent and answered. Only pruning and erasing change it."""

    # The contexts tell translators that these short words are no buttons.
    class Operation(models.TextChoices):
        CREATE = "create", pgettext_lazy("operation", "Create")
        UPDATE = "update", pgettext_lazy("operation", "Update")
        CANCEL = "cancel", pgettext_lazy("operation", "Cancel")
        RETRIEVE = "retrieve", pgettext_lazy("operation", "Retrieve")

    class Trigger(models.TextChoices):
        SAVE = "save", pgettext_lazy("trigger", "Save")
        SWEEP = "sweep", pgettext_lazy("trigger", "Sweep")
        ADMIN = "admin", pgettext_lazy("trigger", "Admin")
        BACKFILL = "backfill", pgettext_lazy("trigger", "Backfill")
        COMMAND = "command", pgettext_lazy("trigger", "Command")
        RECONCILE = "reconcile", pgettext_lazy("trigger", "Reconcile")

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded", _("Succeeded")
        WILL_RETRY = "will_retry", _("Will retry")
        FAILED = "failed", _("Failed")

    button_order = models.ForeignKey(
        ButtonOrder,
        verbose_name=_("Button order"),
        on_delete=models.CASCADE,
        related_name="submissions",
        help_text=_("The Button order that the call was for."),
    )
    operation = StrictCharField(
        _("operation"),
        max_length=8,
        choices=Operation,
        help_text=_("The request to Button: create, update, cancel or retrieve."),
    )
    trigger = StrictCharField(
        _("trigger"),
        max_length=9,
        choices=Trigger,
        help_text=_(
            "The cause of the attempt, such as a save of the order or the sweep."
        ),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        related_name="+",
        help_text=_(
            "The user who started the attempt in the admin; empty for other attempts."
        ),
    )
    revision = models.IntegerField(
        _("revision"),
        help_text=_("The revision of the Button order that the attempt was for."),
    )
    started_at = AwareDateTimeField(
        _("started"),
        help_text=_("When the call started."),
    )
    duration_ms = models.IntegerField(
        _("duration in ms"),
        help_text=_("How long the call took, in milliseconds."),
    )
    method = StrictCharField(
        _("method"),
        max_length=6,
        help_text=_("The HTTP method of the call."),
    )
    url = AnyTextField(
        _("URL"),
        help_text=_("The URL of the call."),
    )
    request_body = AnyTextField(
        _("request body"),
        blank=True,
        help_text=_(
            "The JSON that was sent; empty if there was none or it was pruned."
        ),
    )
    status_code = models.SmallIntegerField(
        _("status code"),
        null=True,
        blank=True,
        help_text=_("The HTTP status of the answer; empty if no answer arrived."),
    )
    response_body = AnyTextField(
        _("response body"),
        blank=True,
        help_text=_(
            "The body of the answer; empty if there was none or it was pruned."
        ),
    )
    outcome = StrictCharField(
        _("outcome"),
        max_length=10,
        choices=Outcome,
        help_text=_("Whether the call succeeded, failed, or will be retried."),
    )
    error = AnyTextField(
        _("error"),
        blank=True,
        help_text=_("The error of the call; empty if there was none."),
    )
    # False after pruning, so that the next pruning does not read the row again.
    has_bodies = models.BooleanField(
        _("has bodies"),
        default=True,
        db_default=True,
        editable=False,
        help_text=_("Whether a body is stored; false after the bodies were pruned."),
    )

    objects = SubmissionQuerySet.as_manager()

    class Meta:
        verbose_name = _("submission")
        verbose_name_plural = _("submissions")
        indexes = [
            # For the figures of recent calls, which need no other column, and pruning.
            models.Index(
                fields=["started_at", "outcome", "duration_ms"],
                name="button_submission_lately",
            ),
            # For pruning bodies.
            models.Index(
                fields=["has_bodies", "started_at", "id"],
                name="button_submission_bodies",
            ),
        ]
        permissions = [
            (
                "view_bodies_submission",
                _("Can view customers and the bodies of calls"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.status_code or self.outcome}"
