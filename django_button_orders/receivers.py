"""From the shop's signals to the operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db.models import Model

from django_button_orders import operations

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
    sender: type[Model], *, instance: Model, raw: bool, using: str, **kwargs: Any
) -> None:
    # Fixtures describe orders that were reported from somewhere else.
    if not raw and not _suppressed.get():
        operations.mark_saved(sender, instance, using=using)


def report_deleted(
    sender: type[Model], *, instance: Model, using: str, **kwargs: Any
) -> None:
    if not _suppressed.get():
        operations.mark_related(sender, instance, using=using)
