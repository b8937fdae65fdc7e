"""What an operator can ask for, and how the admin talks about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from django_button_orders import operations
from django_button_orders.models import ButtonOrder
from django_button_orders.querysets import ButtonOrderQuerySet

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

NOTED = _("%(what)s Note: %(note)s")


@dataclass(frozen=True, kw_only=True)
class Verb:
    """
    ``operate`` takes orders, the user's key and maybe a note, and returns the
    orders moved.

    ``warning`` makes the button ask before it acts, and ``takes_note`` why.
    """

    name: str
    label: _StrPromise
    applicable: Callable[[ButtonOrderQuerySet], ButtonOrderQuerySet]
    operate: Callable[..., list[ButtonOrder]]
    logged: _StrPromise
    done: Any
    skipped: Any
    warning: _StrPromise | str = ""
    takes_note: bool = False

    def log_message(self, note: str = "") -> str:
        if not note:
            return str(self.logged)
        return NOTED % {"what": self.logged, "note": note}

    def describe(self, moved: int, *, skipped: int) -> tuple[str, int]:
        """Return a message with what was done and what was not, and its level."""
        sentences = [self.done % {"count": moved}] if moved or not skipped else []
        if skipped:
            sentences.append(self.skipped % {"count": skipped})
        is_all = moved and not skipped
        return " ".join(sentences), messages.SUCCESS if is_all else messages.WARNING


RETRY = Verb(
    name="retry",
    label=_("Retry"),
    applicable=ButtonOrderQuerySet.retryable,
    operate=lambda orders, user_id: operations.retry_orders(
        orders, trigger="admin", user_id=user_id
    ),
    logged=_("Retried."),
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
CANCEL = Verb(
    name="cancel",
    label=_("Cancel at Button"),
    applicable=ButtonOrderQuerySet.cancellable,
    operate=lambda orders, user_id: operations.cancel_orders(
        orders, trigger="admin", user_id=user_id
    ),
    logged=_("Cancellation asked for."),
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
    warning=_("Button will not count this order. That cannot be undone."),
)
DISMISS = Verb(
    name="dismiss",
    label=_("Dismiss"),
    applicable=ButtonOrderQuerySet.failed,
    operate=lambda orders, user_id, note="": operations.dismiss_orders(
        orders, note=note
    ),
    logged=_("Dismissed."),
    done=ngettext_lazy(
        "%(count)d order was dismissed.", "%(count)d orders were dismissed.", "count"
    ),
    skipped=ngettext_lazy(
        "%(count)d was skipped: only failed orders can be dismissed.",
        "%(count)d were skipped: only failed orders can be dismissed.",
        "count",
    ),
    takes_note=True,
)
VERBS = (RETRY, DISMISS, CANCEL)
