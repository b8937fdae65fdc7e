"""
What can be asked for, by the shop, by an operator or by a command.

Operations on many rows take a queryset, and leave alone what they do not apply to.
Nothing here waits for a network.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import OperationalError, router, transaction
from django.db.models import Model, QuerySet

from django_button_orders import doorbell
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox import ownership, upsert
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    find_adapter,
    follow,
    get_adapter,
    watched_paths,
)
from django_button_orders.outbox.identity import RowKey
from django_button_orders.outbox.savepoints import LazySavepoint, savepoint
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)

logger = logging.getLogger(__name__)

Status = ButtonOrder.Status
Reason = ButtonOrder.Reason


def mark_changed(host_order: Model, *, using: str | None = None) -> None:
    """
    Note that an order of a registered model has changed, and must be reported.

    For changes that send no signals, such as ``QuerySet.update()``. One small
    write in the order's own database, and in the caller's transaction if there
    is one. Raises ``TypeError`` for anything but an instance of a model,
    ``ImproperlyConfigured`` when that is not registered, and ``ValueError`` when
    it was never saved; what an adapter raises ends up on the row instead.
    """
    if not isinstance(host_order, Model):
        raise TypeError(
            "mark_changed() takes one order, and is called for each of several, "
            f"not with a value of type {type(host_order).__name__}."
        )
    adapter = get_adapter(type(host_order))
    if host_order.pk is None:
        raise ValueError("Save the order before mark_changed(): it has no key yet.")
    alias = using or router.db_for_write(type(host_order), instance=host_order)
    mark_row(adapter, host_order, using=alias)


def mark_saved(
    sender: type[Model], instance: Model, *, using: str, is_new: bool = False
) -> None:
    """Mark the order that was saved, or the one that what was saved belongs to."""
    adapter = find_adapter(sender)
    if adapter is not None:
        mark_row(adapter, instance, using=using, is_new=is_new)
    mark_related(sender, instance, using=using)


def mark_related(
    sender: type[Model], instance: Model, *, using: str, origin: object = None
) -> None:
    """
    Mark the orders that a watched instance belongs to.

    ``origin`` is what is being deleted, when the instance goes with it.
    """
    for host_order in find_related(sender, instance, using=using):
        adapter = find_adapter(type(host_order))
        if adapter is not None:
            is_leaving = is_part_of(host_order, origin)
            mark_row(adapter, host_order, using=using, is_leaving=is_leaving)


def is_part_of(host_order: Any, origin: object) -> bool:
    """Return whether an order is among what is being deleted."""
    if isinstance(origin, QuerySet):
        return isinstance(host_order, origin.model)
    return isinstance(origin, Model) and host_order == origin


def find_related(sender: type[Model], instance: Model, *, using: str) -> list[Any]:
    found = []
    try:
        for path in watched_paths(sender):
            with LazySavepoint(using):
                found.append(follow(instance, path))
    except Exception as exc:
        if is_for_the_shop(exc, using):
            raise
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "What %s belongs to cannot be found: %s",
            sender._meta.label,
            describe_for_log(exc),
        )
    return found


def is_for_the_shop(exc: Exception, using: str) -> bool:
    """
    Return whether an error must not be kept from the shop, although its save is sacred.

    Its own time limit is one. Another is that the database has undone all of its
    transaction, as MySQL does to the victim of a deadlock: the shop must not take
    that for committed.
    """
    return is_time_limit(exc) or transaction.get_connection(using).needs_rollback


def mark_row(
    adapter: OrderAdapter, host_order: Any, *, using: str, **circumstances: bool
) -> None:
    """
    Write the row's small change. Raises nothing: the shop's save is sacred.

    Unless the database has undone that save already. The circumstances are those
    of ``try_to_note``.

    Where the database refuses it, as in a deadlock with another of the shop's
    transactions, it is written once this one is committed and its locks are gone.
    """
    try:
        _mark_row(adapter, host_order, using=using, **circumstances)
    except OperationalError as exc:
        if is_for_the_shop(exc, using):
            raise
        logger.warning(
            "%s: a change is noted after the commit: %s",
            adapter.name,
            describe_for_log(exc),
        )
        mark_after_commit(adapter, host_order, using=using)


def mark_after_commit(adapter: OrderAdapter, host_order: Any, *, using: str) -> None:
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block and not connection.get_autocommit():
        # The shop commits by itself, and Django will not know when.
        mark_or_log(adapter, host_order, using=using)
        return
    transaction.on_commit(
        lambda: mark_or_log(adapter, host_order, using=using),
        using=using,
        robust=True,
    )


def mark_or_log(adapter: OrderAdapter, host_order: Any, *, using: str) -> None:
    try:
        _mark_row(adapter, host_order, using=using, is_last=True)
    except OperationalError as exc:
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "%s: a change of the order with the key %s is not noted: %s. "
            "Save it again, or call mark_changed().",
            adapter.name,
            host_order.pk,
            describe_for_log(exc),
        )


def _mark_row(
    adapter: OrderAdapter,
    host_order: Any,
    *,
    using: str,
    is_new: bool = False,
    is_leaving: bool = False,
    is_last: bool = False,
) -> None:
    """
    Write the row's small change, or what was wrong with its adapter.

    An order that ``is_new`` has no row yet, and one that ``is_leaving``, because it
    is being deleted, gets none any more.

    Raises ``OperationalError`` where the database may take it later, unless this
    ``is_last``, and a hook raises it: SQLite and MySQL do so for wrong SQL as well.
    """
    identity = RowKey(adapter, host_order)
    try:
        with transaction_of_ours(using):
            # For hooks that ask the database.
            with LazySavepoint(using):
                is_known = identity.resolve()
            identity.is_reportable &= not is_leaving
            pk = upsert_row(identity, using=using, is_new=is_new) if is_known else None
            if pk is not None:
                doorbell.ring(pk, using=using)
    except ownership.IdTakenError as exc:
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "%s.get_order_id: the order with the key %s has the id %s, which is that "
            "of another order. It is not reported.",
            adapter.name,
            host_order.pk,
            identity.order_id,
        )
        identity.use_placeholder()
        fail_row(identity, exc, using=using)
    except Exception as exc:
        is_final = is_last and identity.hook
        may_pass = isinstance(exc, OperationalError) and not is_final
        if may_pass or is_for_the_shop(exc, using):
            raise
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "%s at order %s: %s",
            identity.hook_name,
            identity.order_id,
            describe_for_log(exc),
        )
        fail_row(identity, exc, using=using)


def transaction_of_ours(using: str) -> AbstractContextManager[None]:
    """Return one where the shop commits by itself, which Django cannot tell of."""
    connection = transaction.get_connection(using)
    if connection.in_atomic_block or connection.get_autocommit():
        return nullcontext()
    return transaction.atomic(using=using)


def fail_row(identity: RowKey, exc: Exception, *, using: str) -> None:
    """
    Put what an adapter raised onto the row.

    Raises ``OperationalError`` where the database may take it later.
    """
    identity.is_reportable = True
    try:
        with transaction.atomic(using=using):
            marked = ButtonOrder.objects.using(using).filter(
                pk=upsert_row(identity, using=using) or 0
            )
            marked.update(
                status=Status.FAILED,
                reason=Reason.INVALID,
                next_attempt_at=None,
                last_error=describe_exception(exc, identity.hook_name),
            )
    except OperationalError:
        raise
    except Exception as error:
        if is_for_the_shop(error, using):
            raise
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "Order %s has no row: %s", identity.order_id, describe_for_log(error)
        )


def upsert_row(identity: RowKey, *, using: str, is_new: bool = False) -> int | None:
    """
    Mark the row of an order changed, or make one, and return its key.

    An order that is not reportable gets no row, but keeps the one it has: what
    Button knows of it may have to change.
    """
    keys = (identity.account, identity.order_id)
    may_be_there = not (is_new and identity.is_reportable)
    found = upsert.mark(*keys, using=using) if may_be_there else None
    if not identity.is_reportable:
        return found[0] if found else None
    if found is None:
        pk = upsert.insert(*keys, identity.source(using), using=using)
        if pk is not None:
            return pk
        # Another transaction may have made it just now, or another order has it.
        found = upsert.mark(*keys, using=using)
    if found is None:
        # Made since the snapshot of this transaction, and somebody is at it.
        raise OperationalError("The order has a row, which cannot be seen yet.")
    # A row that a new order finds may also be that of another model's order.
    if is_new or found[1] != str(identity.host_order.pk):
        ensure_ownership(found[0], identity, using=using)
    return found[0]


def ensure_ownership(pk: int, identity: RowKey, *, using: str) -> None:
    """Have a row report this order, or raise ``IdTakenError``."""
    with savepoint(using):
        for row in ButtonOrder.objects.using(using).filter(pk=pk):
            ownership.claim_ownership(row, identity.source(using))
