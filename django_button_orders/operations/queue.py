"""
Actions on more orders than an operator waits for: stored now, done by the next sweep.

The admin calls ``queue_action``. Each sweep calls ``run_queued_actions``, whether a
Celery worker does it or ``button_orders_report``, so no action needs a broker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction

from django_button_orders.models.actions import QueuedAction
from django_button_orders.models.querysets import MANY
from django_button_orders.operations.orders import (
    BulkAction,
    log_entries,
    log_request,
    split,
)


def queue_action(
    name: str,
    pks: Sequence[int],
    *,
    using: str,
    user_id: Any,
    what: str,
    note: str = "",
) -> None:
    """
    Leave an action to the next sweep, which also adds a log entry for each order.

    One log entry more has the user, ``what`` and the note.
    """
    with transaction.atomic(using=log_entries().db), transaction.atomic(using=using):
        entry = log_request(user_id, what, note)
        QueuedAction.objects.using(using).bulk_create(
            QueuedAction(action=name, keys=list(keys), entry_id=entry.pk)
            for keys in split(pks, MANY)
        )


def run_queued_actions(*, using: str, is_stopped: Callable[[], bool]) -> bool:
    """
    Apply the queued actions of a database, the oldest first, until ``is_stopped()``.

    Return whether all of them are done. Two processes may apply the same action at
    once, because an action skips the orders to which it was applied.
    """
    actions = QueuedAction.objects.using(using).order_by("pk")
    while not is_stopped():
        action = actions.first()
        if action is None:
            return True
        run(action, using=using)
        actions.filter(pk=action.pk).delete()
    return not actions.exists()


def run(action: QueuedAction, *, using: str) -> None:
    """
    Apply an action to its orders.

    Without its log entry, the operator's request was withdrawn, and nothing happens.
    """
    entry = log_entries().filter(pk=action.entry_id).first()
    if entry is None:
        return
    BulkAction(
        action.action,
        using=using,
        user_id=entry.user_id,
        note=entry.change_message,
        rings_each=False,
    ).apply_to_batch(action.keys)
