"""Retry, dismiss, cancel, overwrite and erase: the admin's texts for each action."""

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
        "They will be sent to Button again, and their number of attempts is "
        "reset. If Button refused an order, correct it first. Otherwise, "
        "Button will refuse it again. Closed orders are sent even if their change "
        "window is over."
    ),
    why_not={
        Status.PENDING: _("They will be sent automatically"),
        Status.REPORTED: _("Already reported"),
        Status.CANCELLED: _("Already cancelled at Button"),
    },
    done=ngettext_lazy(
        "%(count)d order will be sent again.",
        "%(count)d orders will be sent again.",
        "count",
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: only failed, dismissed and closed orders can be "
        "retried.",
        "%(count)d were skipped: only failed, dismissed and closed orders can be "
        "retried.",
        "count",
    ),
)
OVERWRITE = Verb(
    name="overwrite",
    label=_("Report over it"),
    warning=_(
        "%(error)s If you report over it, this order replaces all values of "
        "Button's order, and the old values are lost. Do this only if both "
        "are the same order."
    ),
    done=ngettext_lazy(
        "%(count)d order will replace the order that Button has under its ID.",
        "%(count)d orders will replace the orders that Button has under their IDs.",
        "count",
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: Button is not known to have another order "
        "under its ID.",
        "%(count)d were skipped: Button is not known to have other orders "
        "under their IDs.",
        "count",
    ),
)
CANCEL = BulkVerb(
    name="cancel",
    label=_("Cancel at Button"),
    warning=_("Button will not count this order. This cannot be undone."),
    question=ngettext_lazy(
        "Cancel %(count)d order at Button?",
        "Cancel %(count)d orders at Button?",
        "count",
    ),
    consequences=_(
        "Button will not count cancelled orders, so nobody earns a commission for "
        "them. "
        "This cannot be undone. The shop's orders do not change."
    ),
    why_not={
        **dict.fromkeys(Status, _("Cancellation already requested")),
        Status.CANCELLED: _("Already cancelled at Button"),
    },
    done=ngettext_lazy(
        "%(count)d order will be cancelled at Button.",
        "%(count)d orders will be cancelled at Button.",
        "count",
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: its cancellation was already requested.",
        "%(count)d were skipped: their cancellation was already requested.",
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
        "Nothing more is sent for dismissed orders, and they are no longer listed as "
        "failed. Nothing changes at Button. You can retry them later."
    ),
    why_not={
        Status.PENDING: _("Pending, not failed"),
        Status.REPORTED: _("Reported, not failed"),
        Status.CANCELLED: _("Cancelled, not failed"),
        Status.CLOSED: _("Closed, not failed"),
        Status.DISMISSED: _("Already dismissed"),
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
ERASE = BulkVerb(
    name="erase",
    label=_("Erase personal data"),
    question=ngettext_lazy(
        "Erase the personal data of %(count)d order?",
        "Erase the personal data of %(count)d orders?",
        "count",
    ),
    consequences=_(
        "Customer, attribution token, customer order ID, the texts of line items, "
        "errors and the bodies of calls are emptied here. IDs, status, dates and "
        "amounts stay, so that nothing is reported twice. This cannot be undone. Erase "
        "the customer in your shop, too. Orders that Button does not know yet are "
        "reported without their token, so nobody earns a commission for them."
    ),
    why_not=dict.fromkeys(Status, _("Erased before")),
    done=ngettext_lazy(
        "The personal data of %(count)d order was erased.",
        "The personal data of %(count)d orders was erased.",
        "count",
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: it was erased before.",
        "%(count)d were skipped: they were erased before.",
        "count",
    ),
)
# The actions of the list.
BULK_VERBS = (RETRY, DISMISS, CANCEL, ERASE)
# The buttons of an order. OVERWRITE is for one order at a time: a person has to see
# both sides.
VERBS: tuple[Verb, ...] = (RETRY, DISMISS, CANCEL, OVERWRITE)
