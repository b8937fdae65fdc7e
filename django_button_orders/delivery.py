"""
One attempt at one row: build, compare, call.

``prepare`` reads the database and ``perform`` does not, so that any number of
calls can be in flight at once. What comes of them is for ``record``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError

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
from django_button_orders.conf import (
    LEASE_MARGIN_SECONDS,
    Settings,
    get_settings,
    keeps_secrets,
)
from django_button_orders.desired import (
    Desired,
    Undecided,
    choose_operation,
    find_desired,
    invalid,
)
from django_button_orders.exceptions import ButtonError, NoAnswerError
from django_button_orders.failures import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)
from django_button_orders.hosts import HostOrders, dismiss_stand_ins
from django_button_orders.models import ButtonOrder
from django_button_orders.report import with_decimals, without_btn_ref
from django_button_orders.verdicts import Outcome, Verdict, judge

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
IsStopped = Callable[["Attempt"], bool]


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
    exchanges: list[Exchange] = field(default_factory=list)
    # Seconds until the row is due again, once that is written down.
    delay: float | None = None

    @cached_property
    def client(self) -> ButtonClient:
        return ButtonClient(
            api_key=self.settings.api_key,
            base_url=self.settings.base_url,
            api_version=self.settings.api_version,
            timeout=self.settings.timeout,
            deadline=self.settings.deadline,
            max_response_bytes=self.settings.max_response_bytes,
        )

    @property
    def known_order(self) -> dict[str, Any]:
        """What Button last said about the order."""
        for exchange in reversed(self.exchanges):
            if isinstance(exchange.answer, Answer) and exchange.answer.order:
                return exchange.answer.order
        return {}


def prepare_all(
    attempts: list[Attempt], *, is_stopped: IsStopped = lambda attempt: False
) -> Iterator[Attempt]:
    """Prepare the attempts of a batch, one after another."""
    rows = [attempt.row for attempt in attempts]
    dismiss_stand_ins(rows)
    hosts = HostOrders(rows)
    for attempt in attempts:
        if is_stopped(attempt):
            attempt.verdict = released(attempt)
            yield attempt
        else:
            yield prepare(attempt, hosts)


def prepare(
    attempt: Attempt,
    hosts: HostOrders | None = None,
    *,
    clock: Clock = time.monotonic,
) -> Attempt:
    """
    Find out what to tell Button about a claimed row, if there is the time.

    ``hosts`` has the host orders of its batch.
    """
    if not has_lease(attempt, clock()):
        attempt.verdict = released(attempt)
        return attempt
    try:
        decide(attempt, hosts or HostOrders())
    except Undecided as exc:
        attempt.verdict = exc.verdict
    except (OperationalError, InterfaceError):
        # The database is away. That says nothing about the order.
        raise
    except Exception as exc:
        # One bad row must not stop the others.
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "Order %s cannot be prepared: %s",
            attempt.row.order_id,
            describe_for_log(exc),
        )
        error = describe_exception(exc, "Preparing the report")
        if is_time_limit(exc):
            # That says nothing about the order, and holds for what follows it.
            attempt.verdict = not_converging(error)
            raise
        attempt.verdict = invalid(error).verdict
    return attempt


def decide(attempt: Attempt, hosts: HostOrders) -> None:
    """Set the first operation, or a verdict where no call is needed."""
    row = attempt.row
    try:
        attempt.settings = get_settings(row.account)
    except ImproperlyConfigured as exc:
        raise invalid(str(exc)) from exc
    if row.attempts > len(attempt.settings.retry_schedule) + 1:
        raise Undecided(
            Verdict(
                outcome=Outcome.FAILED,
                reason=verdicts.EXHAUSTED,
                error="The worker died in each attempt. See its log.",
                is_definite=False,
            )
        )
    attempt.desired = find_desired(row, hosts)
    if attempt.desired.order_id != row.order_id:
        rename(row, attempt.desired.order_id)
    choice = choose_operation(row, attempt.desired)
    if isinstance(choice, Verdict):
        attempt.verdict = choice
    elif is_without_token(attempt):
        attempt.verdict = Verdict(outcome=Outcome.DISMISSED, reason=verdicts.NO_TOKEN)
    elif not attempt.settings.api_key:
        attempt.verdict = Verdict(
            outcome=Outcome.PAUSE,
            reason=verdicts.UNAUTHORIZED,
            error="BUTTON_ORDERS['API_KEY'] is not set.",
        )
    elif not keeps_secrets(attempt.settings.base_url):
        # Neither Celery nor a web server looks at what the checks say.
        attempt.verdict = Verdict(
            outcome=Outcome.RETRY,
            reason=verdicts.UNAVAILABLE,
            error="BUTTON_ORDERS['BASE_URL'] must start with 'https://'.",
        )
    else:
        attempt.next_operation = choice


def rename(row: ButtonOrder, order_id: str) -> None:
    """Give a row that Button never heard of the id that its order has now."""
    if not row.rename(order_id):
        raise Undecided(
            Verdict(
                outcome=Outcome.DISMISSED,
                error="Another row reports the shop's order by its present id.",
            )
        )


def is_without_token(attempt: Attempt) -> bool:
    report = attempt.desired.report if attempt.desired else None
    return (
        report is not None
        and not report.btn_ref
        and not attempt.row.is_acknowledged
        and not attempt.settings.report_without_token
    )


def perform(
    attempt: Attempt,
    *,
    is_stopped: IsStopped = lambda attempt: False,
    clock: Clock = time.monotonic,
) -> Attempt:
    """
    Make the calls of an attempt, usually one. Does not touch the database.

    Nothing is sent once ``is_stopped(attempt)``, or with too little of the
    lease left for a call.
    """
    try:
        while attempt.verdict is None:
            # Before the lease is looked at: a process that is frozen after that
            # finds its deadline passed.
            began = time.monotonic()
            if is_stopped(attempt) or not has_lease(attempt, clock()):
                attempt.verdict = released(attempt)
            else:
                make_call(attempt, began)
    except Exception as exc:  # noqa: BLE001 - recorded on the row, as any outcome
        logger.error(  # noqa: TRY400 - a traceback may quote a customer's data
            "Order %s cannot be sent: %s", attempt.row.order_id, describe_for_log(exc)
        )
        error = describe_exception(exc, "Sending the order")
        # Once something was sent, Button may have acted.
        is_sent = bool(attempt.exchanges)
        attempt.verdict = not_converging(error) if is_sent else invalid(error).verdict
    return attempt


def has_lease(attempt: Attempt, now: float) -> bool:
    needed = attempt.settings.deadline + LEASE_MARGIN_SECONDS
    return attempt.lease_ends - now >= needed


def released(attempt: Attempt) -> Verdict:
    """Give the attempt back, unless something was sent already."""
    if not attempt.exchanges:
        return Verdict(outcome=Outcome.RELEASE)
    return not_converging("The time for the attempt ran out.")


def not_converging(error: str) -> Verdict:
    return Verdict(
        outcome=Outcome.RETRY,
        reason=verdicts.UNAVAILABLE,
        error=error,
        is_definite=False,
    )


def make_call(attempt: Attempt, began: float) -> None:
    operation = attempt.next_operation
    exchange = call(attempt, operation, began)
    result = judge(operation, exchange.answer)
    if isinstance(result, Verdict):
        attempt.verdict = result
    elif operation == verdicts.RETRIEVE and result == verdicts.UPDATE:
        attempt.verdict = judge_known_order(attempt)
        attempt.next_operation = verdicts.UPDATE
    elif any(result == earlier.operation for earlier in attempt.exchanges):
        # Button says both that it has the order and that it has not, as it
        # may shortly after a 202. Time will tell.
        attempt.verdict = not_converging(
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
            outcome=Outcome.FAILED,
            reason=verdicts.FINALIZED,
            error="The order is cancelled at Button already.",
        )
    if is_same(attempt, order):
        return Verdict(outcome=Outcome.REPORTED)
    return None


def is_same(attempt: Attempt, order: dict[str, Any]) -> bool:
    """
    Return whether Button's view is ours, as far as it shows.

    What it does not show can only be taken as sent if there was never
    anything else to send: if the order has not changed since its row began.
    """
    payload = payload_of(attempt, verdicts.CREATE)
    shown = {name: order[name] for name in payload.keys() & order.keys()}
    return (
        attempt.row.revision == 1
        and "total" in shown
        and all(payload[name] == value for name, value in shown.items())
    )


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


def call(attempt: Attempt, operation: str, began: float) -> Exchange:
    """Make one call, and note it, however it ends. Its deadline counts from then."""
    client, request = attempt.client, make_request(attempt, operation)
    started_at, start = datetime.now(timezone.utc), time.monotonic()

    def note(answer: Answer | ButtonError) -> Exchange:
        exchange = Exchange(
            operation=operation,
            started_at=started_at,
            duration_ms=round((time.monotonic() - start) * 1000),
            method=request.method,
            url=client.url(request),
            request_body=(request.body or b"").decode(),
            answer=answer,
        )
        attempt.exchanges.append(exchange)
        return exchange

    attempt.has_begun = True
    try:
        return note(client.send(request, since=began))
    except ButtonError as exc:
        return note(exc)
    except Exception as exc:  # noqa: BLE001 - a time limit of the worker, say
        return note(NoAnswerError(describe_exception(exc, "The call")))
    except BaseException:
        error = "The worker ended in the middle of a call."
        note(NoAnswerError(error))
        attempt.verdict = not_converging(error)
        raise
