"""Make the sandbox refuse or postpone the next calls."""

from __future__ import annotations

import json
from http import HTTPStatus

from example_project.button import Button

REFUSAL = "line_items[0].category: 'Kitchen' is not a category of this brand"
# An order's page says this once the order has failed. A page that was read while the
# order failed may show the refused call alone, and has no buttons yet.
REFUSED = "Button refused this order"


def refuse(button: Button) -> None:
    error = {"meta": {"status": "error"}, "error": {"message": REFUSAL}}
    button.misbehave(
        status=HTTPStatus.BAD_REQUEST, body=json.dumps(error), method="POST"
    )


def put_off(button: Button) -> None:
    """Answer 503, with a Retry-After of one hour."""
    button.misbehave(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": "3600"},
        method="POST",
    )


def refuse_the_key(button: Button) -> None:
    button.misbehave(status=HTTPStatus.UNAUTHORIZED)
