"""Asking Button what it knows of one order, for a person who wants to know."""

from __future__ import annotations

import time

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction

from django_button_orders.client.answers import Answer
from django_button_orders.conf import get_settings
from django_button_orders.delivery import verdicts
from django_button_orders.delivery.attempt import Attempt, Call
from django_button_orders.delivery.call import make_call
from django_button_orders.delivery.outcome import call_fields, redacted
from django_button_orders.delivery.prepare import settings_verdict
from django_button_orders.delivery.rate_limit import rate_of, seconds_ahead, take_turns
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.report.validation import clean_order_id

Operation = Submission.Operation

# Somebody is looking at a page that does not come.
PATIENCE_SECONDS = 5


def retrieve(
    order: ButtonOrder, *, trigger: str, user_id: str | None = None
) -> Submission:
    """
    Ask Button what it knows of an order, and put the call on record.

    Nothing else changes: not the row, whoever has its lease, and not whether
    its account is paused, which is for the workers to find out with their key.
    Waits for the network, so it is not to be called in a transaction.

    Raises ``ImproperlyConfigured`` where the settings let nothing be sent, and
    ``ValidationError`` for an id that no URL can have, or where the account's
    ``RATE_LIMIT`` has no turn in the next seconds.
    """
    settings = get_settings(order.account)
    if not settings.enabled:
        raise ImproperlyConfigured("BUTTON_ORDERS['ENABLED'] is False.")
    if hindrance := settings_verdict(settings):
        raise ImproperlyConfigured(hindrance.error)
    clean_order_id(order.order_id)
    wait_for_turn(order.account)
    attempt = Attempt(
        row=order,
        # Nobody's lease is needed for a question.
        lease_ends=float("inf"),
        trigger=trigger,
        user_id=user_id,
        settings=settings,
    )
    call = make_call(attempt, Operation.RETRIEVE, time.monotonic())
    return keep(attempt, call)


def wait_for_turn(account: str) -> None:
    if rate_of(account) and seconds_ahead(account) > PATIENCE_SECONDS:
        raise ValidationError(
            f"RATE_LIMIT has no turn for it in the next {PATIENCE_SECONDS} seconds."
        )
    time.sleep(take_turns(account))


def keep(attempt: Attempt, call: Call) -> Submission:
    order = attempt.row
    is_answered, error = understand(call)
    outcomes = Submission.Outcome
    submission = Submission(
        button_order_id=order.pk,
        operation=call.operation,
        trigger=attempt.trigger,
        user_id=attempt.user_id,
        revision=order.revision,
        outcome=outcomes.SUCCEEDED if is_answered else outcomes.FAILED,
        error=redacted(attempt, error),
        **call_fields(call),
    )
    using = order.write_db
    with transaction.atomic(using=using):
        # An order that was deleted meanwhile stays deleted, and so does its history.
        if order.row().exists():
            submission.save(using=using, force_insert=True)
    return submission


def understand(call: Call) -> tuple[bool, str]:
    """Return whether Button said if it has the order, and an error if it has not."""
    answer = call.answer
    is_known = verdicts.knows_order(answer)
    if is_known:
        return True, ""
    if not isinstance(answer, Answer):
        return False, str(answer)
    return is_known is False, verdicts.describe_answer(call.operation, answer)
