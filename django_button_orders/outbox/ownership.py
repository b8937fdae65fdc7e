"""
Decide which host order a row belongs to, when two orders come with one id.

The first order keeps the row as long as it exists and has that id. Otherwise the row is
transferred to the second one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, OperationalError
from django.db.models import Model

from django_button_orders.models import ButtonOrder, model_of
from django_button_orders.outbox.adapters import HostOrders, OrderAdapter, find_adapter
from django_button_orders.outbox.identity import dismiss_placeholders_of
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.report.privacy import describe_for_log, is_time_limit
from django_button_orders.report.validation import clean_short_text

logger = logging.getLogger(__name__)

# The columns by which a row refers to its host order: source_type_id and source_id.
Source = Mapping[str, Any]


class IdTakenError(ValidationError):
    """Another host order has the id, and the row with it."""

    def __init__(self, row: ButtonOrder) -> None:
        super().__init__(
            f"Another order of the shop, with the key {row.source_id}, has the id "
            f"{row.order_id}, and is reported by it. Each order needs an id of its own."
        )


def ensure_ownership(pk: int, source: Source, *, using: str) -> None:
    """Make the row belong to a host order, or raise ``IdTakenError``."""
    with savepoint(using):
        for row in ButtonOrder.objects.using(using).filter(pk=pk):
            assign_row(row, source)


def assign_row(row: ButtonOrder, source: Source) -> None:
    """
    Make a row belong to a host order that has its id.

    Raises ``IdTakenError`` if it belongs to another order, which still has that id.
    """
    if is_made_for(row, source):
        return
    if is_owned_by_live_order(row):
        raise IdTakenError(row)
    if transfer(row, source):
        logger.info(
            "Order %s is that with the key %s now. The one before it is gone.",
            row.order_id,
            source["source_id"],
        )
        return
    # Another transaction was faster: for this order, or for a third one.
    row.refresh_from_db(fields=["source_type", "source_id"])
    if not is_made_for(row, source):
        raise IdTakenError(row)


def is_made_for(row: ButtonOrder, source: Source) -> bool:
    """Return whether a row belongs to a host order already."""
    kind, key = source["source_type_id"], source["source_id"]
    if (row.source_type_id, row.source_id) == (kind, key):
        return True
    ours, theirs = row.get_source_model(), model_of(kind, row._state.db)
    if ours is None or theirs is None:
        return False
    # The instance of a child model is the same order as the one of its parent.
    is_related = issubclass(ours, theirs) or issubclass(theirs, ours)
    # A UUID may have been stored without its hyphens.
    return is_related and as_key(ours, row.source_id) == as_key(theirs, key)


def as_key(model: type[Model], text: str | None) -> Any:
    """Return the primary key that a text stands for, or None."""
    field: Any = model._meta.pk
    try:
        return field.to_python(text)
    except ValidationError:
        return None


def is_owned_by_live_order(row: ButtonOrder) -> bool:
    """Return whether the host order of a row still exists, and still has its id."""
    model = row.get_source_model()
    adapter = find_adapter(model) if model is not None else None
    if adapter is None or as_key(adapter.model, row.source_id) is None:
        return False
    try:
        with savepoint(row._state.db or DEFAULT_DB_ALIAS):
            # The worker looks in the same way, and must not find the order gone.
            order = HostOrders().find(adapter, row)
            names = (row.account, row.order_id)
            return order is not None and names_of(adapter, order) == names
    except OperationalError:
        raise
    except Exception as exc:
        if is_time_limit(exc):
            raise
        # The adapter fails, so nothing says that the order is gone.
        logger.warning("%s: %s", adapter.name, describe_for_log(exc))
        return True


def names_of(adapter: OrderAdapter, order: Model) -> tuple[str, str]:
    """Return the account and the order id that an adapter gives to an order."""
    account, order_id = adapter.get_account(order), adapter.get_order_id(order)
    return clean_short_text(str(account)), clean_short_text(str(order_id))


def transfer(row: ButtonOrder, source: Source) -> bool:
    """
    Transfer a row to another host order, and mark it changed.

    Return False if another transaction has transferred it since it was read.
    """
    values: dict[str, Any] = dict(source)
    if not row.is_direct:
        # The cancellation was meant for the order before. A direct row, which the shop
        # has written itself, was about this order.
        values["cancel_requested_at"] = None
    rows = ButtonOrder.objects.using(row._state.db)
    same = rows.filter(
        pk=row.pk, source_type_id=row.source_type_id, source_id=row.source_id
    )
    if not same.mark_changed(**values):
        return False
    # The order had a placeholder while the id belonged to the other one.
    kind, key = source["source_type_id"], source["source_id"]
    dismiss_placeholders_of(kind, [key], using=row._state.db)
    return True
