"""
What is done in an attempt at a row: build, compare, call.

``prepare`` reads the database and ``perform`` does not. What comes of it all is
for ``record``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError

from django_button_orders import verdicts
from django_button_orders.attempts import Attempt, Call, Exchange, payload_of
from django_button_orders.conf import (
    LEASE_MARGIN_SECONDS,
    Settings,
    get_settings,
    keeps_secrets,
)
from django_button_orders.desired import (
    Undecided,
    choose_operation,
    find_desired,
    invalid,
)
from django_button_orders.failures import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)
from django_button_orders.hosts import HostOrders, dismiss_stand_ins
from django_button_orders.models import ButtonOrder
from django_button_orders.sources import IdTakenError, settle
from django_button_orders.verdicts import Outcome, Verdict, judge, not_converging

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
IsStopped = Callable[["Attempt"], bool]


def prepare_all(
    attempts: list[Attempt],
    *,
    is_stopped: IsStopped = lambda attempt: False,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[Attempt]:
    """
    Prepare the attempts of a batch, one after another.

    ``meanwhile`` is called between the steps that take time.
    """
    rows = [attempt.row for attempt in attempts]
    dismiss_stand_ins(rows)
    meanwhile()
    hosts = HostOrders(rows)
    meanwhile()
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
    else:
        attempt.verdict = obstacle(attempt.settings)
        attempt.next_operation = "" if attempt.verdict else choice


def obstacle(settings: Settings) -> Verdict | None:
    """Return what follows from settings with which nothing can be sent."""
    if not settings.api_key:
        return Verdict(
            outcome=Outcome.PAUSE,
            reason=verdicts.UNAUTHORIZED,
            error="BUTTON_ORDERS['API_KEY'] is not set.",
        )
    if not keeps_secrets(settings.base_url):
        # Neither Celery nor a web server looks at what the checks say.
        return Verdict(
            outcome=Outcome.RETRY,
            reason=verdicts.UNAVAILABLE,
            error="BUTTON_ORDERS['BASE_URL'] must start with 'https://'.",
        )
    return None


def rename(row: ButtonOrder, order_id: str) -> None:
    """Give a row that Button never heard of the id that its order has now."""
    if row.rename(order_id):
        return
    rows = ButtonOrder.objects.using(row.write_db)
    for other in rows.filter(account=row.account, order_id=order_id):
        let_report(other, row)
    raise Undecided(
        Verdict(
            outcome=Outcome.DISMISSED,
            error="Another row reports the shop's order by its present id.",
        )
    )


def let_report(other: ButtonOrder, row: ButtonOrder) -> None:
    """Have another row report the order of a row, unless it has one of its own."""
    source = {
        "source_type_id": row.source_type_id,
        "source_id": row.source_id,
    }
    try:
        settle(other, source)
    except IdTakenError as exc:
        raise invalid(describe_exception(exc, "get_order_id")) from exc


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
    Make the calls of an attempt, usually one, or those that are left of them.

    Does not touch the database. Nothing is sent once ``is_stopped(attempt)``, or
    with too little of the lease left for a call.
    """
    while True:
        call = attempt.call or begin_call(attempt, is_stopped=is_stopped, clock=clock)
        if call is None:
            return attempt
        with unforeseen(attempt):
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
    with unforeseen(attempt):
        if is_stopped(attempt) or not has_lease(attempt, clock()):
            attempt.verdict = released(attempt)
        else:
            attempt.call = Call(attempt, attempt.next_operation, began)
    return attempt.call


@contextmanager
def unforeseen(attempt: Attempt) -> Iterator[None]:
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
                attempt.verdict = not_converging(error)
            raise
        # Once something was sent, Button may have acted.
        is_sent = attempt.has_begun
        attempt.verdict = not_converging(error) if is_sent else invalid(error).verdict


def has_lease(attempt: Attempt, now: float) -> bool:
    needed = attempt.settings.deadline + LEASE_MARGIN_SECONDS
    return attempt.lease_ends - now >= needed


def released(attempt: Attempt) -> Verdict:
    """Give the attempt back, unless something was sent already."""
    if not attempt.exchanges:
        return Verdict(outcome=Outcome.RELEASE)
    return not_converging("The time for the attempt ran out.")


def end_call(call: Call, exchange: Exchange) -> None:
    """Set the verdict of its attempt, or the next operation."""
    attempt, operation = call.attempt, call.operation
    attempt.call = None
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
