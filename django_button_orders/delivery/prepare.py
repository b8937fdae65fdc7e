"""
Prepare attempts: find what Button should know, and choose the call that tells it.

Preparing reads the database. The calls, which come next, do not.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError

from django_button_orders.clock import Clock, monotonic
from django_button_orders.conf import (
    Settings,
    get_settings,
    may_receive_api_key,
    path_of,
)
from django_button_orders.delivery.attempt import Attempt, IsStopped
from django_button_orders.delivery.desired import (
    Desired,
    NoReport,
    as_invalid,
    find_desired,
)
from django_button_orders.delivery.verdicts import (
    Result,
    Verdict,
    invalid,
    unknown_outcome,
)
from django_button_orders.delivery.window import judge_late_change
from django_button_orders.models import CANCELLED_DIGEST, ButtonOrder, Submission
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.outbox.adapters import HostOrders
from django_button_orders.outbox.identity import dismiss_placeholders
from django_button_orders.outbox.ownership import IdTakenError, assign_row
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)

logger = get_logger(__name__)
Operation = Submission.Operation
Reason = ButtonOrder.Reason


def prepare_all(
    attempts: list[Attempt], *, is_stopped: IsStopped = lambda attempt: False
) -> Iterator[Attempt]:
    """
    Prepare the attempts of a batch, and yield one after another.

    Their host orders are read together. Once ``is_stopped(attempt)``, an attempt is
    released instead.
    """
    rows = [attempt.row for attempt in attempts]
    hosts = HostOrders(rows)
    dismiss_placeholders(rows)
    for attempt in attempts:
        if is_stopped(attempt):
            attempt.release()
            yield attempt
        else:
            yield prepare(attempt, hosts)


def prepare(
    attempt: Attempt,
    hosts: HostOrders | None = None,
    *,
    clock: Clock = monotonic,
) -> Attempt:
    """
    Set an attempt's next call, or its verdict if it needs none. Return the attempt.

    ``hosts`` has the host orders of its batch. If too little of the lease is left
    for a call, the attempt is released.
    """
    if not attempt.has_time(clock()):
        attempt.release()
        return attempt
    try:
        choose_call(attempt, hosts or HostOrders())
    except NoReport as exc:
        attempt.verdict = exc.verdict
        if exc.hook:
            logger.warning("Order %s: %s", attempt.row.order_id, exc.summary)
    except (OperationalError, InterfaceError):
        # The database is away, which says nothing about the order.
        raise
    except Exception as exc:
        # One bad row must not stop the others.
        logger.error(
            "Order %s cannot be prepared: %s",
            attempt.row.order_id,
            describe_for_log(exc),
        )
        error = describe_exception(exc, "Preparing the report")
        if is_time_limit(exc):
            # The worker's time is up, which says nothing about the order.
            attempt.verdict = unknown_outcome(error)
            raise
        attempt.verdict = invalid(error)
    return attempt


def choose_call(attempt: Attempt, hosts: HostOrders) -> None:
    """Set the first operation of an attempt, or its verdict if it needs no call."""
    row = attempt.row
    attempt.settings = settings_for(row)
    refuse_exhausted(attempt)
    try:
        attempt.desired = desired = find_desired(row, hosts)
    except NoReport as exc:
        if exc.order_id not in ("", row.order_id):
            rows_with(exc.order_id, row).mark_changed()
        raise
    if desired.order_id != row.order_id:
        rename(row, desired.order_id)
    if is_without_token(attempt, desired):
        attempt.verdict = Verdict(result=Result.DISMISSED, reason=Reason.NO_TOKEN)
        return
    choice = choose_operation(row, desired)
    if isinstance(choice, Verdict):
        attempt.verdict = choice
    else:
        attempt.verdict = settings_verdict(row.account)
        attempt.next_operation = "" if attempt.verdict else choice


def settings_for(row: ButtonOrder) -> Settings:
    try:
        return get_settings(row.account)
    except ImproperlyConfigured as exc:
        raise as_invalid(str(exc)) from exc


def refuse_exhausted(attempt: Attempt) -> None:
    """Raise ``NoReport`` for a row whose every attempt has killed its worker."""
    if attempt.row.attempts > len(attempt.settings.retry_schedule) + 1:
        raise NoReport(
            Verdict(
                result=Result.FAILED,
                reason=Reason.EXHAUSTED,
                error="The worker ended in every attempt. Read its log.",
                is_definite=False,
            )
        )


def choose_operation(row: ButtonOrder, desired: Desired) -> str | Verdict:
    """
    Compare what Button should know with what it last acknowledged.

    Return the operation that makes them agree, or a verdict if none is needed.
    """
    agreed = Verdict(result=Result.REPORTED if desired.report else Result.CANCELLED)
    if row.has_settled(desired.digest) and row.unanswered <= 1:
        return agreed
    if desired.report is None and not row.may_be_known:
        return agreed
    if desired.report is not None and row.reported_digest == CANCELLED_DIGEST:
        return Verdict(
            result=Result.FAILED,
            reason=Reason.FINALIZED,
            error="The order is cancelled at Button, which cannot be undone. "
            "Report it under another order ID.",
        )
    if not row.is_acknowledged:
        return Operation.RETRIEVE if row.may_be_known else Operation.CREATE
    if late := judge_late_change(row, desired):
        return late
    return Operation.UPDATE if desired.report else Operation.CANCEL


def is_without_token(attempt: Attempt, desired: Desired) -> bool:
    """Return whether ``REPORT_WITHOUT_TOKEN`` keeps an order from being reported."""
    return (
        desired.report is not None
        and not desired.report.btn_ref
        and not attempt.row.is_acknowledged
        and not attempt.settings.report_without_token
    )


def settings_verdict(account: str) -> Verdict | None:
    """Return the verdict on any call for an account whose settings allow none."""
    settings = get_settings(account)
    if not settings.api_key:
        return Verdict(
            result=Result.PAUSE,
            reason=Reason.UNAUTHORIZED,
            error=f"{path_of(account, 'API_KEY')} is not set.",
        )
    if not may_receive_api_key(settings.base_url):
        # System checks say so, too, but neither Celery nor a web server runs them.
        return Verdict(
            result=Result.RETRY,
            reason=Reason.UNAVAILABLE,
            error=f"{path_of(account, 'BASE_URL')} must start with 'https://'.",
        )
    return None


def rename(row: ButtonOrder, order_id: str) -> None:
    """
    Give a row that Button never heard of the id that its order has now.

    Raises ``NoReport`` if another row has that id: it reports the order from now on.
    """
    if row.rename(order_id):
        return
    for other in rows_with(order_id, row):
        hand_over(row, other)
    # The save of the order may have marked only the row that is dismissed here.
    rows_with(order_id, row).mark_changed()
    raise NoReport(
        Verdict(
            result=Result.DISMISSED,
            error="Another Button order reports this order under its present ID.",
        )
    )


def rows_with(order_id: str, row: ButtonOrder) -> ButtonOrderQuerySet:
    """Return the row, in a queryset, that has an id in the account of another row."""
    rows = ButtonOrder.objects.using(row.write_db)
    return rows.filter(account=row.account, order_id=order_id)


def hand_over(row: ButtonOrder, other: ButtonOrder) -> None:
    """Have another row report the order of a row, unless it has one of its own."""
    source = {
        "source_type_id": row.source_type_id,
        "source_id": row.source_id,
    }
    try:
        assign_row(other, source)
    except IdTakenError as exc:
        raise as_invalid(describe_exception(exc, "get_order_id")) from exc
