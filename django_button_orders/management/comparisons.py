"""Which comparisons ``button_orders_reconcile`` is asked for."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import connections, router
from django.db.models import Model, Q, QuerySet

from django_button_orders.conf import account_names, get_settings
from django_button_orders.management.base import moment, refuse_empty_time
from django_button_orders.management.stopping import Stop
from django_button_orders.models import ButtonOrder, as_stored, content_types
from django_button_orders.models.databases import database_aliases, migrated_alias
from django_button_orders.operations.throttle import Throttle
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    get_adapter,
    registered,
    select_orders,
)
from django_button_orders.reconcile.questions import AccountTurns, Questions
from django_button_orders.reconcile.run import Comparison
from django_button_orders.reconcile.with_button import AcknowledgedRows
from django_button_orders.reconcile.with_shop import ReportedRows, ShopOrders


def add_selection(parser: CommandParser) -> None:
    group = parser.add_argument_group("which orders")
    group.add_argument(
        "--model",
        metavar="APP.MODEL",
        help="only this registered model (default: all of them, and the rows that "
        "the shop writes itself)",
    )
    group.add_argument(
        "--since",
        type=moment,
        help="only orders from this date or time on: by the adapter's date_field, "
        "or by the purchase date for Button",
    )
    group.add_argument(
        "--until", type=moment, help="only orders before this date or time"
    )
    group.add_argument("--account", help="only the orders of this account")
    group.add_argument(
        "--order-id",
        action="append",
        default=[],
        dest="order_ids",
        metavar="ID",
        help="only the order with this id; can be given more than once",
    )
    group.add_argument(
        "--database",
        help="the database of the orders (default: the one of their model, or all "
        "that have rows for Button)",
    )


def refuse_unknown(options: Namespace) -> None:
    """Raise ``CommandError`` for a selection that can only be a mistake."""
    if options.database is not None and options.database not in connections:
        raise CommandError(f"'{options.database}' is not a database of the settings.")
    if options.account is not None and options.account not in account_names():
        known = ", ".join(account_names())
        raise CommandError(
            f"'{options.account}' is not an account of the settings. "
            f"Known are: {known}."
        )
    refuse_empty_time(options.since, options.until)


def find_comparisons(options: Namespace, stop: Stop) -> list[Comparison]:
    if options.side == "shop":
        return list(shop_comparisons(options))
    return list(button_comparisons(options, stop))


def shop_comparisons(options: Namespace) -> Iterator[Comparison]:
    adapters = find_adapters(options.model)
    for adapter in adapters:
        alias = find_alias(adapter.model, options)
        yield ShopOrders(
            adapter=adapter,
            orders=orders_of(adapter, alias, options),
            using=alias,
            names=key_names(adapter, options),
            account=options.account,
            order_ids=frozenset(options.order_ids),
        )
    if options.since or options.until:
        # An order that is gone has no date any more.
        return
    models = [adapter.model for adapter in adapters] if options.model else [ButtonOrder]
    for alias in {find_alias(model, options) for model in models}:
        yield ReportedRows(reported=select_rows(alias, options), using=alias)


def find_alias(model: type[Model], options: Namespace) -> str:
    return migrated_alias(options.database or router.db_for_write(model))


def orders_of(adapter: OrderAdapter, alias: str, options: Namespace) -> QuerySet[Any]:
    try:
        orders = select_orders(
            adapter, using=alias, since=options.since, until=options.until
        )
    except ValidationError as exc:
        raise CommandError(" ".join(exc.messages)) from exc
    if not options.order_ids:
        return orders
    kind = content_types(alias).get_for_model(adapter.model)
    rows = ButtonOrder.objects.using(alias).filter(source_type_id=kind.pk)
    rows = rows.filter(order_id__in=options.order_ids)
    sources = dict(rows.values_list("order_id", "source_id"))
    # Only rows know ids without asking the adapter about each and every order.
    known = orders.filter(pk__in=sources.values())
    is_enough = sources.keys() == set(options.order_ids)
    # What a row is about may be gone, and another order have its id.
    return known if is_enough and known.count() == len(sources) else orders


def key_names(adapter: OrderAdapter, options: Namespace) -> tuple[str, ...]:
    """Return what pages go by: an index on the date, if it is about dates."""
    has_dates = options.since or options.until
    return (adapter.date_field, "pk") if has_dates else ("pk",)


def button_comparisons(options: Namespace, stop: Stop) -> Iterator[Comparison]:
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
                ),
            )


def accounts_in(alias: str) -> list[str]:
    """Return the accounts of the settings, and others that still have rows."""
    rows = ButtonOrder.objects.using(alias)
    reported = rows.filter(status=ButtonOrder.Status.REPORTED)
    return list(dict.fromkeys([*account_names(), *reported.accounts()]))


def select_rows(alias: str, options: Namespace) -> QuerySet[ButtonOrder]:
    rows = ButtonOrder.objects.using(alias).filter(dates_of(options))
    if options.model:
        (adapter,) = find_adapters(options.model)
        kind = content_types(alias).get_for_model(adapter.model)
        rows = rows.filter(source_type_id=kind.pk)
    if options.account:
        rows = rows.filter(account=options.account)
    if options.order_ids:
        rows = rows.filter(order_id__in=options.order_ids)
    return rows


def dates_of(options: Namespace) -> Q:
    dates = Q()
    if options.since:
        dates &= Q(purchase_date__gte=as_stored(options.since))
    if options.until:
        dates &= Q(purchase_date__lt=as_stored(options.until))
    return dates


def find_adapters(label: str | None) -> list[OrderAdapter]:
    if label is None:
        return registered()
    try:
        return [get_adapter(apps.get_model(label))]
    except (LookupError, ValueError, ImproperlyConfigured) as exc:
        known = ", ".join(item.model._meta.label for item in registered())
        raise CommandError(
            f"'{label}' is not a registered model. Known are: {known}."
        ) from exc
