"""What pages need of ``BUTTON_ORDERS``, even where it cannot be read."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from django_button_orders.conf import DEFAULT_ACCOUNT, account_names, get_settings


def known_accounts() -> list[str]:
    try:
        return account_names()
    except ImproperlyConfigured:
        return [DEFAULT_ACCOUNT]


def keep_bodies_days() -> int | None:
    """Return for how many days bodies are kept, or None if nobody knows."""
    try:
        return get_settings().keep_bodies_days
    except ImproperlyConfigured:
        return None
