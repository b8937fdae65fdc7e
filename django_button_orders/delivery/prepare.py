"""
What is done in an attempt at a row: build, compare, call.

``prepare`` reads the database and ``perform`` does not. What comes of it all is
for ``record``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError

from django_button_orders.conf import Settings, get_settings, keeps_secrets
from django_button_orders.delivery.attempt import Attempt, Clock, IsStopped
from django_button_orders.delivery.desired import (
    NoReport,
    as_invalid,
    choose_operation,
    find_desired,
)
from django_button_orders.delivery.verdicts import Result, Verdict, unknown_outcome
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import HostOrders
from django_button_orders.outbox.identity import dismiss_placeholders
from django_button_orders.outbox.ownership import IdTakenError, claim_ownership
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_log,
    is_time_limit,
)

logger = logging.getLogger(__name__)
Reason = ButtonOrder.Reason


def prepare_all(
    attempts: list[Attempt],
    *,
    is_stopped: IsStopped = lambda attempt: False,
) -> Iterator[Attempt]:
    """
    Prepare the attempts of a batch, one after another.
    """
    rows = [attempt.row for attempt in attempts]
    dismiss_placeholders(rows)
    hosts = HostOrders(rows)
    for attempt in attempts:
        if is_stopped(attempt):
            attempt.give_back()
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
    if not attempt.has_time(clock()):
        attempt.give_back()
        return attempt
    try:
        choose_call(attempt, hosts or HostOrders())
    except NoReport as exc:
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
            attempt.verdict = unknown_outcome(error)
            raise
        attempt.verdict = as_invalid(error).verdict
    return attempt


def choose_call(attempt: Attempt, hosts: HostOrders) -> None:
    """Set the first operation, or a verdict where no call is needed."""
    row = attempt.row
    try:
        attempt.settings = get_settings(row.account)
    except ImproperlyConfigured as exc:
        raise as_invalid(str(exc)) from exc
    if row.attempts > len(attempt.settings.retry_schedule) + 1:
        raise NoReport(
            Verdict(
                result=Result.FAILED,
                reason=Reason.EXHAUSTED,
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
        attempt.verdict = Verdict(result=Result.DISMISSED, reason=Reason.NO_TOKEN)
    else:
        attempt.verdict = settings_verdict(attempt.settings)
        attempt.next_operation = "" if attempt.verdict else choice


def settings_verdict(settings: Settings) -> Verdict | None:
    """Return what follows from settings with which nothing can be sent."""
    if not settings.api_key:
        return Verdict(
            result=Result.PAUSE,
            reason=Reason.UNAUTHORIZED,
            error="BUTTON_ORDERS['API_KEY'] is not set.",
        )
    if not keeps_secrets(settings.base_url):
        # Neither Celery nor a web server looks at what the checks say.
        return Verdict(
            result=Result.RETRY,
            reason=Reason.UNAVAILABLE,
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
    raise NoReport(
        Verdict(
            result=Result.DISMISSED,
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
        claim_ownership(other, source)
    except IdTakenError as exc:
        raise as_invalid(describe_exception(exc, "get_order_id")) from exc


def is_without_token(attempt: Attempt) -> bool:
    report = attempt.desired.report if attempt.desired else None
    return (
        report is not None
        and not report.btn_ref
        and not attempt.row.is_acknowledged
        and not attempt.settings.report_without_token
    )
