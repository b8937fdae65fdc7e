"""Retrying, cancelling and dismissing many orders: at once, or by workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_button_orders import doorbell
from django_button_orders.operations.orders import BulkAction, in_batches, log_one

# An operator who waits holds the locks of so many orders at a time: the shop may be
# saving one of them.
BATCH_SIZE = 100


def run_action(
    verb: str,
    pks: Sequence[int],
    *,
    using: str,
    user_id: Any,
    note: str = "",
) -> int:
    """
    Retry, cancel or dismiss orders now, in batches, and log it for each.

    Return how many there were that it applied to.
    """
    mover = BulkAction(verb, using=using, user_id=user_id, note=note)
    return sum(map(mover.move_batch, in_batches(pks, BATCH_SIZE)))


def queue_action(
    verb: str,
    pks: Sequence[int],
    *,
    using: str,
    user_id: Any,
    what: str,
    note: str = "",
) -> int:
    """
    Have workers retry, cancel or dismiss orders, and log it for each.

    Return how many orders they were told of. Those are all, unless the broker is
    away: then the others stay as they are. One more log entry says who has asked
    for ``what``, and with which note, so that messages carry keys alone.
    """
    entry = log_one(user_id, what, note)
    batches = in_batches(pks)
    taken = doorbell.publish_moves(verb, batches, using=using, entry_id=entry.pk)
    if not taken:
        entry.delete()
    return sum(map(len, batches[:taken]))
