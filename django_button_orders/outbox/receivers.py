"""From the shop's signals to the operations."""

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
    Let orders be saved without being reported, in this thread or task.

    For imports and repairs of what Button knows already. It is about the
    signals of registered models: ``mark_changed()`` and rows that are saved
    directly still count.
    """
    token = _suppressed.set(True)
    try:
        yield
    finally:
        _suppressed.reset(token)


def report_saved(
    sender: type[Model],
    *,
    instance: Model,
    created: bool,
    raw: bool,
    using: str,
    **kwargs: Any,
) -> None:
    # Fixtures describe orders that were reported from somewhere else.
    if not raw and not _suppressed.get():
        marking.mark_saved(sender, instance, using=using, is_new=created)


def report_deleted(
    sender: type[Model],
    *,
    instance: Model,
    using: str,
    origin: object = None,
    **kwargs: Any,
) -> None:
    if not _suppressed.get():
        marking.mark_related(sender, instance, using=using, origin=origin)


def connect_deletions(adapter: OrderAdapter) -> None:
    """
    Listen for deletions of what an adapter watches.

    And of nothing else: where somebody listens, Django loads all that it deletes.
    """
    for model in apps.get_models():
        if is_watched(model, adapter):
            post_delete.connect(
                report_deleted,
                sender=model,
                dispatch_uid="django_button_orders.report_deleted",
            )


def is_watched(model: type[Model], adapter: OrderAdapter) -> bool:
    try:
        return any(issubclass(model, watched) for watched, _ in watched_models(adapter))
    except (LookupError, ValueError):
        # It names no model, which the checks tell of.
        return False
