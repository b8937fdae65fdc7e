"""
HTTP to Button's Order API. Knows no Django, no rows and no attempts.

Read ``api`` first: it builds a ``Request``, sends it, and returns an ``Answer``. Then
read ``connection``, which keeps connections open and ends each call by its deadline,
and ``answers``, which reads a response within bounds. ``redaction`` removes the API key
from texts, ``exceptions`` says whether a failed request was sent, and ``pool`` makes
many calls at once.
"""

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
