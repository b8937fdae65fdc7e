"""Count and explain the orders that wait for a person to change the settings."""

from __future__ import annotations

from collections import Counter
from shlex import quote

from django.db.models import Count

from django_button_orders.conf import account_names, get_settings
from django_button_orders.management.base import counted
from django_button_orders.models import PausedAccount
from django_button_orders.models.accounts import PAUSE_SECONDS
from django_button_orders.models.orders import ButtonOrderQuerySet

# The number of pending orders, by the reason why they wait and by their account.
HeldBack = Counter[tuple[str, str]]

PAUSED = "account {} is paused because Button refuses its API key"
KEYLESS = "account {} has no API_KEY"
OTHER_SITE = "SITE is not '{}' here"
DISABLED = "ENABLED is False for account {}"


def explain(held_back: HeldBack) -> str:
    """Return sentences that say why orders wait, and what to do about it."""
    reasons = ", ".join(sorted(reason.format(account) for reason, account in held_back))
    number = held_back.total()
    are = "is" if number == 1 else "are"
    sentence = f"{counted(number, 'order')} {are} not reported: {reasons}."
    keys = (PAUSED, KEYLESS)
    paused = sorted(account for reason, account in held_back if reason in keys)
    if paused:
        sentence = f"{sentence} {how_to_resume(*paused)}"
    if sites := sorted(site for reason, site in held_back if reason == OTHER_SITE):
        named = " or ".join(f"'{site}'" for site in sites)
        sentence = f"{sentence} Run the command where SITE is {named}."
    return sentence


def how_to_resume(*accounts: str) -> str:
    """Return sentences that say what to do about paused accounts."""
    name = quote(accounts[0]) if len(accounts) == 1 else "NAME"
    return (
        "Correct API_KEY and restart the workers. They test the key every "
        f"{PAUSE_SECONDS / 60:.0f} minutes. To resume at once, use the admin or "
        f"'manage.py button_orders_retry --account {name} --resume'."
    )


def count_paused(rows: ButtonOrderQuerySet) -> HeldBack:
    """Count the pending rows of paused accounts."""
    paused = PausedAccount.objects.using(rows.db).values_list("account", flat=True)
    # Rows that are not due count, too: the one whose key was refused has to wait.
    keyless = {name for name in account_names() if not get_settings(name).api_key}
    counts: HeldBack = Counter()
    for accounts, reason in (
        (set(paused) - keyless, PAUSED),
        (set(paused) & keyless, KEYLESS),
    ):
        counts += count_accounts(rows.filter(account__in=accounts), reason)
    return counts


def count_disabled(rows: ButtonOrderQuerySet) -> HeldBack:
    """Count the pending rows of accounts whose ENABLED is false."""
    disabled = [name for name in account_names() if not get_settings(name).enabled]
    return count_accounts(rows.filter(account__in=disabled), DISABLED)


def count_other_sites(rows: ButtonOrderQuerySet) -> HeldBack:
    """Count the pending rows that other sites report, by site instead of account."""
    others = rows.of_other_sites().order_by()
    found = others.values_list("site").annotate(Count("pk"))
    return Counter({(OTHER_SITE, site): count for site, count in found})


def count_accounts(rows: ButtonOrderQuerySet, reason: str) -> HeldBack:
    pending = rows.of_this_site().unleased().order_by()
    found = pending.values_list("account").annotate(Count("pk"))
    return Counter({(reason, account): count for account, count in found})
