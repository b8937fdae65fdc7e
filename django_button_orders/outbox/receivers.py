"""Receive the shop's signals, and mark the orders that were saved or changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import post_delete

from django_button_orders.outbox import marking
from django_button_orders.outbox.adapters import OrderAdapter, watched_models

_suppressed: ContextVar[bool] = ContextVar("suppressed", default=False)


@contextmanager
def suppress_reporting() -> Iterator[None]:
    """
    Ignore saves and deletions of orders in this thread or task.

    Use it for imports and repairs of orders that Button knows already. It applies to
    the signals of registered models: ``mark_changed()`` and rows that you save
    yourself are still reported.
    """
    token = _suppressed.set(True)
    try:
        yield
    finally:
        _suppressed.reset(token)


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
    # Fixtures describe orders that another installation has reported.
    if not raw and not _suppressed.get():
        marking.mark_saved(sender, instance, using=using, is_new=created)


def mark_on_delete(
    sender: type[Model],
    *,
    instance: Model,
    using: str,
    origin: object = None,
    **kwargs: Any,
) -> None:
    """Mark the order whose line was deleted. Receives ``post_delete``."""
    if not _suppressed.get():
        marking.mark_related(sender, instance, using=using, origin=origin)


def connect_deletions(adapter: OrderAdapter) -> None:
    """
    Connect ``mark_on_delete`` to the models that an adapter watches.

    Other models get no receiver, because Django deletes the objects of a model with a
    receiver one by one.
    """
    for model in apps.get_models():
        if is_watched(model, adapter):
            post_delete.connect(
                mark_on_delete,
                sender=model,
                dispatch_uid="django_button_orders.mark_on_delete",
            )


def is_watched(model: type[Model], adapter: OrderAdapter) -> bool:
    """Return whether an adapter watches a model or a parent of it."""
    try:
        return any(issubclass(model, watched) for watched, _ in watched_models(adapter))
    except (LookupError, ValueError):
        # The adapter names a model that does not exist. A system check reports it.
        return False
