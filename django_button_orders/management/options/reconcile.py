"""The arguments of ``button_orders_reconcile``, and the comparisons they ask for."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q, QuerySet

from django_button_orders.conf import account_names, get_settings
from django_button_orders.management.base import Stop
from django_button_orders.management.options.values import (
    add_order_ids,
    database_of,
    find_adapters,
    find_orders,
    moment,
    refuse_empty_time,
    refuse_unknown_account,
    refuse_unknown_database,
)
from django_button_orders.models import ButtonOrder, content_type_of
from django_button_orders.models.databases import database_aliases, migrated_alias
from django_button_orders.operations.throttle import Throttle
from django_button_orders.outbox.adapters import OrderAdapter
from django_button_orders.reconcile.questions import AccountTurns, Questions
from django_button_orders.reconcile.run import Comparison
from django_button_orders.reconcile.with_button import AcknowledgedRows
from django_button_orders.reconcile.with_shop import ReportedRows, ShopOrders

Tell = Callable[[str], object]


def add_selection(parser: CommandParser) -> None:
    group = parser.add_argument_group("which orders")
    group.add_argument(
        "--model",
        metavar="APP.MODEL",
        help="only this registered model (default: all of them, and the Button "
        "orders that the shop saves itself)",
    )
    group.add_argument(
        "--since",
        type=moment,
        help="only orders from this date or time on: the adapter's date_field with "
        "'shop', the purchase date with 'button'",
    )
    group.add_argument(
        "--until", type=moment, help="only orders before this date or time"
    )
    group.add_argument("--account", help="only orders of this account")
    add_order_ids(group)
    group.add_argument(
        "--database",
        help="the database of the orders (default: the one of their model, or all "
        "that have Button orders)",
    )


def refuse_unknown(options: Namespace) -> None:
    """Raise ``CommandError`` for values that can only be a mistake."""
    refuse_unknown_database(options.database)
    refuse_unknown_account(options.account)
    refuse_empty_time(options.since, options.until)


def find_comparisons(options: Namespace, stop: Stop, tell: Tell) -> list[Comparison]:
    """
    Return the comparisons that the options ask for, one after the other.

    They call ``tell`` with a sentence before they wait for Button.
    """
    if options.side == "shop":
        return list(shop_comparisons(options))
    return list(button_comparisons(options, stop, tell))


def shop_comparisons(options: Namespace) -> Iterator[Comparison]:
    adapters = find_adapters(options.model)
    for adapter in adapters:
        alias = database_of(adapter.model, options.database)
        yield ShopOrders(
            adapter=adapter,
            orders=select_orders(adapter, alias, options),
            using=alias,
            names=key_names(adapter, options),
            account=options.account,
            order_ids=frozenset(options.order_ids),
        )
    if options.since or options.until:
        # The rows of deleted orders cannot be selected by the date of their orders.
        return
    models = [adapter.model for adapter in adapters] if options.model else [ButtonOrder]
    for alias in {database_of(model, options.database) for model in models}:
        yield ReportedRows(reported=select_rows(alias, options), using=alias)


def select_orders(
    adapter: OrderAdapter, alias: str, options: Namespace
) -> QuerySet[Any]:
    """
    Return the orders of the shop to compare.

    With ``--order-id``, these are the orders of the rows with these IDs. If not every
    ID leads to an order, these are all orders: the comparison asks the adapter for
    each order's ID, and ignores the others.
    """
    orders = find_orders(adapter, using=alias, since=options.since, until=options.until)
    if not options.order_ids:
        return orders
    kind = content_type_of(adapter.model, alias)
    rows = ButtonOrder.objects.using(alias).filter(source_type_id=kind.pk)
    rows = rows.filter(order_id__in=options.order_ids)
    source_ids = dict(rows.values_list("order_id", "source_id"))
    of_rows = orders.filter(pk__in=source_ids.values())
    has_all = source_ids.keys() == set(options.order_ids)
    # The order of a row may be deleted, and another order have its ID.
    return of_rows if has_all and of_rows.count() == len(source_ids) else orders


def key_names(adapter: OrderAdapter, options: Namespace) -> tuple[str, ...]:
    """Return the fields to page by: with dates, those of an index on the date."""
    has_dates = options.since or options.until
    return (adapter.date_field, "pk") if has_dates else ("pk",)


def button_comparisons(
    options: Namespace, stop: Stop, tell: Tell
) -> Iterator[Comparison]:
    throttle = Throttle(options.rate, wait=stop.wait)
    named = options.database
    for alias in [migrated_alias(named)] if named else database_aliases():
        for account in [options.account] if options.account else accounts_in(alias):
            yield AcknowledgedRows(
                account=account,
                rows=select_rows(alias, options),
                using=alias,
                questions=Questions(
                    concurrency=get_settings().concurrency,
                    throttle=throttle,
                    turns=AccountTurns(account, wait=stop.wait),
                    is_stopped=lambda: stop.is_set,
                    wait=stop.wait,
                    tell=tell,
                ),
            )


def accounts_in(alias: str) -> list[str]:
    """Return the accounts of the settings, and others that have reported rows."""
    rows = ButtonOrder.objects.using(alias)
    reported = rows.filter(status=ButtonOrder.Status.REPORTED)
    return list(dict.fromkeys([*account_names(), *reported.accounts()]))


def select_rows(alias: str, options: Namespace) -> QuerySet[ButtonOrder]:
    """Return the rows of a database that the options select."""
    rows = ButtonOrder.objects.using(alias).filter(dates_of(options))
    if options.model:
        (adapter,) = find_adapters(options.model)
        kind = content_type_of(adapter.model, alias)
        rows = rows.filter(source_type_id=kind.pk)
    if options.account:
        rows = rows.filter(account=options.account)
    if options.order_ids:
        rows = rows.filter(order_id__in=options.order_ids)
    return rows


def dates_of(options: Namespace) -> Q:
    dates = Q()
    if options.since:
        dates &= Q(purchase_date__gte=options.since)
    if options.until:
        dates &= Q(purchase_date__lt=options.until)
    return dates
