"""Orders that were to be reported, and stay pending because of their account."""

from __future__ import annotations

from collections import Counter

from django.db.models import Count

from django_button_orders.conf import account_names, get_settings
from django_button_orders.delivery.outcome import PAUSE_SECONDS
from django_button_orders.models import PausedAccount
from django_button_orders.models.querysets import ButtonOrderQuerySet

# How many orders, by why they wait and by their account.
HeldBack = Counter[tuple[str, str]]

PAUSED = "account {} is paused, because Button refuses its key"
DISABLED = "ENABLED is false for account {}"
HOW_TO_RESUME = (
    f"Correct API_KEY. The key is tried again every {PAUSE_SECONDS / 60:.0f} minutes; "
    "resume the account in the admin to go on at once."
)


def count_paused(rows: ButtonOrderQuerySet) -> HeldBack:
    """Return how many rows are pending of accounts that are paused."""
    paused = PausedAccount.objects.using(rows.db).values_list("account", flat=True)
    # Not only those that are due: the one that was refused waits for the key as well.
    return count_accounts(rows.filter(account__in=list(paused)), PAUSED)


def count_disabled(rows: ButtonOrderQuerySet) -> HeldBack:
    """Return how many rows are pending of accounts whose orders are not sent at all."""
    disabled = [name for name in account_names() if not get_settings(name).enabled]
    return count_accounts(rows.filter(account__in=disabled), DISABLED)


def count_accounts(rows: ButtonOrderQuerySet, reason: str) -> HeldBack:
    pending = rows.pending().unleased().order_by()
    found = pending.values_list("account").annotate(Count("pk"))
    return Counter({(reason, account): count for account, count in found})


def describe(held_back: HeldBack) -> str:
    """Return sentences about them, and about what can be done."""
    reasons = ", ".join(sorted(reason.format(account) for reason, account in held_back))
    told = f"{held_back.total()} orders are still to be reported: {reasons}."
    is_paused = any(reason == PAUSED for reason, _ in held_back)
    return f"{told} {HOW_TO_RESUME}" if is_paused else told
