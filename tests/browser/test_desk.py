"""Operators handle orders in the admin, with a mouse or a keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.people import Customer, Keyboard, Mouse, Operator
from tests.browser.trouble import REFUSAL, REFUSED, refuse_the_key, refusing

pytestmark = pytest.mark.browser

WAYS = {
    "mouse": (Mouse(), {}),
    "keyboard": (Keyboard(), {}),
    "without_javascript": (Mouse(), {"java_script_enabled": False}),
}


@pytest.fixture
def customer(new_page):
    return Customer(new_page())


@pytest.fixture
def operator(new_page, clerk):
    return Operator(new_page(storage_state=clerk))


def test_an_order_arrives_with_its_token(customer, operator, button):
    number = customer.buy(token="fakesrctok-arrives", Mug=2)

    operator.open_order(number)
    operator.see("Button has this order")
    operator.see("fakesrctok-arrives")

    held = button.orders()[number]
    assert (held["btn_ref"], held["total"]) == ("fakesrctok-arrives", 3000)


@pytest.mark.parametrize("way", WAYS)
def test_an_order_is_refused_corrected_retried_and_cancelled(new_page, button, way):
    hands, options = WAYS[way]
    operator = Operator(new_page(**options), hands)
    operator.log_in()

    with refusing(button):
        number = Customer(new_page(**options), hands).buy(Teapot=1)
        operator.open_order(number)
        operator.see(REFUSED)
        operator.see(REFUSAL)
    operator.move_product("Teapot", category=f"Tableware ({way})")
    operator.open_order(number)
    operator.press("Retry")
    operator.read("1 order will be sent again.")
    operator.see("Button has this order")

    held = button.orders()[number]
    assert held["line_items"][0]["category"] == [f"Tableware ({way})"]

    operator.press_and_confirm("Cancel at Button")
    operator.read("1 order will be cancelled at Button.")
    operator.see("The order was cancelled")

    assert button.orders()[number]["status"] == "deleted"


def test_an_order_is_dismissed_with_a_note(customer, operator, button):
    with refusing(button):
        number = customer.buy()
        operator.open_order(number)
        operator.see(REFUSED)

    operator.press_and_confirm("Dismiss", note="A test order of ours.")
    operator.read("1 order was dismissed.")
    operator.see("A test order of ours.")

    assert not button.has(number)


@pytest.mark.parametrize("way", WAYS)
def test_several_orders_are_retried(customer, new_page, clerk, button, way):
    hands, options = WAYS[way]
    operator = Operator(new_page(storage_state=clerk, **options), hands)
    numbers = []
    with refusing(button):
        for _ in range(2):
            numbers.append(customer.buy())
            operator.open_order(numbers[-1])
            operator.see(REFUSED)

    operator.choose_action("Retry selected orders", *numbers)
    operator.read("Total value:")
    assert not button.has(*numbers)
    operator.press("Retry")
    operator.read("2 orders will be sent again.")
    for number in numbers:
        operator.open_order(number)
        operator.see("Button has this order")

    assert button.has(*numbers)


def test_a_paused_account_is_resumed(customer, operator, button):
    refuse_the_key(button)
    number = customer.buy()
    operator.open_order(number)
    operator.see("the account is paused")

    operator.press("Resume the account default")
    operator.read("The account default is resumed")
    operator.see("Button has this order")

    assert button.has(number)


def test_a_paused_account_is_resumed_on_the_list(customer, operator, button):
    refuse_the_key(button)
    number = customer.buy()
    operator.open_order(number)
    operator.see("the account is paused")
    operator.open_list()

    operator.press("Resume the account default")
    operator.read("The account default is resumed")
    operator.open_order(number)
    operator.see("Button has this order")

    assert button.has(number)


def test_an_order_is_retried_on_the_page_of_the_shop(customer, operator, button):
    with refusing(button):
        number = customer.buy()
        operator.open_host_order(number)
        operator.see(REFUSED)
    page = operator.page.url

    operator.press("Retry")
    operator.read("1 order will be sent again.")
    assert operator.page.url == page
    operator.see("Button has this order")
    operator.follow("Open the Button order")

    heading = operator.page.get_by_role("heading", name=number)
    expect(heading).to_be_visible()
    assert button.has(number)
