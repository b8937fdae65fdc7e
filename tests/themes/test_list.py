"""The list: its actions, search, filters, export and the check of the adapter."""

from __future__ import annotations

import pytest
from django.conf import settings

from django_button_orders.models import ButtonOrder

pytestmark = pytest.mark.browser


def choose(desk, action, *, is_across=False):
    """Select all orders of the page, and run an action."""
    page = desk.page
    page.locator("#action-toggle").first.click()
    if is_across:
        page.locator(".question a, .grp-question a").first.click()
    page.locator("select[name=action]").select_option(action, force=True)
    page.locator("button[name=index]").first.click()


def test_actions(desk):
    rows = [desk.sell_refused(f"A-{number}") for number in range(3)]
    desk.calls()
    desk.open_list("?reason__exact=refused")
    choose(desk, "retry_orders")
    desk.expect("Retry 3 orders?")
    desk.press("Retry")
    desk.expect("3 orders will be sent again.")
    assert desk.calls() == ["POST /v1/order"] * 3

    desk.open_list("?status__exact=reported")
    choose(desk, "cancel_orders")
    desk.expect("This cannot be undone.")
    desk.press("Cancel at Button")
    desk.expect("3 orders will be cancelled at Button.")
    assert sorted(desk.calls()) == [f"DELETE /v1/order/A-{n}" for n in range(3)]

    desk.open_list()
    choose(desk, "erase_orders")
    desk.expect("Erase the personal data of 3 orders?")
    desk.press("Erase personal data")
    desk.expect("Send this list to Button")
    assert len(rows) == ButtonOrder.objects.filter(erased_at__isnull=False).count()


def test_all_pages(desk):
    """An action on more orders than one page shows."""
    row = desk.sell_refused("A-0")
    desk.calls()
    copies = [
        ButtonOrder(
            order_id=f"C-{n}",
            total=100,
            currency="USD",
            purchase_date=row.purchase_date,
            status="failed",
            reason="refused",
            next_attempt_at=None,
        )
        for n in range(110)
    ]
    ButtonOrder.objects.bulk_create(copies)

    desk.open_list()
    choose(desk, "dismiss_orders", is_across=True)
    desk.expect("Dismiss 111 orders?")
    desk.page.get_by_label("Note").fill("Tests of ours.")
    desk.press("Dismiss")
    desk.expect("111 orders were dismissed.")

    assert not ButtonOrder.objects.exclude(last_error="Tests of ours.").exists()
    assert desk.calls() == []


def orders_on(desk):
    return sorted(desk.page.locator(".field-order_id a").all_inner_texts())


def test_search_filters_and_links(desk):
    desk.sell_refused("S-1")
    desk.sell_reported("S-2")

    desk.open_list()
    field = desk.page.locator("input[name=q]").first
    field.fill("S-2")
    field.press("Enter")
    desk.page.wait_for_url("**q=S-2*")
    assert orders_on(desk) == ["S-2"]

    desk.open_list("?status__exact=failed")
    open_filters(desk)
    desk.page.locator(".button-order-filter summary").click()
    desk.page.get_by_label("From").fill("2020-01-01")
    desk.press("Apply")
    desk.page.wait_for_url("**bought_from=2020-01-01*")
    assert orders_on(desk) == ["S-1"]

    with desk.page.expect_download() as download:
        desk.page.get_by_role("link", name="Export as CSV").click()
    assert "S-1" in download.value.path().read_text()
    assert "S-2" not in download.value.path().read_text()

    desk.open_list()
    desk.page.get_by_role("link", name="Check the adapter").click()
    desk.expect("What the reports have")
    desk.expect("Check the adapter")


def test_filter_by_status(desk):
    desk.sell_refused("F-1")
    desk.sell_reported("F-2")

    desk.open_list()
    open_filters(desk)
    if "jazzmin" in settings.INSTALLED_APPS:
        # Its script takes the name of the parameter from the option.
        status = desk.page.locator("select:has([data-name=status__exact])")
        status.select_option("failed", force=True)
        desk.press("Search")
    elif "grappelli" in settings.INSTALLED_APPS:
        status = desk.page.locator("select.grp-filter-choice").first
        status.select_option("?status__exact=failed")
    else:
        desk.page.locator("#changelist-filter a[href*='status__exact=failed']").click()
    desk.page.wait_for_url("**status__exact=failed*")

    assert orders_on(desk) == ["F-1"]


def open_filters(desk):
    """Open the place in which a theme hides the filters."""
    if "unfold" in settings.INSTALLED_APPS:
        desk.page.locator("a", has_text="Filters").first.click()
    if "grappelli" in settings.INSTALLED_APPS:
        desk.page.locator(".grp-pulldown-handler").click()
