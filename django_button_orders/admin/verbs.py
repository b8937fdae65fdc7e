"""Retry, dismiss, cancel and overwrite: the admin's texts for each action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from django_button_orders.delivery.verdicts import message_of
from django_button_orders.models import ButtonOrder
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.operations.orders import ACTIONS

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

MAX_NOTE_LENGTH = 500

Status = ButtonOrder.Status


@dataclass(frozen=True, kw_only=True)
class Verb:
    """
    The texts for one of ``ACTIONS``, by its name.

    The button of one order shows ``label`` and, before it acts, ``warning``, which may
    have a placeholder for the order's ``error``. ``done`` and ``skipped`` make up the
    message afterwards.
    """

    name: str
    label: _StrPromise
    warning: _StrPromise | str = ""
    done: Any
    skipped: Any

    @property
    def applicable(self) -> Callable[[ButtonOrderQuerySet], ButtonOrderQuerySet]:
        """The function that narrows a queryset to the orders the verb applies to."""
        return ACTIONS[self.name].applicable

    @property
    def takes_note(self) -> bool:
        """Whether the user may write a note."""
        return ACTIONS[self.name].takes_note

    def warning_about(self, order: ButtonOrder) -> str:
        """Return what the user is told before the verb acts on an order, or ""."""
        return str(self.warning) % {"error": message_of(order.last_error)}

    def result_message(self, count: int, *, selected: int) -> tuple[str, int]:
        """
        Return a message about the orders that a verb changed, and its level.

        ``count`` is the number of these, and ``selected`` that of all orders that
        the user selected.
        """
        skipped = selected - count
        sentences = [self.done % {"count": count}] if count or not skipped else []
        if skipped:
            sentences.append(self.skipped % {"count": skipped})
        is_all = count and not skipped
        return " ".join(sentences), messages.SUCCESS if is_all else messages.WARNING


@dataclass(frozen=True, kw_only=True)
class BulkVerb(Verb):
    """
    A verb that also applies to many orders.

    Their confirmation shows ``question`` and ``consequences``; ``why_not`` has the
    reason, by status, why the other orders are skipped.
    """

    question: Any
    consequences: _StrPromise
    why_not: Mapping[str, _StrPromise]


class NoteForm(forms.Form):
    """Validate the note of a verb that takes one."""

    note = forms.CharField(max_length=MAX_NOTE_LENGTH, required=False)


def read_note(data: Mapping[str, Any], verb: Verb) -> str:
    """Return the note, or "" for a verb without one. Raise ``ValidationError``."""
    if not verb.takes_note:
        return ""
    form = NoteForm(data)
    if not form.is_valid():
        raise ValidationError(form.errors["note"].as_data())
    note: str = form.cleaned_data["note"]
    return note


RETRY = BulkVerb(
    name="retry",
    label=_("Retry"),
    question=ngettext_lazy(
        "Retry %(count)d order?", "Retry %(count)d orders?", "count"
    ),
    consequences=_(
        "They are sent to Button again, with a fresh set of attempts. Button will "
        "refuse again what it has refused before, unless that was corrected."
    ),
    why_not={
        Status.PENDING: _("Skipped because they are sent by themselves"),
        Status.REPORTED: _("Skipped because Button knows them as they are"),
        Status.CANCELLED: _("Skipped because they are cancelled at Button"),
    },
    done=ngettext_lazy(
        "%(count)d order will be sent again.",
        "%(count)d orders will be sent again.",
        "count",
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: only failed and dismissed orders can be retried.",
        "%(count)d were skipped: only failed and dismissed orders can be retried.",
        "count",
    ),
)
OVERWRITE = Verb(
    name="overwrite",
    label=_("Report over it"),
    warning=_(
        "%(error)s If you report over it, Button's order gets everything that this one "
        "says, and what it says now is lost. Do that only if both are one order."
    ),
    done=ngettext_lazy(
        "%(count)d order will be reported over the one that Button has.",
        "%(count)d orders will be reported over those that Button has.",
        "count",
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: Button has no other order under its ID, as far as is "
        "known.",
        "%(count)d were skipped: Button has no other orders under their IDs, as far as "
        "is known.",
        "count",
    ),
)
CANCEL = BulkVerb(
    name="cancel",
    label=_("Cancel at Button"),
    warning=_("Button will not count this order. That cannot be undone."),
    question=ngettext_lazy(
        "Cancel %(count)d order at Button?",
        "Cancel %(count)d orders at Button?",
        "count",
    ),
    consequences=_(
        "Button will not count them, so nobody earns a commission for them. That "
        "cannot be undone, and does not change the shop's own orders."
    ),
    why_not={
        **dict.fromkeys(
            Status, _("Skipped because their cancellation was asked for before")
        ),
        Status.CANCELLED: _("Skipped because they are cancelled already"),
    },
    done=ngettext_lazy(
        "%(count)d order will be cancelled at Button.",
        "%(count)d orders will be cancelled at Button.",
        "count",
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: its cancellation was asked for before.",
        "%(count)d were skipped: their cancellation was asked for before.",
        "count",
    ),
)
DISMISS = BulkVerb(
    name="dismiss",
    label=_("Dismiss"),
    question=ngettext_lazy(
        "Dismiss %(count)d order?", "Dismiss %(count)d orders?", "count"
    ),
    consequences=_(
        "Nothing more is sent for them, and they are no longer listed as failed. What "
        "Button knows of them stays as it is. They can be retried later."
    ),
    why_not={
        Status.PENDING: _("Skipped because they have not failed, but are pending"),
        Status.REPORTED: _("Skipped because they have not failed, but are reported"),
        Status.CANCELLED: _("Skipped because they have not failed, but are cancelled"),
        Status.DISMISSED: _("Skipped because they were dismissed before"),
    },
    done=ngettext_lazy(
        "%(count)d order was dismissed.", "%(count)d orders were dismissed.", "count"
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: only failed orders can be dismissed.",
        "%(count)d were skipped: only failed orders can be dismissed.",
        "count",
    ),
)
BULK_VERBS = (RETRY, DISMISS, CANCEL)
# No list has a button for OVERWRITE: a person has to see both sides of each order.
VERBS: tuple[Verb, ...] = (*BULK_VERBS, OVERWRITE)
