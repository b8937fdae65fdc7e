"""Telling of outcomes, once they are written down."""

from __future__ import annotations

import logging

from django.dispatch import Signal

from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.signals import order_cancelled, order_failed, order_reported

logger = logging.getLogger(__name__)

Status = ButtonOrder.Status
SIGNALS: dict[str, Signal] = {
    Status.REPORTED: order_reported,
    Status.CANCELLED: order_cancelled,
    Status.FAILED: order_failed,
}


def somebody_listens() -> bool:
    return any(signal.has_listeners(ButtonOrder) for signal in SIGNALS.values())


def tell(
    row: ButtonOrder, status: str, reason: str, submissions: list[Submission]
) -> None:
    """Log an outcome, and tell the project's receivers."""
    level = logging.WARNING if status == Status.FAILED else logging.INFO
    logger.log(level, "Order %s: %s %s", row.order_id, status, reason)
    signal = SIGNALS.get(status)
    # Where Button knew it all already, there is no news.
    if signal is not None and (submissions or signal is not order_reported):
        signal.send_robust(
            sender=ButtonOrder,
            button_order=row,
            submission=submissions[-1] if submissions else None,
        )
