"""One call of an attempt: begun, made, judged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, TypeVar

from django_button_orders.client.answers import Answer
from django_button_orders.client.api import (
    Request,
    cancel_order,
    create_order,
    retrieve_order,
    update_order,
)
from django_button_orders.client.exceptions import ButtonError, NoAnswerError
from django_button_orders.client.nonblocking import SentRequest, send_without_waiting
from django_button_orders.delivery.attempt import (
    Attempt,
    Clock,
    Exchange,
    IsStopped,
    give_back_verdict,
    has_lease,
)
from django_button_orders.delivery.desired import as_invalid
from django_button_orders.delivery.verdicts import (
    INTERRUPTED,
    Result,
    Verdict,
    judge,
    unknown_outcome,
)
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.report.payload import with_decimals, without_btn_ref
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)
from django_button_orders.signals import call_ended

logger = logging.getLogger(__name__)
Operation = Submission.Operation
Reason = ButtonOrder.Reason

T = TypeVar("T")


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
        self.attempt.verdict = INTERRUPTED
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
    if attempt.desired is None or operation in (Operation.CANCEL, Operation.RETRIEVE):
        return {}
    payload = attempt.desired.payload
    if operation != Operation.CREATE:
        # A token is tied to its order by the create, for ever.
        payload = without_btn_ref(payload)
    is_decimal = payload and attempt.settings.total_as_decimal
    return with_decimals(payload) if is_decimal else payload


def make_request(attempt: Attempt, operation: str) -> Request:
    payload, order_id = payload_of(attempt, operation), attempt.row.order_id
    if operation == Operation.CREATE:
        return create_order(payload)
    if operation == Operation.UPDATE:
        return update_order(order_id, payload)
    if operation == Operation.CANCEL:
        return cancel_order(order_id)
    return retrieve_order(order_id)


def perform(
    attempt: Attempt,
    *,
    is_stopped: IsStopped = lambda attempt: False,
    clock: Clock = time.monotonic,
) -> Attempt:
    """
    Make the calls of an attempt, usually one, or those that are left of them.

    Does not touch the database. Nothing is sent once ``is_stopped(attempt)``, or
    with too little of the lease left for a call.
    """
    while True:
        call = attempt.call or begin_call(attempt, is_stopped=is_stopped, clock=clock)
        if call is None:
            return attempt
        with recording_errors(attempt):
            end_call(call, call.wait())


def begin_call(
    attempt: Attempt,
    *,
    is_stopped: IsStopped = lambda attempt: False,
    clock: Clock = time.monotonic,
) -> Call | None:
    """Set the call that an attempt has to make, or else its verdict."""
    if attempt.verdict is not None:
        return None
    # Before the lease is looked at: a process that is frozen after that finds
    # its deadline passed.
    began = time.monotonic()
    with recording_errors(attempt):
        if is_stopped(attempt) or not has_lease(attempt, clock()):
            attempt.verdict = give_back_verdict(attempt)
        else:
            attempt.call = Call(attempt, attempt.next_operation, began)
    return attempt.call


@contextmanager
def recording_errors(attempt: Attempt) -> Iterator[None]:
    """
    Have whatever goes wrong recorded on the row, as any outcome.

    What ends the worker is raised all the same.
    """
    try:
        yield
    except Exception as exc:
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "Order %s cannot be sent: %s", attempt.row.order_id, describe_for_log(exc)
        )
        error = describe_exception(exc, "Sending the order")
        attempt.call = None
        if is_time_limit(exc):
            if attempt.has_begun and attempt.verdict is None:
                attempt.verdict = unknown_outcome(error)
            raise
        # Once something was sent, Button may have acted.
        is_sent = attempt.has_begun
        attempt.verdict = (
            unknown_outcome(error) if is_sent else as_invalid(error).verdict
        )


def end_call(call: Call, exchange: Exchange) -> None:
    """Set the verdict of its attempt, or the next operation."""
    attempt, operation = call.attempt, call.operation
    attempt.call = None
    result = judge(operation, exchange.answer)
    if isinstance(result, Verdict):
        attempt.verdict = result
    elif operation == Operation.RETRIEVE and result == Operation.UPDATE:
        attempt.verdict = judge_known_order(attempt)
        attempt.next_operation = Operation.UPDATE
    elif any(result == earlier.operation for earlier in attempt.exchanges):
        # Button says both that it has the order and that it has not, as it
        # may shortly after a 202. Time will tell.
        attempt.verdict = unknown_outcome(
            f"Button answered {exchange.status_code} to {operation}, "
            "against its earlier answer."
        )
    else:
        attempt.next_operation = result


def judge_known_order(attempt: Attempt) -> Verdict | None:
    """Return a verdict on an order that Button has already, or None to update it."""
    order = attempt.known_order
    if order.get("status") == "deleted":
        return Verdict(
            result=Result.FAILED,
            reason=Reason.FINALIZED,
            error="The order is cancelled at Button already.",
        )
    if is_same(attempt, order):
        return Verdict(result=Result.REPORTED)
    return None


def is_same(attempt: Attempt, order: dict[str, Any]) -> bool:
    """
    Return whether Button's view is ours, as far as it shows.

    What it does not show can only be taken as sent if there was never
    anything else to send: if the order has not changed since its row began.
    """
    payload = payload_of(attempt, Operation.CREATE)
    shown = {name: order[name] for name in payload.keys() & order.keys()}
    return (
        attempt.row.revision == 1
        and "total" in shown
        and all(payload[name] == value for name, value in shown.items())
    )
