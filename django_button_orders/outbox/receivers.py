"""Receive the shop's signals, and mark the orders that were saved or changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, pre_delete, pre_save
from django.dispatch import Signal

from django_button_orders.outbox import marking
from django_button_orders.outbox.adapters import OrderAdapter, watched_models
from django_button_orders.outbox.watching import (
    is_deleted_alone,
    left_orders,
    linked_orders,
    related_orders,
)

# Names in the ``__dict__`` of an instance, from one signal of its save to the next.
LEFT = "_button_orders_left"
IS_RAW = "_button_orders_is_raw"

_suppressed: ContextVar[bool] = ContextVar("suppressed", default=False)


@contextmanager
def suppress_reporting() -> Iterator[None]:
    """
    Ignore saves and deletions of orders in this thread or async task.

    Use it to import or repair orders that Button already knows. It ignores the signals
    of registered and watched models. ``mark_changed()`` and saves of ``ButtonOrder``
    still report.

    This does not exclude an order permanently: the task ``reconcile_orders`` still
    reports reportable orders of the last ``RECONCILE_DAYS``. To exclude an order
    permanently, return False from ``OrderAdapter.is_reportable``.
    """
    token = _suppressed.set(True)
    try:
        yield
    finally:
        _suppressed.reset(token)


def find_on_save(
    sender: type[Model],
    *,
    instance: Model,
    raw: bool,
    using: str,
    update_fields: Collection[str] | None = None,
    **kwargs: Any,
) -> None:
    """
    Remember the orders that a line is moved away from. Receives ``pre_save``.

    They are marked after the save. Before it, a worker could still see the line.
    """
    instance.__dict__.pop(LEFT, None)
    if raw or _suppressed.get() or instance._state.adding:
        return
    find = partial(left_orders, instance, using=using, update_fields=update_fields)
    if left := marking.find_safely(sender, find, using=using):
        instance.__dict__[LEFT] = left


def mark_on_save(
    sender: type[Model],
    *,
    instance: Model,
    created: bool,
    raw: bool,
    using: str,
    **kwargs: Any,
) -> None:
    """Mark the order that was saved, or whose line was. Receives each ``post_save``."""
    left = instance.__dict__.pop(LEFT, ())
    if raw:
        # Fixtures describe orders that another installation has reported.
        instance.__dict__[IS_RAW] = True
        return
    instance.__dict__.pop(IS_RAW, None)
    if not _suppressed.get():
        marking.mark_saved(sender, instance, using=using, is_new=created, left=left)


def find_on_delete(
    sender: type[Model], *, instance: Model, using: str, **kwargs: Any
) -> None:
    """
    Remember the orders of a line that is deleted. Receives ``pre_delete``.

    After it, the way to them may be gone, too.
    """
    instance.__dict__.pop(LEFT, None)
    if not _suppressed.get():
        find = partial(related_orders, sender, instance, using=using)
        instance.__dict__[LEFT] = marking.find_safely(sender, find, using=using)


def mark_on_delete(
    sender: type[Model],
    *,
    instance: Model,
    using: str,
    origin: object = None,
    **kwargs: Any,
) -> None:
    """Mark the order whose line was deleted. Receives ``post_delete``."""
    left = instance.__dict__.pop(LEFT, ())
    is_leaving = not is_deleted_alone(sender, instance, origin)
    marking.mark_orders(left, using=using, is_leaving=is_leaving)


def mark_on_link(
    sender: type[Model],
    *,
    instance: Model,
    action: str,
    reverse: bool,
    model: type[Model],
    pk_set: Collection[Any] | None,
    using: str,
    **kwargs: Any,
) -> None:
    """
    Mark the orders whose many-to-many relation changes. Receives ``m2m_changed``.

    Django changes the links in a transaction, so they are marked while they exist.
    """
    if action not in ("post_add", "pre_remove", "pre_clear") or pk_set == set():
        return
    # A fixture sets its relations after its object, and does not tell that it does.
    if _suppressed.get() or IS_RAW in instance.__dict__:
        return
    find = partial(
        linked_orders,
        sender,
        instance,
        model=model,
        reverse=reverse,
        pk_set=pk_set,
        using=using,
    )
    marking.mark_found(sender, find, using=using)


def connect_watched(adapter: OrderAdapter) -> None:
    """
    Connect the receivers to the models that an adapter watches.

    Other models get none, because Django deletes the objects of a model with a receiver
    of deletions one by one.
    """
    for model in apps.get_models(include_auto_created=True):
        if is_watched(model, adapter):
            connect(m2m_changed, mark_on_link, model)
            if not model._meta.auto_created:
                connect(pre_save, find_on_save, model)
                connect(pre_delete, find_on_delete, model)
                connect(post_delete, mark_on_delete, model)


def connect(signal: Signal, receiver: Callable[..., None], sender: type[Model]) -> None:
    uid = f"django_button_orders.{receiver.__name__}"
    signal.connect(receiver, sender=sender, dispatch_uid=uid)


def is_watched(model: type[Model], adapter: OrderAdapter) -> bool:
    """Return whether an adapter watches a model or a parent of it."""
    try:
        return any(issubclass(model, watched) for watched, _ in watched_models(adapter))
    except (LookupError, ValueError):
        # The adapter names a model that does not exist. A system check reports it.
        return False
