"""Ask Button whether it accepts an account's key, without any effect on orders."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

from django_button_orders.client.answers import Answer
from django_button_orders.client.api import retrieve_order
from django_button_orders.client.exceptions import ButtonError
from django_button_orders.clock import monotonic
from django_button_orders.conf import get_settings, may_receive_api_key, path_of
from django_button_orders.delivery.attempt import client_for
from django_button_orders.delivery.rate_limit import reserve_turns
from django_button_orders.delivery.verdicts import (
    FORBIDDEN,
    KEY_REFUSED,
    find_rule,
    knows_order,
)
from django_button_orders.models import Submission

NO_PATH = "There is no such path."


@dataclass(frozen=True, kw_only=True)
class Ping:
    """The answer of Button to a ping, or the reason why it was not asked."""

    account: str
    is_ok: bool
    message: str
    seconds: float | None = None


def ping(account: str) -> Ping:
    """
    Ask Button for an order that cannot exist.

    Raises ``ImproperlyConfigured`` when the settings cannot be read.
    """
    settings = get_settings(account)
    if not settings.api_key:
        # An account that is not enabled needs no key.
        message = "No call was made: the account has no API_KEY."
        return Ping(account=account, is_ok=not settings.enabled, message=message)
    if not may_receive_api_key(settings.base_url):
        message = "No call was made: BASE_URL must start with 'https://'."
        return Ping(account=account, is_ok=False, message=message)
    address = f"{path_of(account, 'BASE_URL')} is '{settings.base_url}'."
    time.sleep(reserve_turns(account))
    start = monotonic()
    try:
        answer = client_for(settings).send(retrieve_order(f"ping-{uuid4()}"))
    except ButtonError as exc:
        return Ping(account=account, is_ok=False, message=f"{exc} {address}")
    message = describe(answer)
    return Ping(
        account=account,
        is_ok=is_expected(answer),
        message=f"{message} {address}" if has_no_path(answer) else message,
        seconds=monotonic() - start,
    )


def is_expected(answer: Answer) -> bool:
    return knows_order(answer) is False and not has_no_path(answer)


def has_no_path(answer: Answer) -> bool:
    """
    Return whether the sandbox says that a path does not exist, and not the order.

    Button does not publish how it answers then, so its 404 always counts as expected.
    """
    return answer.status_code == HTTPStatus.NOT_FOUND and answer.message == NO_PATH


def describe(answer: Answer) -> str:
    if has_no_path(answer):
        return "The server answers, and has no Order API at this address."
    if is_expected(answer):
        return "Button accepts the API key."
    rule = find_rule(Submission.Operation.RETRIEVE, answer)
    if rule is KEY_REFUSED:
        return "Button refuses the API key (401)."
    if rule is FORBIDDEN:
        return "Button does not allow this API key to read orders (403)."
    kind = "page of HTML" if answer.is_html else "answer"
    return f"Unexpected {kind} with status {answer.status_code}."
