"""Each button on the pages of an order, of the shop's order and of an account."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from django.contrib.admin.models import LogEntry

from django_button_orders.models import ButtonOrder, PausedAccount
from tests.shop.models import Order

pytestmark = pytest.mark.browser


def row_of(number):
    return ButtonOrder.objects.get(order_id=number)


def test_page_of_an_order(desk):
    row = desk.sell_refused("R-1")
    desk.open_order(row)
    desk.calls()

    desk.press("Retry")
    desk.expect("1 order will be sent again.")
    assert desk.calls() == ["POST /v1/order"]

    desk.open_order(row)
    desk.press("Ask Button")
    desk.expect("Button has this order, and it is open")
    assert desk.calls() == ["GET /v1/order/R-1"]

    desk.press_and_confirm("Cancel at Button")
    desk.expect("1 order will be cancelled at Button.")
    assert desk.calls() == ["DELETE /v1/order/R-1"]

    row = desk.sell_refused("D-1")
    desk.open_order(row)
    desk.calls()
    desk.press_and_confirm("Dismiss", note="A test order of ours.")
    desk.expect("1 order was dismissed.")
    assert desk.calls() == []
    assert row_of("D-1").last_error == "A test order of ours."


def test_order_that_button_has_under_the_same_id(desk):
    desk.sell_reported("T-1")
    Order.objects.update(total=80)
    ButtonOrder.objects.update(status="failed", reason="taken", next_attempt_at=None)
    desk.calls_so_far()

    desk.open_order(row_of("T-1"))
    desk.press_and_confirm("Report over it")
    desk.expect("1 order will replace the order that Button has")

    assert desk.calls()[-1] == "POST /v1/order/T-1"
    assert desk.sandbox.orders["T-1"]["total"] == 8000


def test_page_of_the_shop_with_an_unsaved_edit(desk):
    """The buttons stand outside of the form, and save nothing of it."""
    rows = [desk.sell_refused(f"H-{number}") for number in range(3)]
    desk.calls()

    desk.open_host_order(rows[0])
    desk.page.locator("[name=btn_ref]").fill("unsaved")
    desk.press("Retry")
    desk.expect("1 order will be sent again.")
    assert desk.calls() == ["POST /v1/order"]

    desk.open_host_order(rows[1])
    desk.page.locator("[name=btn_ref]").fill("unsaved")
    desk.press_and_confirm("Dismiss", note="Ours.")
    desk.expect("1 order was dismissed.")
    assert desk.calls() == []

    desk.open_host_order(rows[2])
    desk.page.locator("[name=btn_ref]").fill("unsaved")
    desk.press_and_confirm("Cancel at Button")
    desk.expect("1 order")
    desk.calls()

    desk.open_host_order(rows[0])
    desk.page.locator("[name=btn_ref]").fill("unsaved")
    desk.press("Ask Button")
    desk.expect("Reporting to Button")
    assert desk.calls() == ["GET /v1/order/H-0"]

    assert set(Order.objects.values_list("btn_ref", flat=True)) == {""}
    assert not LogEntry.objects.filter(content_type__model="order").exists()
    statuses = [row_of(row.order_id).status for row in rows]
    assert statuses == ["reported", "dismissed", "cancelled"]


@pytest.mark.parametrize("place", ["order", "host", "list", "account"])
def test_paused_account(desk, place):
    desk.sandbox.misbehave(status=HTTPStatus.UNAUTHORIZED)
    row = desk.sell("P-1")
    desk.sandbox.report()
    desk.calls_so_far()
    assert PausedAccount.objects.exists()

    if place == "order":
        desk.open_order(row)
    elif place == "host":
        desk.open_host_order(row)
    elif place == "list":
        desk.open_list()
    else:
        pk = PausedAccount.objects.get().pk
        desk.page.goto(desk.url("pausedaccount", "change", pk))
    desk.press("Resume the account default")
    desk.expect("The account default is resumed")

    assert not PausedAccount.objects.exists()
    assert desk.calls() == ["POST /v1/order"]
