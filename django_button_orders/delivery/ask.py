"""Ask Button what it knows of one order, while a person waits for the answer."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction

from django_button_orders.client import Answer, ButtonError
from django_button_orders.clock import monotonic
from django_button_orders.conf import get_settings, path_of
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.delivery.call import make_call
from django_button_orders.delivery.outcome import submissions_of
from django_button_orders.delivery.prepare import settings_verdict
from django_button_orders.delivery.rate_limit import (
    rate_of,
    reserve_turns,
    seconds_ahead,
)
from django_button_orders.delivery.verdicts import (
    SUCCESSES,
    Result,
    Verdict,
    describe_answer,
    judge_retrieve,
)
from django_button_orders.delivery.window import read_end
from django_button_orders.models import ButtonOrder, Submission, as_aware
from django_button_orders.models.erasing import forget_answers
from django_button_orders.report.validation import clean_order_id

RETRIEVE = Submission.Operation.RETRIEVE
# A person waits no longer than this for a turn under RATE_LIMIT.
PATIENCE_SECONDS = 5


def retrieve(
    order: ButtonOrder, *, trigger: str, user_id: str | None = None
) -> Submission:
    """
    Ask Button what it knows of an order, and return the call as a submission.

    It needs no lease, and of the row it writes only the end of the change window. It
    neither pauses nor resumes the account. It waits for the network, so do not call it
    in a transaction.

    Raises ``ImproperlyConfigured`` if the settings do not allow calls, and
    ``ValidationError`` if the order ID cannot stand in a URL or ``RATE_LIMIT`` has no
    turn within ``PATIENCE_SECONDS``.
    """
    settings = get_settings(order.account)
    if not settings.enabled:
        raise ImproperlyConfigured(f"{path_of(order.account, 'ENABLED')} is False.")
    if hindrance := settings_verdict(order.account):
        raise ImproperlyConfigured(hindrance.error)
    clean_order_id(order.order_id)
    wait_for_turn(order.account)
    attempt = Attempt(
        row=order,
        lease_ends=float("inf"),
        trigger=trigger,
        user_id=user_id,
        settings=settings,
    )
    call = make_call(attempt, RETRIEVE, monotonic())
    [submission] = submissions_of(attempt, judge_for_person(call.answer))
    submission = save(submission, order)
    if order.is_acknowledged:
        save_window_end(read_end(attempt.known_order), order)
    return submission


def wait_for_turn(account: str) -> None:
    """Wait for a turn to call an account. Raises ``ValidationError``."""
    if rate_of(account) and seconds_ahead(account) > PATIENCE_SECONDS:
        raise ValidationError(
            f"RATE_LIMIT allows no call for this account within {PATIENCE_SECONDS} "
            "seconds. Ask again later."
        )
    time.sleep(reserve_turns(account))


def judge_for_person(answer: Answer | ButtonError) -> Verdict:
    """Return a success if Button said whether it has the order, or else a failure."""
    verdict = judge_retrieve(answer)
    if verdict.result not in SUCCESSES:
        # Nothing retries this call, so RETRY and PAUSE are failures here.
        return replace(verdict, result=Result.FAILED)
    if isinstance(answer, Answer) and not answer.is_success:
        # The submission also shows how Button said that it has no such order.
        return replace(verdict, error=describe_answer(RETRIEVE, answer))
    return verdict


def save(submission: Submission, order: ButtonOrder) -> Submission:
    """Save a submission, unless its order was deleted during the call."""
    using = order.write_db
    with transaction.atomic(using=using):
        if order.row().exists():
            submission.save(using=using, force_insert=True)
    if order.erased_at is None:
        forget_answers([order.pk], using=using)
    return submission


def save_window_end(end: datetime | None, order: ButtonOrder) -> None:
    """Save the end of the change window that Button has shown, if it is news."""
    if end is not None and end != as_aware(order.finalizes_at):
        order.row().update(finalizes_at=end)
