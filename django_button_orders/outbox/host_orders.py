"""The shop's orders that a batch of rows is about."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import OrderAdapter, find_adapter
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.report.privacy import describe_for_log, is_time_limit

logger = logging.getLogger(__name__)


class HostOrders:
    """
    Host orders, read together: one query for each model, and for each relation
    that its adapter prefetches.

    One that is not among them is read when it is asked for.
    """

    def __init__(self, rows: Iterable[ButtonOrder] = ()) -> None:
        self.cache: dict[tuple[int | None, str | None], Model] = {}
        for model, group in by_model(rows):
            adapter = find_adapter(model)
            if adapter is not None and len(group) > 1:
                self.read(adapter, group)

    def read(self, adapter: OrderAdapter, rows: list[ButtonOrder]) -> None:
        using = rows[0]._state.db or DEFAULT_DB_ALIAS
        keys = [row.source_id for row in rows if row.cancel_requested_at is None]
        try:
            # So that an error stays in here. No transaction is begun, which would
            # keep others from writing in SQLite.
            with savepoint(using):
                for order in adapter.get_queryset().using(using).filter(pk__in=keys):
                    self.cache[rows[0].source_type_id, str(order.pk)] = order
        except Exception as exc:
            if is_time_limit(exc):
                raise
            # One of them may be the reason: read by itself, it takes the blame.
            logger.debug("%s.get_queryset: %s", adapter.name, describe_for_log(exc))

    def find(self, adapter: OrderAdapter, row: ButtonOrder) -> Model | None:
        """Return the host order of a row, or None if it is gone."""
        found = self.cache.get((row.source_type_id, row.source_id))
        if found is None:
            orders = adapter.get_queryset().using(row._state.db)
            found = orders.filter(pk=row.source_id).first()
        return found


def by_model(
    rows: Iterable[ButtonOrder],
) -> Iterator[tuple[type[Model], list[ButtonOrder]]]:
    groups: defaultdict[int, list[ButtonOrder]] = defaultdict(list)
    for row in rows:
        if row.source_type_id is not None:
            groups[row.source_type_id].append(row)
    for group in groups.values():
        model = group[0].get_source_model()
        if model is not None:
            yield model, group
