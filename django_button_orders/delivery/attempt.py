"""
An attempt at one row, and its calls.

Nothing here touches the database, so that any number of calls can be in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django_button_orders.client.answers import Answer
from django_button_orders.client.api import ButtonClient
from django_button_orders.client.exceptions import ButtonError
from django_button_orders.conf import LEASE_MARGIN_SECONDS, Settings, get_settings
from django_button_orders.delivery.desired import Desired
from django_button_orders.delivery.verdicts import Result, Verdict, unknown_outcome
from django_button_orders.models import ButtonOrder

if TYPE_CHECKING:
    from django_button_orders.delivery.call import Call


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One call, as it is going to be recorded."""

    operation: str
    started_at: datetime
    duration_ms: int
    url: str
    method: str
    request_body: str
    answer: Answer | ButtonError

    @property
    def status_code(self) -> int | None:
        return self.answer.status_code if isinstance(self.answer, Answer) else None


@dataclass(kw_only=True)
class Attempt:
    """
    A claimed row, what to do about it, and what came of that.

    ``lease_ends`` is a moment of ``time.monotonic()``, and so is ``not_before``,
    the first at which its account may be called. ``trigger`` says what made the
    attempt, and ``user_id`` who, if it was a person.
    """

    row: ButtonOrder
    lease_ends: float
    not_before: float = 0.0
    trigger: str = "save"
    user_id: str | None = None
    # Whether it is the one attempt that finds out if its account's key works again.
    is_probe: bool = False
    settings: Settings = field(default_factory=get_settings)
    desired: Desired | None = None
    next_operation: str = ""
    verdict: Verdict | None = None
    has_begun: bool = False
    # The one that is under way.
    call: Call | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    # Seconds until the row is due again, once that is written down.
    delay: float | None = None

    @cached_property
    def client(self) -> ButtonClient:
        return client_for(self.settings)

    @property
    def known_order(self) -> dict[str, Any]:
        """What Button last said about the order."""
        for exchange in reversed(self.exchanges):
            if isinstance(exchange.answer, Answer) and exchange.answer.order:
                return exchange.answer.order
        return {}


def client_for(settings: Settings) -> ButtonClient:
    return ButtonClient(
        api_key=settings.api_key,
        base_url=settings.base_url,
        api_version=settings.api_version,
        timeout=settings.timeout,
        deadline=settings.deadline,
        max_response_bytes=settings.max_response_bytes,
    )


Clock = Callable[[], float]
IsStopped = Callable[["Attempt"], bool]


def has_lease(attempt: Attempt, now: float) -> bool:
    needed = attempt.settings.deadline + LEASE_MARGIN_SECONDS
    return attempt.lease_ends - now >= needed


def give_back_verdict(attempt: Attempt) -> Verdict:
    """Give the attempt back, unless something was sent already."""
    if not attempt.exchanges:
        return Verdict(result=Result.RELEASE)
    return unknown_outcome("The time for the attempt ran out.")
