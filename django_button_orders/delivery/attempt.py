"""The data of an attempt: the claimed row, what to tell Button, and each call made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from django_button_orders.client import Answer, ButtonClient, ButtonError, NoAnswerError
from django_button_orders.conf import LEASE_MARGIN_SECONDS, Settings, get_settings
from django_button_orders.delivery.desired import Desired
from django_button_orders.delivery.verdicts import (
    INTERRUPTED,
    Result,
    Verdict,
    unknown_outcome,
)
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.models.erasing import erased_token

Operation = Submission.Operation


@dataclass(kw_only=True)
class Call:
    """
    One call of an attempt. It becomes a ``Submission``.

    ``answer`` is what came back, or why nothing did. A call that never ends, because
    its worker is interrupted, keeps the answer that it begins with.
    """

    operation: str
    method: str
    url: str
    request_body: str
    started_at: datetime
    duration_ms: int = 0
    answer: Answer | ButtonError = field(
        default_factory=lambda: NoAnswerError(INTERRUPTED.error)
    )

    @property
    def status_code(self) -> int | None:
        return self.answer.status_code if isinstance(self.answer, Answer) else None


@dataclass(kw_only=True)
class Attempt:
    """
    An attempt at one claimed row.

    Each step of ``delivery`` sets some fields, as the comments say. Moments are those
    of ``clock.monotonic()``.
    """

    # Set by claims: the row with its lease, and the moment when the lease ends.
    row: ButtonOrder
    lease_ends: float
    # Set by claims, and moved by rate_limit: the first moment for a call.
    not_before: float = 0.0
    # Set by claims: what caused the attempt, and the user who asked for it, if any.
    trigger: str = "save"
    user_id: str | None = None
    # Set by claims: whether this attempt tries the key of a paused account.
    is_probe: bool = False
    # Set by prepare: the settings of the row's account.
    settings: Settings = field(default_factory=get_settings)
    # Set by prepare: what Button should know. None if no report can be built.
    desired: Desired | None = None
    # Set by prepare, and by call after each answer: the operation to call next.
    next_operation: str = ""
    # Set by prepare if no call is needed, else by call: None until the end.
    verdict: Verdict | None = None
    # Set by call: the verdict on a change that came too late, while Button is asked
    # what it holds, because an earlier change may have reached it.
    late: Verdict | None = None
    # Set by call when a call begins, because Button may act from then on.
    calls: list[Call] = field(default_factory=list)
    # Set by record: whether the row was erased during the attempt.
    was_erased: bool = False
    # Set by record: seconds until the row is due again, or None.
    delay: float | None = None

    @cached_property
    def client(self) -> ButtonClient:
        return client_for(self.settings)

    @property
    def known_order(self) -> dict[str, Any]:
        """The order object of Button's latest answer that has one, or an empty dict."""
        for call in reversed(self.calls):
            if isinstance(call.answer, Answer) and call.answer.order:
                return call.answer.order
        return {}

    @property
    def judged_call(self) -> Call | None:
        """The call that the verdict is about: the last that does not only ask."""
        calls = list(self.calls)
        if self.late is not None and calls[-1].operation == Operation.RETRIEVE:
            calls.pop()
        return calls[-1] if calls else None

    def has_time(self, now: float) -> bool:
        """Return whether enough of the lease is left for a call."""
        needed = self.settings.deadline + LEASE_MARGIN_SECONDS
        return self.lease_ends - now >= needed

    def release(self) -> None:
        """Set the verdict that ends the attempt without another call."""
        if self.calls:
            self.verdict = unknown_outcome("The time for the attempt ran out.")
        else:
            self.verdict = Verdict(result=Result.RELEASE)

    def erase(self) -> None:
        """
        Erase the personal data, because the row was erased since it was claimed.

        The lease is still this attempt's own, with the token of an erased row.
        """
        self.was_erased = True
        self.row.erased_at = datetime.now(timezone.utc)
        if self.row.lease_token is not None:
            self.row.lease_token = erased_token(self.row.lease_token)
        if self.desired is not None:
            self.desired = self.desired.without_personal_data()
        for call in self.calls:
            call.request_body = ""


IsStopped = Callable[[Attempt], bool]


def client_for(settings: Settings) -> ButtonClient:
    return ButtonClient(
        api_key=settings.api_key,
        base_url=settings.base_url,
        api_version=settings.api_version,
        timeout=settings.timeout,
        deadline=settings.deadline,
        max_response_bytes=settings.max_response_bytes,
    )
