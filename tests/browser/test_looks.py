"""Check the pages in wide and narrow, light and dark windows, and with axe-core."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from tests.browser.looks import violations
from tests.browser.people import Customer, Operator
from tests.browser.screenshots import IMAGES, PAGES, record
from tests.browser.trouble import REFUSED, putting_off, refusing

pytestmark = pytest.mark.browser

FORGET_FIGURES = """
from django_button_orders.models import Snapshot
Snapshot.objects.all().delete()
"""
HEIGHT = 800
# The height of what surrounds the scrolling part of a page.
MARGIN = 150
# The width of a title that is not squeezed, in a window of 400 pixels.
MIN_TITLE = 180


@pytest.fixture(scope="module")
def morning(open_window, clerk, sandbox, shop):
    """Create an order in each state, and return their numbers."""
    customer = Customer(open_window())
    operator = Operator(open_window(storage_state=clerk))
    reported, cancelled = customer.buy(Mug=2), customer.buy(Mug=1)
    operator.open_order(reported)
    operator.see("Button has this order")
    operator.open_order(cancelled)
    operator.see("Button has this order")
    operator.press_and_confirm("Cancel at Button")
    operator.read("1 order will be cancelled at Button.")
    operator.see("The order was cancelled")
    closed = customer.buy(Teapot=3)
    operator.open_order(closed)
    operator.see("Button has this order")
    sandbox.finalize(closed)
    operator.press_and_confirm("Cancel at Button")
    operator.read("1 order will be cancelled at Button.")
    operator.see("came too late")
    with putting_off(sandbox):
        waiting = customer.buy(Mug=3)
        operator.open_order(waiting)
        operator.see("It will be retried automatically")
    with refusing(sandbox):
        dismissed = customer.buy(Teapot=2)
        operator.open_order(dismissed)
        operator.see(REFUSED)
    operator.press_and_confirm("Dismiss", note="A test order of ours.")
    operator.read("1 order was dismissed.")
    with refusing(sandbox):
        refused = customer.buy(Teapot=1, Mug=1)
        operator.open_order(refused)
        operator.see(REFUSED)
    customer.page.context.close()
    operator.page.context.close()
    # The panel may show figures that are a minute old. Without them, it counts anew.
    shop.manage("shell", "--command", FORGET_FIGURES)
    return SimpleNamespace(refused=refused, waiting=waiting, closed=closed)


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=[1280, 400])
def operator(request, new_page, clerk, scheme):
    return Operator(
        new_page(
            storage_state=clerk,
            color_scheme=scheme,
            viewport={"width": request.param, "height": HEIGHT},
        )
    )


@pytest.fixture
def look(operator, pictures, scheme):
    """Return a function that takes a screenshot of a page, and returns its faults."""

    def look(name):
        page = operator.page
        name = f"{name}-{page.viewport_size['width']}-{scheme}"
        # SCREENSHOTS=1 renews the screenshots in the documentation.
        is_asked_for = os.environ.get("SCREENSHOTS") and name in PAGES
        show_all(page)
        folder = IMAGES if is_asked_for else pictures
        page.screenshot(path=folder / f"{name}.png", full_page=True)
        if is_asked_for:
            record(name, page.inner_text("body"))
        return "\n".join([*violations(page), *overflows(page)])

    return look


def show_all(page):
    """Make the window as tall as the part of the page that scrolls."""
    heights = "Array.from(document.querySelectorAll('*'), item => item.scrollHeight)"
    height = page.evaluate(f"Math.max(...{heights})") + MARGIN
    if height > page.viewport_size["height"]:
        page.set_viewport_size({**page.viewport_size, "height": height})


def overflows(page):
    """Return a fault if the page is wider than its window."""
    widths = page.evaluate("[document.body.scrollWidth, window.innerWidth]")
    return [f"{page.url} is {widths[0]} pixels wide"] if widths[0] > widths[1] else []


def test_list(morning, operator, look):
    operator.open_list()

    assert look("list") == ""


@pytest.mark.parametrize("model", ["buttonorder", "order"])
def test_our_box_is_below_the_title(morning, operator, model):
    """Django 6.1 has the title in a row with the links beside it."""
    if model == "order":
        operator.open_host_order(morning.refused)
    else:
        operator.open_list()
    title = operator.page.locator("#content h1").first.bounding_box()
    ours = ".button-order-panel, .button-order-host"
    box = operator.page.locator(ours).first.bounding_box()

    assert title["width"] > MIN_TITLE
    assert title["y"] + title["height"] <= box["y"]
    assert box["width"] > title["width"] - MARGIN


def test_check_of_the_adapter(morning, operator, look):
    operator.open_list()
    operator.follow("Check the adapter")
    operator.read("What the reports have")

    assert look("check") == ""


def test_order(morning, operator, look):
    operator.open_order(morning.refused)

    assert look("order") == ""


def test_closed_order(morning, operator, look):
    operator.open_order(morning.closed)
    operator.read("Button holds 145.50 USD and accepts no more changes")

    assert look("closed") == ""


def test_history(morning, operator, look):
    operator.open_order(morning.refused)
    operator.follow("History")
    operator.read("what people did in the admin")

    assert look("history") == ""


def test_host_order(morning, operator, look):
    operator.open_host_order(morning.refused)

    assert look("host") == ""


def test_button_that_asks(morning, operator, look):
    operator.open_host_order(morning.refused)
    operator.ask("Cancel at Button")
    operator.ask("Dismiss")

    assert look("question") == ""


def test_confirmation(morning, operator, look):
    operator.choose_action("Dismiss selected orders", *vars(morning).values())
    operator.read("Orders that will be skipped")

    assert look("confirmation") == ""
