"""Make the calls of an attempt, usually one. Nothing here touches the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from django_button_orders.client import (
    ButtonError,
    NoAnswerError,
    Request,
    cancel_order,
    create_order,
    retrieve_order,
    update_order,
)
from django_button_orders.clock import Clock, monotonic
from django_button_orders.delivery.attempt import Attempt, Call, IsStopped
from django_button_orders.delivery.conflict import describe_both, is_ours, sent_before
from django_button_orders.delivery.verdicts import (
    CANCELLED,
    CUSTOMER_KEPT,
    LATER,
    NOT_SAID,
    REPORTED,
    Result,
    Verdict,
    find_rule,
    invalid,
    is_page_of_proxy,
    judge,
    knows_order,
    taken,
    unknown_outcome,
    with_error,
)
from django_button_orders.delivery.window import changes_only_customer, read_total
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.printable import get_logger
from django_button_orders.report.objects import with_decimals, without_btn_ref
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)
from django_button_orders.signals import call_ended

logger = get_logger(__name__)

Operation = Submission.Operation
Reason = ButtonOrder.Reason


def perform(
    attempt: Attempt,
    *,
    is_stopped: IsStopped = lambda attempt: False,
    clock: Clock = monotonic,
) -> Attempt:
    """
    Make the calls of a prepared attempt until there is a verdict.

    No call begins once ``is_stopped(attempt)``, or when too little of the lease is
    left for one. Returns the attempt.
    """
    while attempt.verdict is None:
        # This moment is taken before the lease is looked at, so that a process
        # that is frozen in between finds the deadline of its call passed.
        began = monotonic()
        with recording_errors(attempt):
            if is_stopped(attempt) or not attempt.has_time(clock()):
                attempt.release()
            else:
                follow(attempt, make_call(attempt, attempt.next_operation, began))
    return attempt


def make_call(attempt: Attempt, operation: str, began: float) -> Call:
    """
    Make one call, and return it with its answer, or with what went wrong.

    Its deadline counts from ``began``, a moment of ``clock.monotonic()``.
    """
    client, request = attempt.client, make_request(attempt, operation)
    call = Call(
        operation=operation,
        method=request.method,
        url=client.url(request),
        request_body=(request.body or b"").decode(),
        started_at=datetime.now(timezone.utc),
    )
    attempt.calls.append(call)
    try:
        call.answer = client.send(request, since=began)
    except ButtonError as exc:
        call.answer = exc
    except Exception as exc:
        if is_time_limit(exc):
            raise
        name = attempt.row.order_id
        logger.error("The call for order %s failed: %s", name, describe_for_log(exc))
        call.answer = NoAnswerError(describe_exception(exc, "The call"))
    finally:
        call.duration_ms = round((monotonic() - began) * 1000)
        send_call_ended(attempt, call)
    return call


def send_call_ended(attempt: Attempt, call: Call) -> None:
    results = call_ended.send_robust(
        sender=ButtonOrder,
        order_id=attempt.row.order_id,
        account=attempt.row.account,
        exchange=call,
    )
    for _, result in results:
        # A worker's time limit may strike in a receiver.
        if isinstance(result, Exception) and is_time_limit(result):
            raise result


def follow(attempt: Attempt, call: Call) -> None:
    """Set what follows from a call: the verdict of its attempt, or the next call."""
    if attempt.late is not None:
        conclude_after_asking(attempt)
        return
    result = judge(call.operation, call.answer)
    if result == Operation.RETRIEVE and is_certainly_ours(attempt):
        result = Operation.UPDATE
    if isinstance(result, str) and is_cancellation(attempt):
        result = Operation.CANCEL
        if is_page_of_proxy(call.answer):
            # It does not say whose order Button has.
            result = with_error(LATER, call.operation, call.answer)
    if isinstance(result, Verdict):
        conclude(attempt, result)
    elif knows_order(call.answer) and call.operation == Operation.RETRIEVE:
        attempt.verdict = judge_known_order(attempt)
        attempt.next_operation = "" if attempt.verdict else result
    elif any(result == earlier.operation for earlier in attempt.calls):
        # Button says both that it has the order and that it has not, as it may
        # shortly after a 202, or does not say whose it is. A later attempt will see.
        said = [f"{item.status_code} to {item.operation}" for item in attempt.calls]
        attempt.verdict = unknown_outcome(
            f"Button answered {' and then '.join(said)}, which does not say whether "
            "it has this order."
        )
    else:
        attempt.next_operation = result


def conclude(attempt: Attempt, verdict: Verdict) -> None:
    """Set the verdict of an attempt, or the question that comes before it."""
    if is_customer_late(attempt, verdict):
        attempt.verdict = CUSTOMER_KEPT
    elif is_late_in_doubt(attempt, verdict):
        attempt.late, attempt.next_operation = verdict, Operation.RETRIEVE
    else:
        attempt.verdict = verdict


def is_cancellation(attempt: Attempt) -> bool:
    """Return whether an attempt is to cancel its order."""
    return attempt.desired is not None and attempt.desired.report is None


def is_customer_late(attempt: Attempt, verdict: Verdict) -> bool:
    """Return whether an update is too late that would change only the customer."""
    return (
        verdict.result is Result.CLOSED
        and attempt.desired is not None
        and changes_only_customer(attempt.row, attempt.desired)
    )


def is_late_in_doubt(attempt: Attempt, verdict: Verdict) -> bool:
    """
    Return whether a change is too late, and it is not known what Button holds.

    An earlier change got no answer, and Button has not shown the order since.
    """
    return (
        verdict.result is Result.CLOSED
        and attempt.row.unanswered > 1
        and not attempt.known_order
    )


def conclude_after_asking(attempt: Attempt) -> None:
    """Set the verdict on a change that came too late, after Button was asked."""
    attempt.verdict = attempt.late
    if has_arrived(attempt):
        attempt.late = None
        attempt.verdict = CANCELLED if is_cancellation(attempt) else REPORTED


def has_arrived(attempt: Attempt) -> bool:
    """
    Return whether Button shows that it has a change whose answer was lost.

    Button need not show every field. An update has all of them, so one new value is
    enough, if the order has changed only once since it was acknowledged.
    """
    row, desired, order = attempt.row, attempt.desired, attempt.known_order
    if desired is None or is_cancellation(attempt):
        return order.get("status") == "deleted"
    return (
        row.reported_revision is not None
        and row.revision == row.reported_revision + 1
        and read_total(order, attempt.settings) == desired.total
        and row.reported_total not in (None, desired.total)
    )


def is_certainly_ours(attempt: Attempt) -> bool:
    """
    Return whether the order that Button refuses to create again is certainly ours.

    Button has acknowledged it. Or an earlier attempt is unanswered, and so Button was
    asked before this create, and does not accept the question. If it said that it has
    no such order, it has to be asked again.
    """
    is_refused = any(
        find_rule(call.operation, call.answer) is NOT_SAID for call in attempt.calls
    )
    return attempt.row.is_acknowledged or is_refused


def judge_known_order(attempt: Attempt) -> Verdict | None:
    """Return a verdict on an order that Button has already, or None to change it."""
    order = attempt.known_order
    if order.get("status") == "deleted":
        if is_cancellation(attempt):
            return CANCELLED
        return Verdict(
            result=Result.FAILED,
            reason=Reason.FINALIZED,
            error="The order is cancelled at Button already.",
        )
    if not is_ours(attempt, order):
        ours = payload_for(attempt, Operation.CREATE) or sent_before(attempt)
        return taken(describe_both(ours, order))
    if shows_report(attempt, order):
        return Verdict(result=Result.REPORTED)
    return None


def shows_report(attempt: Attempt, order: dict[str, Any]) -> bool:
    """
    Return whether Button's view of an order agrees with what should be reported.

    Button need not show every field. A field that it does not show was sent as it
    is now only if the order has not changed since its row was created.
    """
    payload = payload_for(attempt, Operation.CREATE)
    shown = {name: order[name] for name in payload.keys() & order.keys()}
    return (
        attempt.row.revision == 1
        and "total" in shown
        and all(payload[name] == value for name, value in shown.items())
    )


def make_request(attempt: Attempt, operation: str) -> Request:
    """Return the request of an operation on the attempt's order."""
    payload, order_id = payload_for(attempt, operation), attempt.row.order_id
    if operation == Operation.CREATE:
        return create_order(payload)
    if operation == Operation.UPDATE:
        return update_order(order_id, payload)
    if operation == Operation.CANCEL:
        return cancel_order(order_id)
    return retrieve_order(order_id)


def payload_for(attempt: Attempt, operation: str) -> dict[str, Any]:
    """Return the body of an operation as a dict. It is empty where there is none."""
    if attempt.desired is None or operation in (Operation.CANCEL, Operation.RETRIEVE):
        return {}
    payload = attempt.desired.payload
    if operation != Operation.CREATE:
        # Button ties a token to its order when the order is created.
        payload = without_btn_ref(payload)
    is_decimal = payload and attempt.settings.total_as_decimal
    return with_decimals(payload) if is_decimal else payload


@contextmanager
def recording_errors(attempt: Attempt) -> Iterator[None]:
    """
    Turn an exception into a verdict, so that it is recorded on the row.

    A worker's time limit is raised instead: it says nothing about the order.
    """
    try:
        yield
    except Exception as exc:
        if is_time_limit(exc):
            raise
        logger.error(
            "Order %s cannot be sent: %s", attempt.row.order_id, describe_for_log(exc)
        )
        error = describe_exception(exc, "Sending the order")
        # Once a call has begun, Button may have acted.
        attempt.verdict = unknown_outcome(error) if attempt.calls else invalid(error)
