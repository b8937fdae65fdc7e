"""A morning at the operator's desk."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from tests.browser.people import Customer, Keyboard, Mouse, Operator

pytestmark = pytest.mark.browser

REFUSAL = "line_items[0].category: 'Kitchen' is not a category of this brand"
WAYS = {
    "mouse": (Mouse(), {}),
    "keyboard": (Keyboard(), {}),
    "without JavaScript": (Mouse(), {"java_script_enabled": False}),
}


def refuse(button) -> None:
    """Let Button refuse the next order."""
    error = {"meta": {"status": "error"}, "error": {"message": REFUSAL}}
    button.misbehave(
        status=HTTPStatus.BAD_REQUEST, body=json.dumps(error), method="POST"
    )


@pytest.fixture
def customer(new_page):
    return Customer(new_page())


@pytest.fixture
def operator(new_page):
    somebody = Operator(new_page())
    somebody.log_in()
    return somebody


@pytest.mark.parametrize("way", WAYS)
def test_an_order_is_refused_corrected_and_retried(new_page, button, way):
    hands, options = WAYS[way]
    operator = Operator(new_page(**options), hands)
    refuse(button)

    number = Customer(new_page(**options), hands).buy()
    operator.log_in()
    operator.open_order(number)
    operator.see(REFUSAL)
    operator.press("Retry")
    operator.see("1 order will be sent again.")
    operator.see("Button has this order")

    assert button.orders()[number]["status"] == "open"


def test_an_order_arrives_with_its_token(customer, operator, button):
    number = customer.buy(token="fakesrctok-arrives", Mug=2)

    operator.open_order(number)
    operator.see("Button has this order")
    operator.see("fakesrctok-arrives")

    assert button.orders()[number]["btn_ref"] == "fakesrctok-arrives"
    assert button.orders()[number]["total"] == 3000


def test_an_order_is_cancelled(customer, operator, button):
    number = customer.buy()
    operator.open_order(number)
    operator.see("Button has this order")

    operator.press_and_confirm("Cancel at Button")
    operator.see("1 order will be cancelled at Button.")
    operator.see("The order was cancelled")

    assert button.orders()[number]["status"] == "deleted"
