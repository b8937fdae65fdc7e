"""The list of Button orders shows what it has in wide and in narrow windows."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.browser.people import Operator

pytestmark = pytest.mark.browser

# Each status and reason, long IDs and amounts, and more orders than the list counts.
ADD = """
from datetime import datetime, timezone
from django_button_orders.models import ButtonOrder
Reason = ButtonOrder.Reason
later = datetime(2099, 1, 1, tzinfo=timezone.utc)
bought = datetime(2026, 11, 21, 22, 45, tzinfo=timezone.utc)
kinds = [("failed", reason) for reason in Reason]
kinds += [("pending", reason) for reason in ("", Reason.UNAVAILABLE)]
kinds += [("reported", ""), ("cancelled", ""), ("closed", Reason.FINALIZED)]
rows = [
    ButtonOrder(
        order_id=f"look-{number}", status=status, reason=reason, currency="SEK",
        total=123456789, purchase_date=bought, last_status_code=422,
        last_error="Button refused it: " + "the category has too many texts, " * 9,
        next_attempt_at=later if status == "pending" else None,
    )
    for number, (status, reason) in enumerate(kinds)
]
rows[0].order_id = "look-" + "0b9e1c1e-7c1d-4b8a-9d8e-6c1a2f3e4d5b" * 3
rows += [
    ButtonOrder(
        order_id=f"look many {number}", status="reported", currency="ISK", total=1,
        next_attempt_at=None,
    )
    for number in range(1001)
]
ButtonOrder.objects.bulk_create(rows)
"""
REMOVE = """
from django_button_orders.models import ButtonOrder
ButtonOrder.objects.filter(order_id__startswith="look").delete()
"""
VARIED, MANY = "?currency=SEK", "?currency=ISK"
WANTED = ("status_badge", "order_id", "amount", "bought", "last_answer", "next_attempt")
# Two lines, and the space around them.
TALLEST_ROW = 52


@pytest.fixture(scope="module", autouse=True)
def orders(shop):
    shop.manage("shell", "--command", ADD)
    yield
    shop.manage("shell", "--command", REMOVE)


@pytest.fixture
def open_list(new_page, clerk):
    def open_list(query, width):
        page = new_page(storage_state=clerk, viewport={"width": width, "height": 800})
        Operator(page).open_list()
        page.goto(f"{page.url}{query}")
        return page

    return open_list


def outside(page, selector):
    """Return the texts of the elements that do not lie in the window's width."""
    return page.locator(selector).evaluate_all(
        """elements => elements.filter(element => {
            const box = element.getBoundingClientRect();
            const isCut = element.scrollWidth > element.clientWidth + 1;
            return box.left < 0 || box.right > window.innerWidth || isCut;
        }).map(element => element.innerText)"""
    )


def test_all_columns_are_in_sight_at_a_desk(open_list):
    page = open_list(VARIED, 1280)

    rows = page.locator("#result_list tbody tr")
    heights = rows.evaluate_all("rows => rows.map(row => row.offsetHeight)")

    assert len(heights) > 10
    assert max(heights) <= TALLEST_ROW
    for name in WANTED:
        assert page.locator(f"#result_list tbody .field-{name}").first.is_visible()
        assert outside(page, f"#result_list :is(.field-{name}, .column-{name})") == []
    [widths] = page.locator(".results").evaluate_all(
        "items => items.map(item => [item.scrollWidth, item.clientWidth])"
    )
    assert widths[0] <= widths[1]


def test_an_order_is_a_card_on_a_phone(open_list):
    page = open_list(VARIED, 400)

    card = page.locator("#result_list tbody tr", has_text="look-1")
    for name in ("status_badge", "order_id", "amount", "bought", "last_answer"):
        assert card.first.locator(f".field-{name}").is_visible()
    assert outside(page, "#result_list tbody :is(.field-amount, .field-order_id)") == []
    assert outside(page, "body, .results, #result_list tbody tr") == []
    assert "1234567.89 SEK" in card.first.inner_text()


def test_search_and_actions_work_on_a_phone(open_list):
    page = open_list(VARIED, 400)

    assert outside(page, "#searchbar, #changelist-search [type=submit]") == []
    assert outside(page, ".actions select, .actions button, #action-toggle") == []
    page.locator("#action-toggle").check()
    assert page.locator(".action-select:checked").count() > 10


def test_pager_is_whole_on_a_phone(open_list):
    page = open_list(MANY, 400)

    text = page.locator(".paginator").inner_text()
    assert "There are more than 1,000 results" in text
    assert "More than 1,000 results" in page.locator("#toolbar").inner_text()
    assert outside(page, ".paginator, .paginator :is(li, p, a)") == []


def test_cards_are_rows_of_a_table_to_a_screen_reader(open_list):
    page = open_list(VARIED, 400)
    count = page.locator("#result_list tbody tr").count()

    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = Counter(node["role"]["value"] for node in nodes if not node["ignored"])

    assert roles["table"] >= 1
    assert roles["row"] >= count + 1
    assert roles["rowheader"] >= count
    assert roles["columnheader"] >= len(WANTED)
    assert roles["cell"] + roles["gridcell"] >= count * (len(WANTED) - 1)
