"""
An attempt at one row, and its calls.

Nothing here touches the database, so that any number of calls can be in flight.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any, TypeVar

from django_button_orders import verdicts
from django_button_orders.answers import Answer
from django_button_orders.client import (
    ButtonClient,
    Request,
    cancel_order,
    create_order,
    retrieve_order,
    update_order,
)
from django_button_orders.conf import Settings, get_settings
from django_button_orders.desired import Desired
from django_button_orders.exceptions import ButtonError, NoAnswerError
from django_button_orders.failures import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)
from django_button_orders.models import ButtonOrder
from django_button_orders.report import with_decimals, without_btn_ref
from django_button_orders.sent import SentRequest, send_without_waiting
from django_button_orders.signals import call_ended
from django_button_orders.verdicts import Verdict, interrupted

logger = logging.getLogger(__name__)

T = TypeVar("T")


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


class Call:
    """
    One call of an attempt. It is noted, however it ends.

    Its deadline counts from ``began``, a moment of ``time.monotonic()``.
    """

    def __init__(self, attempt: Attempt, operation: str, began: float) -> None:
        self.attempt = attempt
        self.operation = operation
        self.request = make_request(attempt, operation)
        self.began = began
        self.started_at = datetime.now(timezone.utc)
        self.start = time.monotonic()
        self.sent: SentRequest | None = None
        self.is_noted = False

    def send(self) -> SentRequest | Exchange | None:
        """
        Send the request, if there is a connection for it. Do not wait.

        Return what is on its way, or what came of it: it may fail at once.
        """
        client, began = self.attempt.client, self.began
        self.attempt.has_begun = True
        sent = self.try_to(
            lambda: send_without_waiting(client, self.request, since=began)
        )
        if isinstance(sent, ButtonError):
            return self.note(sent)
        if sent is None:
            self.attempt.has_begun = bool(self.attempt.exchanges)
        self.sent = sent
        return sent

    def read(self) -> Exchange | None:
        """Return what came of what was sent, if all of the answer has arrived."""
        answer = self.try_to(self.sent.read) if self.sent else None
        return None if answer is None else self.note(answer)

    def wait(self) -> Exchange:
        """Make the call, or wait for the rest of its answer."""
        self.attempt.has_begun = True
        return self.note(self.try_to(self.make))

    def make(self) -> Answer:
        if self.sent is not None:
            return self.sent.wait()
        return self.attempt.client.send(self.request, since=self.began)

    def try_to(self, act: Callable[[], T]) -> T | ButtonError:
        """Return what came of an act, or why that cannot be known."""
        try:
            return act()
        except ButtonError as exc:
            return exc
        except Exception as exc:
            if is_time_limit(exc):
                self.abandon()
                raise
            name = self.attempt.row.order_id
            logger.error("The call for order %s: %s", name, describe_for_log(exc))  # noqa: TRY400 - a traceback may quote a customer's data
            return NoAnswerError(describe_exception(exc, "The call"))
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Note that nobody will know how it ends, unless that is noted already."""
        self.attempt.verdict = interrupted()
        if not self.is_noted:
            self.note(NoAnswerError(self.attempt.verdict.error))

    def note(self, answer: Answer | ButtonError) -> Exchange:
        exchange = Exchange(
            operation=self.operation,
            started_at=self.started_at,
            duration_ms=round((time.monotonic() - self.start) * 1000),
            method=self.request.method,
            url=self.attempt.client.url(self.request),
            request_body=(self.request.body or b"").decode(),
            answer=answer,
        )
        self.attempt.exchanges.append(exchange)
        self.is_noted = True
        heard = call_ended.send_robust(
            sender=ButtonOrder,
            order_id=self.attempt.row.order_id,
            account=self.attempt.row.account,
            exchange=exchange,
        )
        for _, result in heard:
            # What ends the worker may come while a receiver is at it.
            if isinstance(result, Exception) and is_time_limit(result):
                raise result
        return exchange


def make_call(attempt: Attempt, operation: str, began: float) -> Exchange:
    """Make one call, and note it, however it ends. Its deadline counts from then."""
    return Call(attempt, operation, began).wait()


def payload_of(attempt: Attempt, operation: str) -> dict[str, Any]:
    if attempt.desired is None or operation in (verdicts.CANCEL, verdicts.RETRIEVE):
        return {}
    payload = attempt.desired.payload
    if operation != verdicts.CREATE:
        # A token is tied to its order by the create, for ever.
        payload = without_btn_ref(payload)
    is_decimal = payload and attempt.settings.total_as_decimal
    return with_decimals(payload) if is_decimal else payload


def make_request(attempt: Attempt, operation: str) -> Request:
    payload, order_id = payload_of(attempt, operation), attempt.row.order_id
    if operation == verdicts.CREATE:
        return create_order(payload)
    if operation == verdicts.UPDATE:
        return update_order(order_id, payload)
    if operation == verdicts.CANCEL:
        return cancel_order(order_id)
    return retrieve_order(order_id)
