"""Making rows for orders that were there before this app, or slipped past it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, Model, QuerySet
from django.utils import timezone

from django_button_orders.adapters import OrderAdapter
from django_button_orders.failures import describe_exception
from django_button_orders.models import ButtonOrder
from django_button_orders.operations import Identity
from django_button_orders.querysets import ButtonOrderQuerySet
from django_button_orders.savepoints import savepoint


@dataclass(kw_only=True)
class Batch:
    """A batch of host orders and their rows, the new ones included."""

    orders: list[Any]
    rows: ButtonOrderQuerySet
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


def select_orders(
    adapter: OrderAdapter,
    *,
    using: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Any]:
    """
    Return the orders from ``since`` on and before ``until``, by ``date_field``.

    Raises ``ValidationError`` when there are dates and no ``date_field``.
    """
    orders = adapter.get_queryset().using(using)
    if since is None and until is None:
        return orders
    name = adapter.date_field
    if not name:
        raise ValidationError(
            f"{adapter.name} has no date_field, so orders cannot be selected by date."
        )
    is_moment = isinstance(adapter.model._meta.get_field(name), DateTimeField)
    if since is not None:
        orders = orders.filter(**{f"{name}__gte": as_column(since, is_moment)})
    if until is not None:
        orders = orders.filter(**{f"{name}__lt": as_column(until, is_moment)})
    return orders


def as_column(moment: datetime, is_moment: bool) -> Any:
    return moment if is_moment else timezone.localtime(moment).date()


def backfill(
    adapter: OrderAdapter,
    orders: QuerySet[Any],
    *,
    using: str,
    order_ids: Collection[str] = (),
    limit: int | None = None,
    batch_size: int = 500,
    dry_run: bool = False,
) -> Iterator[Batch]:
    """
    Make due rows for orders that have none, and yield them batch by batch.

    An order that has a row is left alone, so it is safe to do this twice.
    ``order_ids`` and ``limit`` narrow the orders down. A dry run only counts.
    """
    wanted = set(order_ids)
    seen = 0
    for page in pages(orders, batch_size):
        batch = Batch(orders=[], rows=ButtonOrder.objects.using(using).none())
        identities = []
        for order in page:
            identity = identify(adapter, order, batch)
            if identity is None or (wanted and identity.order_id not in wanted):
                continue
            if limit is not None and seen >= limit:
                break
            seen += 1
            batch.orders.append(order)
            if identity.is_reportable:
                identities.append(identity)
            else:
                batch.counts["not_reportable"] += 1
        write_rows(identities, batch, using=using, dry_run=dry_run)
        yield batch
        if limit is not None and seen >= limit:
            return


def pages(orders: QuerySet[Any], size: int) -> Iterator[list[Model]]:
    """Yield the orders by key, so that the last page costs what the first does."""
    ordered = orders.order_by("pk")
    page = list(ordered[:size])
    while page:
        yield page
        page = list(ordered.filter(pk__gt=page[-1].pk)[:size])


def identify(adapter: OrderAdapter, order: Any, batch: Batch) -> Identity | None:
    identity = Identity(adapter, order)
    try:
        # A savepoint, for adapters that ask the database.
        with savepoint(order._state.db):
            if not identity.find():
                batch.counts["not_reportable"] += 1
                return None
    except Exception as exc:  # noqa: BLE001 - counted and told; the rest goes on
        batch.counts["invalid"] += 1
        error = describe_exception(exc, identity.asking)
        batch.errors.append(f"{identity.order_id}: {error}")
        return None
    return identity


def write_rows(
    identities: list[Identity], batch: Batch, *, using: str, dry_run: bool
) -> None:
    rows = ButtonOrder.objects.using(using)
    ids = {identity.order_id for identity in identities}
    here = rows.filter(order_id__in=ids)
    known = set(here.values_list("account", "order_id"))
    new = {
        (identity.account, identity.order_id): identity
        for identity in identities
        if (identity.account, identity.order_id) not in known
    }
    batch.counts["created"] += len(new)
    batch.counts["already_there"] += len(identities) - len(new)
    batch.rows = here
    if not dry_run:
        rows.bulk_create(
            [
                ButtonOrder(
                    account=account, order_id=order_id, **identity.source(using)
                )
                for (account, order_id), identity in new.items()
            ],
            ignore_conflicts=True,
        )
