"""The arguments of ``button_orders_preflight``, and the orders they select."""

from __future__ import annotations

from argparse import Namespace

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from django_button_orders.management.options.values import (
    add_host_orders,
    database_of,
    find_adapters,
    positive,
    refuse_empty_time,
    refuse_unknown_database,
)
from django_button_orders.monitoring.preflight.run import LIMIT, Selection
from django_button_orders.outbox.adapters import date_field_of


def add_selection(parser: CommandParser) -> None:
    group = parser.add_argument_group("which orders")
    group.add_argument(
        "--last",
        type=positive,
        metavar="N",
        help=f"the newest N orders of each model (default: {LIMIT}, or all orders "
        "with --since, --until or --order-id)",
    )
    add_host_orders(group)
    group.add_argument(
        "--database",
        help="the database of the orders (default: the one of their model)",
    )


def find_selections(options: Namespace) -> list[Selection]:
    """Return what the options select. Raises ``CommandError`` for wrong ones."""
    if "" in options.order_ids:
        raise CommandError("--order-id must not be empty.")
    refuse_unknown_database(options.database)
    refuse_empty_time(options.since, options.until)
    adapters = find_adapters(options.model)
    if not adapters:
        raise CommandError(
            "No model is registered. Write an adapter in button_orders.py."
        )
    has_dates = bool(options.since or options.until)
    limit = options.last
    if limit is None and not has_dates and not options.order_ids:
        limit = LIMIT
    try:
        for adapter in adapters if has_dates else []:
            date_field_of(adapter)
    except ValidationError as exc:
        raise CommandError(" ".join(exc.messages)) from exc
    return [
        Selection(
            adapter=adapter,
            using=database_of(adapter.model, options.database),
            since=options.since,
            until=options.until,
            limit=limit,
        )
        for adapter in adapters
    ]
