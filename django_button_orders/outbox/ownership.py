"""
Whose row it is: an order may come under an id that has a row already.

The row was made for another order of the shop then, which may be gone by now.
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

# The columns of a row that say which order of the shop it is about.
Source = Mapping[str, Any]


class IdTakenError(ValidationError):
    """Another order of the shop has the id, and the row under it."""

    def __init__(self, row: ButtonOrder) -> None:
        super().__init__(
            f"Another order of the shop, with the key {row.source_id}, has the id "
            f"{row.order_id}, and is reported by it. Each order needs an id of its own."
        )


def claim_ownership(row: ButtonOrder, source: Source) -> None:
    """
    Have a row report an order that is saved under its id.

    Raises ``IdTakenError`` if it reports another one, which still has that id.
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
    # Somebody was faster: for this order, or for a third one.
    row.refresh_from_db(fields=["source_type", "source_id"])
    if not is_made_for(row, source):
        raise IdTakenError(row)


def is_made_for(row: ButtonOrder, source: Source) -> bool:
    """Return whether a row is about this order, and not about another one."""
    kind, key = source["source_type_id"], source["source_id"]
    if (row.source_type_id, row.source_id) == (kind, key):
        return True
    ours, theirs = row.get_source_model(), model_of(kind, row._state.db)
    if ours is None or theirs is None:
        return False
    # A child of a model shares the key of its parent: it is one order.
    is_related = issubclass(ours, theirs) or issubclass(theirs, ours)
    # A UUID may have been written without its hyphens.
    return is_related and as_key(ours, row.source_id) == as_key(theirs, key)


def as_key(model: type[Model], text: str | None) -> Any:
    """Return what a text stands for, or None if it is no key of the model."""
    field: Any = model._meta.pk
    try:
        return field.to_python(text)
    except ValidationError:
        return None


def is_owned_by_live_order(row: ButtonOrder) -> bool:
    """Return whether the order that a row was made for exists, and has its id."""
    model = row.get_source_model()
    adapter = find_adapter(model) if model is not None else None
    if adapter is None or as_key(adapter.model, row.source_id) is None:
        return False
    try:
        # So that an error stays in here.
        with savepoint(row._state.db or DEFAULT_DB_ALIAS):
            # As the worker does, which would say that it is gone.
            order = HostOrders().find(adapter, row)
            return order is not None and keys_of(adapter, order) == keys(row)
    except OperationalError:
        raise
    except Exception as exc:
        if is_time_limit(exc):
            raise
        # Nobody says that it is gone, or has another id.
        logger.warning("%s: %s", adapter.name, describe_for_log(exc))
        return True


def keys(row: ButtonOrder) -> tuple[str, str]:
    return row.account, row.order_id


def keys_of(adapter: OrderAdapter, order: Model) -> tuple[str, str]:
    account, order_id = adapter.get_account(order), adapter.get_order_id(order)
    return clean_short_text(str(account)), clean_short_text(str(order_id))


def transfer(row: ButtonOrder, source: Source) -> bool:
    """Give a row to another order. Return whether nobody else was faster."""
    values: dict[str, Any] = dict(source)
    if not row.is_direct:
        # It was the order before it that was to be cancelled. A row that the shop
        # has written itself was about this one.
        values["cancel_requested_at"] = None
    rows = ButtonOrder.objects.using(row._state.db)
    same = rows.filter(
        pk=row.pk, source_type_id=row.source_type_id, source_id=row.source_id
    )
    if not same.mark_changed(**values):
        return False
    # It had one while its id was another order's.
    kind, key = source["source_type_id"], source["source_id"]
    dismiss_placeholders_of(kind, [key], using=row._state.db)
    return True
