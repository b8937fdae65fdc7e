"""HTTP to Button's Order API. Knows nothing of Django."""

from __future__ import annotations

from django_button_orders.client.answers import Answer
from django_button_orders.client.api import (
    ButtonClient,
    Request,
    cancel_order,
    create_order,
    retrieve_order,
    update_order,
)
from django_button_orders.client.exceptions import (
    ButtonError,
    NoAnswerError,
    NotSentError,
)
from django_button_orders.client.pool import CallPool

__all__ = [
    "Answer",
    "ButtonClient",
    "ButtonError",
    "CallPool",
    "NoAnswerError",
    "NotSentError",
    "Request",
    "cancel_order",
    "create_order",
    "retrieve_order",
    "update_order",
]
