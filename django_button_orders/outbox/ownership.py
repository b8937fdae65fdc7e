"""
Decide which host order a row belongs to, when two orders come with one id.

The first order keeps the row as long as it exists and has that id. Otherwise the row is
transferred to the second one. ``reattach`` is for the rows of a model that was renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, OperationalError
from django.db.models import Model

from django_button_orders.models import ButtonOrder, content_type_of, model_of
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.outbox.adapters import (
    HostOrders,
    OrderAdapter,
    all_orders,
    find_adapter,
    registered,
)
from django_button_orders.outbox.identity import dismiss_placeholders_of
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_for_log, is_time_limit
from django_button_orders.report.validation import clean_short_text

logger = get_logger(__name__)
Status = ButtonOrder.Status
Reason = ButtonOrder.Reason

# The columns by which a row refers to its host order: source_type_id and source_id.
Source = Mapping[str, Any]


class IdTakenError(ValidationError):
    """Another host order has the id, and the row with it."""

    def __init__(self, row: ButtonOrder) -> None:
        super().__init__(
            f"The order ID {row.order_id} is not unique: the order with the key "
            f"{row.source_id} has it too, and is reported. Give each order another ID."
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
            "Order %s now belongs to the shop's order with the key %s. The "
            "earlier one is deleted.",
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
    if ours is None or theirs is None or find_adapter(ours) is None:
        return False
    # A UUID may have been stored without its hyphens.
    return is_related(ours, theirs) and is_same_key(ours, row.source_id, key)


def is_related(ours: type[Model], theirs: type[Model]) -> bool:
    """Return whether an instance of a model may be the same order as one of another."""
    return issubclass(ours, theirs) or issubclass(theirs, ours)


def is_same_key(model: type[Model], ours: str | None, theirs: str | None) -> bool:
    return ours == theirs or as_key(model, ours) == as_key(model, theirs)


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
        logger.warning(
            "%s failed to look up order %s: %s",
            adapter.name,
            row.order_id,
            describe_for_log(exc),
        )
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
    if not (row.is_direct or is_of_renamed_model(row, source)):
        # The cancellation was meant for the order before. A direct row, which the shop
        # has written itself, was about this order.
        values["cancel_requested_at"] = None
    if not still_of(row).mark_changed(**values):
        return False
    # The order had a placeholder while the id belonged to the other one.
    kind, key = source["source_type_id"], source["source_id"]
    dismiss_placeholders_of(kind, [key], using=row._state.db)
    return True


def still_of(row: ButtonOrder) -> ButtonOrderQuerySet:
    """Return the row in a queryset, which is empty if it has another order now."""
    return ButtonOrder.objects.using(row._state.db).filter(
        pk=row.pk, source_type_id=row.source_type_id, source_id=row.source_id
    )


def reattach(rows: Iterable[ButtonOrder]) -> list[ButtonOrder]:
    """
    Attach rows to their orders again, whose model was renamed or moved since.

    Such a row has the content type of a model that is gone, or has no adapter. Its
    order is the one with its key, account and order id. A row that has failed for that
    reason is also marked changed, and the others stay as they are.

    Return the rows for which no order was found.
    """
    lost = find_lost(rows)
    for adapter in registered() if lost else ():
        try:
            with savepoint(lost[0]._state.db or DEFAULT_DB_ALIAS):
                reattach_to(adapter, lost)
        except OperationalError:
            raise
        except Exception as exc:
            if is_time_limit(exc):
                raise
            logger.warning(
                "%s failed to look up orders: %s", adapter.name, describe_for_log(exc)
            )
    return find_lost(lost)


def find_lost(rows: Iterable[ButtonOrder]) -> list[ButtonOrder]:
    """Return the rows that have lost the model of their host orders."""
    has_lost: dict[int | None, bool] = {}
    found = []
    for row in rows:
        if row.is_direct:
            continue
        kind = row.source_type_id
        if kind not in has_lost:
            has_lost[kind] = has_lost_model(row)
        if has_lost[kind]:
            found.append(row)
    return found


def has_lost_model(row: ButtonOrder) -> bool:
    """Return whether no adapter is registered for the model of a row's host order."""
    if row.is_direct:
        return False
    model = row.get_source_model()
    return model is None or find_adapter(model) is None


def is_of_renamed_model(row: ButtonOrder, source: Source) -> bool:
    """
    Return whether a row's host order has the key of another one, and was renamed to it.

    The old model is gone, or has no adapter and has the same table as the new one, or
    one that is related to it.
    """
    ours = row.get_source_model()
    theirs = model_of(source["source_type_id"], row._state.db)
    if theirs is None or not has_lost_model(row):
        return False
    if not is_same_key(theirs, row.source_id, source["source_id"]):
        return False
    return (
        ours is None
        or ours._meta.db_table == theirs._meta.db_table
        or is_related(ours, theirs)
    )


def reattach_to(adapter: OrderAdapter, rows: list[ButtonOrder]) -> None:
    """Attach the rows whose orders an adapter has now."""
    using = rows[0]._state.db or DEFAULT_DB_ALIAS
    kind = content_type_of(adapter.model, using)
    keys = {as_key(adapter.model, row.source_id) for row in rows} - {None}
    orders = {
        order.pk: order
        for order in all_orders(adapter, using=using).filter(pk__in=keys)
    }
    for row in rows:
        order = orders.get(as_key(adapter.model, row.source_id))
        if order is None or names_of(adapter, order) != (row.account, row.order_id):
            continue
        source = {"source_type_id": kind.pk, "source_id": str(order.pk)}
        if is_of_renamed_model(row, source):
            move(row, source)


def move(row: ButtonOrder, source: Source) -> None:
    """Write down that the model of a row's host order was renamed."""
    same = still_of(row)
    has_failed = (row.status, row.reason) == (Status.FAILED, Reason.INVALID)
    moved = same.mark_changed(**source) if has_failed else same.update(**source)
    if moved:
        row.source_type_id, row.source_id = (
            source["source_type_id"],
            source["source_id"],
        )
        if has_failed:
            row.status = Status.PENDING
