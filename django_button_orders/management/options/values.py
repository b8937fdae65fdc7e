"""
Options of several commands: add them, parse their values, refuse obvious mistakes.
"""

from __future__ import annotations

import argparse
import re
from datetime import datetime, time, timedelta
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import CommandError
from django.db import connections, router
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from django_button_orders.conf import account_names, describe_unknown_account
from django_button_orders.models.databases import migrated_alias
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    get_adapter,
    has_usable_key,
    registered,
    select_orders,
)

AGE = re.compile(r"([0-9]{1,8})([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
OLDEST = timedelta(days=36_500)


def add_order_ids(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--order-id",
        action="append",
        default=[],
        dest="order_ids",
        metavar="ID",
        help="only the order with this ID; repeat the option for more",
    )


def add_host_orders(group: argparse._ActionsContainer) -> None:
    """Add the options that select orders of registered models."""
    group.add_argument(
        "--model",
        metavar="APP.MODEL",
        help="only this registered model (default: all of them)",
    )
    group.add_argument(
        "--since", type=moment, help="only orders from this date or time on"
    )
    group.add_argument(
        "--until", type=moment, help="only orders before this date or time"
    )
    add_order_ids(group)


def moment(text: str) -> datetime:
    """Parse an ISO 8601 date or date and time, by default in the current zone."""
    try:
        parsed = parse_datetime(text)
        day = parse_date(text) if parsed is None else None
    except ValueError:
        parsed = day = None
    if day is not None:
        parsed = datetime.combine(day, time.min)
    if parsed is None:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a date such as 2026-11-23 or 2026-11-23T08:00Z"
        )
    return timezone.make_aware(parsed) if timezone.is_naive(parsed) else parsed


def age(text: str) -> timedelta:
    """Parse an age such as 15m, 3h or 2d."""
    match = AGE.fullmatch(text.strip())
    found = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
    if not found or found > OLDEST:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not an age such as 45s, 15m, 3h, 2d or 1w"
        )
    return found


def seconds(text: str) -> float:
    """Parse a length of time such as 90, 90s, 15m, 2h or 1d. It may be 0."""
    if text.isdecimal() or (text.endswith("s") and text[:-1].isdecimal()):
        return float(text.removesuffix("s"))
    return age(text).total_seconds()


def positive(text: str) -> int:
    """Parse an integer above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer above 0")
    return int(text)


def rate(text: str) -> float:
    """Parse a number per second above 0, such as 20 or 0.5."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def refuse_empty_time(since: datetime | None, until: datetime | None) -> None:
    """Raise ``CommandError`` if the time ends before it begins."""
    if since and until and since >= until:
        raise CommandError("--since must be before --until.")


def refuse_unknown_account(account: str | None) -> None:
    """Raise ``CommandError`` if an account is given that the settings do not have."""
    if account is not None and account not in account_names():
        raise CommandError(describe_unknown_account(account))


def refuse_unknown_database(alias: str | None) -> None:
    """Raise ``CommandError`` if a database is given that the settings do not have."""
    if alias is not None and alias not in connections:
        known = ", ".join(connections)
        raise CommandError(f"DATABASES has no {alias!r}. Known databases: {known}.")


def database_of(model: type[Model], named: str | None) -> str:
    """Return the database of ``--database``, or else the one of a model's orders."""
    return migrated_alias(named or router.db_for_write(model))


def find_adapters(label: str | None) -> list[OrderAdapter]:
    """Return the adapter of ``--model``, or all of them if it is not given."""
    if label is None:
        return [adapter for adapter in registered() if has_usable_key(adapter.model)]
    try:
        adapter = get_adapter(apps.get_model(label))
    except (LookupError, ValueError, ImproperlyConfigured) as exc:
        known = ", ".join(item.model._meta.label for item in registered())
        raise CommandError(
            f"'{label}' is not a registered model. Registered models: {known}."
        ) from exc
    if not has_usable_key(adapter.model):
        raise CommandError(f"The primary key of '{label}' is not supported.")
    return [adapter]


def find_orders(
    adapter: OrderAdapter, *, using: str, since: datetime | None, until: datetime | None
) -> QuerySet[Any]:
    """Return an adapter's orders between ``--since`` and ``--until``."""
    try:
        return select_orders(adapter, using=using, since=since, until=until)
    except ValidationError as exc:
        raise CommandError(" ".join(exc.messages)) from exc
