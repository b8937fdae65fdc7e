"""An operator in the admin of a shop, who presses buttons under any theme."""

from __future__ import annotations

from http import HTTPStatus

from django.urls import reverse
from playwright.sync_api import Page, expect

from django_button_orders.models import ButtonOrder
from django_button_orders.testing import ButtonSandbox
from tests.browser.people import Person
from tests.shop.models import Order

OURS = "django_button_orders"


class Desk(Person):
    """
    A person in the admin, the sandbox, and the database of the shop.

    The themes have no common roles, such as a main part. Our own parts are found by
    their roles and texts, and theirs by the names of fields.
    """

    def __init__(self, page: Page, sandbox: ButtonSandbox, site: str) -> None:
        super().__init__(page)
        self.sandbox = sandbox
        self.site = site
        self.seen = 0

    # What happens in the shop

    def sell(self, number: str, **values: object) -> ButtonOrder:
        """Save an order of the shop, and return its Button order."""
        Order.objects.create(number=number, **values)
        return ButtonOrder.objects.get(order_id=number)

    def sell_refused(self, number: str) -> ButtonOrder:
        self.sandbox.misbehave(status=HTTPStatus.BAD_REQUEST, method="POST")
        row = self.sell(number)
        self.sandbox.report()
        return row

    def sell_reported(self, number: str) -> ButtonOrder:
        row = self.sell(number)
        self.sandbox.report()
        return row

    def calls(self) -> list[str]:
        """Report what is due, and return the requests since the last question."""
        self.sandbox.report()
        return self.calls_so_far()

    def calls_so_far(self) -> list[str]:
        """Return the requests since the last question."""
        new = self.sandbox.requests[self.seen :]
        self.seen += len(new)
        return [f"{request.method} {request.path}" for request in new]

    # What the operator does

    def url(self, model: str, view: str, *args: object) -> str:
        app = "shop" if model == "order" else OURS
        return reverse(f"admin:{app}_{model}_{view}", args=args, current_app=self.site)

    def open_list(self, query: str = "") -> None:
        self.page.goto(self.url("buttonorder", "changelist") + query)

    def open_order(self, row: ButtonOrder) -> None:
        self.page.goto(self.url("buttonorder", "change", row.pk))

    def open_host_order(self, row: ButtonOrder) -> None:
        self.page.goto(self.url("order", "change", row.source_id))

    def press_and_confirm(self, name: str, *, note: str = "") -> None:
        # The page of an order offers "Report over it" twice.
        questions = self.page.locator(".button-order-verbs details")
        question = questions.filter(has_text=f"{name}…").first
        question.locator("summary").click()
        if note:
            question.get_by_label("Note").fill(note)
        question.get_by_role("button", name=name, exact=True).click()

    def expect(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()
