"""Our parts are readable, and fit wide and narrow windows, in light and dark ones."""

from __future__ import annotations

import pytest
from django.conf import settings

pytestmark = pytest.mark.browser

CLEAR = "rgba(0, 0, 0, 0)"
WINDOWS = {"wide": (1280, "light"), "narrow": (400, "dark")}
STYLE = "node => getComputedStyle(node)[{!r}]"
# Grappelli's own forms have a minimal width.
MIN_WIDTH = 980 if "grappelli" in settings.INSTALLED_APPS else 0
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


@pytest.fixture(params=WINDOWS, autouse=True)
def size(request, desk):
    width, scheme = WINDOWS[request.param]
    desk.page.set_viewport_size({"width": width, "height": 800})
    desk.page.emulate_media(color_scheme=scheme)


def assert_readable(desk):
    widths = desk.page.evaluate(WIDTHS)
    assert widths[0] <= max(widths[1], MIN_WIDTH), desk.page.url
    for button in desk.page.locator(".button-order-verbs .button:visible").all():
        fill, text = (
            button.evaluate(STYLE.format(name)) for name in ("backgroundColor", "color")
        )
        assert fill not in (CLEAR, text)
        assert button.bounding_box()["height"] > 24


def test_list(desk):
    """The cells hold what they show, and the search has a field and a button."""
    desk.sell_reported("L-1")

    desk.open_list()

    assert_readable(desk)
    cell = desk.page.locator(".field-status_badge").first.bounding_box()
    badge = desk.page.locator(".field-status_badge > *").first.bounding_box()
    assert badge["x"] + badge["width"] <= cell["x"] + cell["width"]
    field = desk.page.locator("input[name=q]").first
    assert "0px" not in field.evaluate(STYLE.format("border"))
    button = desk.page.get_by_role("button", name="Search").first
    assert button.evaluate(STYLE.format("backgroundColor")) != CLEAR


def test_pages(desk):
    row = desk.sell_refused("L-1")

    desk.open_order(row)
    desk.expect("Internals")
    assert_readable(desk)
    desk.open_host_order(row)
    desk.page.locator("summary", has_text="Dismiss").click()
    assert_readable(desk)
    assert "none" not in desk.page.get_by_label("Note").evaluate(STYLE.format("border"))


def test_page_of_the_shop_without_an_admin(desk):
    """A page of the shop has no style sheet of the admin."""
    row = desk.sell_refused("L-1")

    desk.page.goto(f"/orders/{row.source_id}/")

    assert desk.page.locator(".button-order-verbs .button:visible").count() > 2
    assert_readable(desk)
