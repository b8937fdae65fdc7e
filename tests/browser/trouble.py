"""Make the sandbox refuse or put off calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from example_project.button import Button

REFUSAL = "line_items[0].category: 'Kitchen' is not a category of this brand"
# An order's page says this once the order has failed. A page that was read while the
# order failed may show the refused call alone, and has no buttons yet.
REFUSED = "Button refused this order"


# As long as a test needs, and not one call: Every five minutes, the shop's process
# compares its orders with what was reported. It may find that a test has changed their
# products, and the call for one of them would get the answer meant for a new order.
MANY = 1_000


@contextmanager
def refusing(button: Button) -> Iterator[None]:
    """Refuse each order that is sent in the meantime."""
    error = {"meta": {"status": "error"}, "error": {"message": REFUSAL}}
    body = json.dumps(error)
    button.misbehave(
        status=HTTPStatus.BAD_REQUEST, body=body, method="POST", times=MANY
    )
    yield
    button.behave()


@contextmanager
def putting_off(button: Button) -> Iterator[None]:
    """Answer 503, with a Retry-After of one hour."""
    button.misbehave(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": "3600"},
        method="POST",
        times=MANY,
    )
    yield
    button.behave()


def refuse_the_key(button: Button) -> None:
    button.misbehave(status=HTTPStatus.UNAUTHORIZED)
