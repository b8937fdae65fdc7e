"""Orders that were to be reported, and stay due because of their account."""

from __future__ import annotations

from collections import Counter

from django.db.models import Count

from django_button_orders.conf import account_names, get_settings
from django_button_orders.models import PausedAccount
from django_button_orders.querysets import ButtonOrderQuerySet


def count_paused(rows: ButtonOrderQuerySet) -> Counter[str]:
    """Return how many rows are due, and why they wait, of accounts that are paused."""
    paused = PausedAccount.objects.using(rows.db).values_list("account", flat=True)
    due = rows.due().filter(account__in=list(paused))
    return count_accounts(due, "account {} is paused")


def count_disabled(rows: ButtonOrderQuerySet) -> Counter[str]:
    """Return how many rows are pending of accounts whose orders are not sent at all."""
    disabled = [name for name in account_names() if not get_settings(name).enabled]
    pending = rows.pending().unleased().filter(account__in=disabled)
    return count_accounts(pending, "ENABLED is false for account {}")


def count_accounts(rows: ButtonOrderQuerySet, reason: str) -> Counter[str]:
    found = rows.order_by().values_list("account").annotate(Count("pk"))
    return Counter({reason.format(account): count for account, count in found})


def describe(held_back: Counter[str]) -> str:
    """Return a sentence about them."""
    reasons = ", ".join(sorted(held_back))
    return f"{held_back.total()} orders are still to be reported: {reasons}."
