"""
Mark the rows of host orders changed, in the shop's own transaction.

A save goes down this module: ``mark_saved`` finds the orders that it concerns,
``mark_row`` guards the shop, ``mark_or_fail`` asks the adapter which row the order
has, ``upsert_row`` makes or marks that row, and the doorbell rings after the commit.

No error may break the shop's save. The error of an adapter goes onto the row. A write
that the database refuses for now, as in a deadlock, is repeated after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

from django.db import DatabaseError, OperationalError, router, transaction
from django.db.models import Model

from django_button_orders import doorbell
from django_button_orders.conf import first_report_delay
from django_button_orders.models import ButtonOrder
from django_button_orders.models.encoding import escape_all, is_refusal
from django_button_orders.outbox import upsert
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    find_adapter,
    get_adapter,
    has_usable_key,
)
from django_button_orders.outbox.identity import RowKey
from django_button_orders.outbox.ownership import IdTakenError, ensure_ownership
from django_button_orders.outbox.savepoints import LazySavepoint
from django_button_orders.outbox.watching import (
    as_orders,
    has_registered_child,
    related_orders,
)
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)

logger = get_logger(__name__)

# What to do about the most frequent reason why a row cannot be written.
MIGRATE = (
    "If the tables of django_button_orders are missing, run manage.py migrate first."
)


def mark_changed(host_order: Model, *, using: str | None = None) -> None:
    """
    Mark an order of a registered model as changed, so that a worker reports it.

    Call it after changes that send no signals, such as ``QuerySet.update()``. It makes
    one small write in the order's database, in your transaction if there is one. A
    worker then builds the report, and makes a call only if the report has changed.

    Raises ``TypeError`` if the value is not a model instance, ``ImproperlyConfigured``
    if its model is not registered, and ``ValueError`` if the order was never saved. An
    exception of the adapter is not raised: the page of the Button order shows it.
    """
    if not isinstance(host_order, Model):
        raise TypeError(
            "mark_changed() takes one order, and is called for each of several, "
            f"not with a value of type {type(host_order).__name__}."
        )
    adapter = get_adapter(type(host_order))
    require_saved(host_order, "mark_changed()")
    alias = using or router.db_for_write(type(host_order), instance=host_order)
    mark_row(adapter, host_order, using=alias)


def require_saved(host_order: Model, caller: str) -> None:
    """Raise ``ValueError`` if an order was never saved, or is deleted."""
    # A UUID is there before the order is saved, and a deleted order has no key.
    if host_order._state.adding or host_order.pk is None:
        raise ValueError(f"Save the order before {caller}: it is not stored yet.")


def mark_saved(
    sender: type[Model],
    instance: Model,
    *,
    using: str,
    is_new: bool = False,
    left: Sequence[Model] = (),
) -> None:
    """
    Mark the saved order changed, or the orders that the saved object belongs to.

    ``left`` are the orders that it belonged to before.
    """
    adapter = find_adapter(sender)
    if adapter is not None:
        mark_row(adapter, instance, using=using, is_new=is_new)
    elif not is_new and has_registered_child(sender):
        # An object that was created just now is the parent of no order yet.
        mark_found(sender, partial(as_orders, instance, using=using), using=using)
    find = partial(related_orders, sender, instance, using=using)
    mark_found(sender, find, using=using)
    mark_orders(left, using=using)


def mark_found(
    sender: type[Model], find: Callable[[], Iterable[Model]], *, using: str
) -> None:
    """Mark the orders changed that a function finds for an object of the shop."""
    mark_orders(find_safely(sender, find, using=using), using=using)


def mark_orders(
    orders: Iterable[Model], *, using: str, is_leaving: bool = False
) -> None:
    """
    Mark orders of registered models changed.

    ``is_leaving``: they may be deleted just now, so they get no new rows.
    """
    for host_order in orders:
        adapter = get_adapter(type(host_order))
        mark_row(adapter, host_order, using=using, is_leaving=is_leaving)


def find_safely(
    sender: type[Model], find: Callable[[], Iterable[Model]], *, using: str
) -> list[Model]:
    """Return what a function finds for an object of the shop. Only log its errors."""
    found: list[Model] = []
    try:
        with LazySavepoint(using):
            found.extend(find())
    except Exception as exc:
        if must_reach_shop(exc, using):
            raise
        logger.error(
            "A change of a %s is not reported, because its order cannot be found: %s",
            sender._meta.label,
            describe_for_log(exc),
        )
    return found


def mark_row(
    adapter: OrderAdapter,
    host_order: Any,
    *,
    using: str,
    is_new: bool = False,
    is_leaving: bool = False,
) -> None:
    """
    Mark an order's row changed, now or after the commit. Never break the shop's save.

    If the database refuses the write, as in a deadlock with another transaction of the
    shop, it is repeated when this transaction is committed and its locks are gone. It
    raises only errors that ``must_reach_shop``.
    """
    if not has_usable_key(adapter.model):
        return
    try:
        mark_or_fail(
            adapter, host_order, using=using, is_new=is_new, is_leaving=is_leaving
        )
    except OperationalError as exc:
        if must_reach_shop(exc, using):
            raise
        logger.warning(
            "%s: a change will be recorded after the commit: %s",
            adapter.name,
            describe_for_log(exc),
        )
        mark_after_commit(adapter, host_order, using=using, is_leaving=is_leaving)


def mark_or_fail(
    adapter: OrderAdapter,
    host_order: Any,
    *,
    using: str,
    is_new: bool = False,
    is_leaving: bool = False,
    is_last: bool = False,
) -> None:
    """
    Mark an order's row changed, or failed with the error of the adapter.

    ``is_new``: the order was created just now, so it has no row yet. ``is_leaving``: it
    may be deleted just now, so it gets no new row, and its row is not made failed.
    ``is_last``: no later attempt follows.

    Raises ``OperationalError`` if the database may accept the write later. On the last
    attempt, one that a hook raises is an error of the adapter: SQLite and MySQL also
    raise it for wrong SQL.
    """
    key = RowKey(adapter, host_order, is_leaving=is_leaving)
    try:
        with atomic_if_shop_commits_itself(using):
            with LazySavepoint(using):
                key.use_stored(using=using, is_new=is_new)
                has_id = key.resolve()
            row = upsert_row(key, using=using, is_new=is_new) if has_id else None
            if row is not None:
                delay = first_report_delay() if row.is_inserted else 0
                doorbell.ring(row.pk, using=using, delay=delay)
    except IdTakenError as exc:
        logger.error(
            "%s.get_order_id: the order with the key %s has the ID %s of "
            "another order, so it is not reported.",
            adapter.name,
            host_order.pk,
            key.order_id,
        )
        key.use_placeholder()
        fail_row(key, exc, using=using)
    except Exception as exc:
        is_final = (is_last and key.hook) or is_refusal(exc)
        may_pass = isinstance(exc, OperationalError) and not is_final
        if may_pass or must_reach_shop(exc, using):
            raise
        logger.error(
            "%s failed for order %s: %s",
            key.hook_name,
            key.order_id,
            describe_for_log(exc),
        )
        if not key.is_leaving:
            fail_row(key, exc, using=using)


class Upserted(NamedTuple):
    """The primary key of a row, and whether the row was inserted just now."""

    pk: int
    is_inserted: bool


def upsert_row(key: RowKey, *, using: str, is_new: bool = False) -> Upserted | None:
    """
    Mark the row of an order changed, or insert one. Return the row, if there is one.

    An order that is not reportable gets no new row, and its old row is still marked:
    the order may have to be cancelled at Button.
    """
    names = (key.account, key.order_id)
    if key.is_leaving and is_settled(*names, using=using):
        return None
    may_insert = key.is_reportable and not key.is_leaving
    may_exist = not (is_new and may_insert)
    row = upsert.update_row(*names, using=using) if may_exist else None
    if not may_insert:
        return Upserted(row[0], is_inserted=False) if row else None
    source = key.source(using)
    if row is None:
        pk = upsert.insert_row(*names, source, using=using)
        if pk is not None:
            return Upserted(pk, is_inserted=True)
        # Another transaction has inserted it just now, or another order has this id.
        row = upsert.update_row(*names, using=using)
    if row is None:
        # It was inserted after this transaction's snapshot, and is locked.
        raise OperationalError("The order has a row that is not visible yet.")
    pk, *owner = row
    if owner != [source[name] for name in upsert.SOURCE]:
        ensure_ownership(pk, source, using=using)
    return Upserted(pk, is_inserted=False)


def is_settled(account: str, order_id: str, *, using: str) -> bool:
    """Return whether a row says that Button need never hear of its order."""
    rows = ButtonOrder.objects.using(using).filter(account=account, order_id=order_id)
    return rows.filter(
        status__in=[ButtonOrder.Status.DISMISSED, ButtonOrder.Status.CANCELLED],
        reported_revision__isnull=True,
        unanswered=0,
    ).exists()


def fail_row(key: RowKey, exc: Exception, *, using: str) -> None:
    """
    Make an order's row failed, with the error of its adapter.

    Raises ``OperationalError`` if the database may accept the write later.
    """
    key.is_reportable = True
    error = describe_exception(exc, key.hook_name)
    try:
        try:
            write_failure(key, error, using=using)
        except (DatabaseError, ValueError) as refusal:
            if not is_refusal(refusal):
                raise
            # The database lacks a character of the error, or of the id itself.
            key.order_id = escape_all(key.order_id)
            write_failure(key, escape_all(error), using=using)
    except OperationalError:
        raise
    except Exception as error:
        if must_reach_shop(error, using):
            raise
        logger.error(
            "Order %s has no Button order: %s. %s",
            key.order_id,
            describe_for_log(error),
            MIGRATE,
        )


def write_failure(key: RowKey, error: str, *, using: str) -> None:
    with transaction.atomic(using=using):
        row = upsert_row(key, using=using)
        ButtonOrder.objects.using(using).filter(pk=row.pk if row else 0).update(
            status=ButtonOrder.Status.FAILED,
            reason=ButtonOrder.Reason.INVALID,
            next_attempt_at=None,
            last_error=error,
        )


def mark_after_commit(
    adapter: OrderAdapter, host_order: Any, *, using: str, is_leaving: bool
) -> None:
    """Mark an order's row changed when the shop's transaction is committed."""
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block and not connection.get_autocommit():
        # The shop commits without Django, which would not call us after that.
        mark_or_log(adapter, host_order, using=using, is_leaving=is_leaving)
        return
    transaction.on_commit(
        lambda: mark_or_log(adapter, host_order, using=using, is_leaving=is_leaving),
        using=using,
        robust=True,
    )


def mark_or_log(
    adapter: OrderAdapter, host_order: Any, *, using: str, is_leaving: bool
) -> None:
    """Mark an order's row changed, in the last attempt. Log what to do if it fails."""
    try:
        mark_or_fail(
            adapter, host_order, using=using, is_leaving=is_leaving, is_last=True
        )
    except OperationalError as exc:
        logger.error(
            "%s: a change of the order with the key %s was not recorded: %s. "
            "Save the order again, or call mark_changed(). %s",
            adapter.name,
            host_order.pk,
            describe_for_log(exc),
            MIGRATE,
        )


def must_reach_shop(exc: Exception, using: str) -> bool:
    """
    Return whether an error must be raised into the shop's save after all.

    One is the time limit of the shop's own task. The other is that the database has
    rolled the whole transaction back, as MySQL does to the victim of a deadlock: the
    shop must not believe that it was committed.
    """
    return is_time_limit(exc) or transaction.get_connection(using).needs_rollback


def atomic_if_shop_commits_itself(using: str) -> AbstractContextManager[None]:
    """Return a transaction if the shop commits without Django, else a no-op."""
    connection = transaction.get_connection(using)
    if connection.in_atomic_block or connection.get_autocommit():
        return nullcontext()
    return transaction.atomic(using=using)
