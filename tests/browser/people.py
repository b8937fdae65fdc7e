"""
Customers and operators, who use a mouse, or only a keyboard.

They find everything on a page by its role, label or text.
"""

from __future__ import annotations

import re
import secrets
import time

from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.conftest import PASSWORD, PATIENCE_MS

# The time to wait for a text before the page is loaded again.
LOOK_MS = 1_000
# More than the focusable elements of any page.
MAX_TABS = 300
HAS_FOCUS = "node => node === document.activeElement"
# Return whether an element looks different with and without the focus.
SHOWS_FOCUS = """node => {
    const looks = () => {
        const style = getComputedStyle(node);
        return [
            style.outline, style.boxShadow, style.borderColor,
            style.backgroundColor, style.color, style.textDecoration,
        ].join("; ");
    };
    node.style.transition = "none";
    const focused = looks();
    node.blur();
    const blurred = looks();
    node.focus();
    return focused !== blurred;
}"""


class Mouse:
    def press(self, target: Locator) -> None:
        target.click()

    def write(self, field: Locator, text: str) -> None:
        field.fill(text)

    def tick(self, box: Locator) -> None:
        box.check()

    def choose(self, field: Locator, option: str) -> None:
        field.select_option(label=option)


class Keyboard:
    """Use Tab, Enter and letters, and check that each element shows its focus."""

    def press(self, target: Locator) -> None:
        self.reach(target)
        target.page.keyboard.press("Enter")

    def write(self, field: Locator, text: str) -> None:
        self.reach(field)
        field.page.keyboard.press("ControlOrMeta+A")
        field.page.keyboard.insert_text(text)

    def tick(self, box: Locator) -> None:
        self.reach(box)
        box.page.keyboard.press("Space")

    def choose(self, field: Locator, option: str) -> None:
        self.reach(field)
        wanted = field.get_by_role("option", name=option, exact=True)
        value = wanted.get_attribute("value")
        for _ in range(field.get_by_role("option").count()):
            if field.input_value() == value:
                return
            field.page.keyboard.press("ArrowDown")
        expect(field).to_have_value(value)

    def reach(self, target: Locator) -> None:
        for _ in range(MAX_TABS):
            if target.evaluate(HAS_FOCUS):
                break
            target.page.keyboard.press("Tab")
        else:
            raise AssertionError(f"{target} cannot be reached with the keyboard.")
        assert target.evaluate(SHOWS_FOCUS), f"{target} does not show its focus."


class Person:
    def __init__(self, page: Page, hands: Mouse | Keyboard | None = None) -> None:
        self.page = page
        self.hands = hands or Mouse()

    def read(self, text: str | re.Pattern[str]) -> None:
        """Wait for a text on the page that is loading, such as a message."""
        found = self.page.get_by_text(text).filter(visible=True)
        expect(found.first).to_be_visible()

    def see(self, text: str | re.Pattern[str]) -> None:
        """Reload the page until it has a text. Messages do not survive a reload."""
        found = self.page.get_by_role("main").get_by_text(text)
        self.wait_for(found.filter(visible=True).first)

    def wait_for(self, target: Locator) -> None:
        ends = time.monotonic() + PATIENCE_MS / 1000
        while True:
            try:
                target.wait_for(timeout=LOOK_MS)
            except TimeoutError:
                words = self.page.get_by_role("main").inner_text()
                assert time.monotonic() < ends, f"{target} is not among: {words}"
                self.page.reload()
            else:
                return

    def press(self, name: str) -> None:
        self.hands.press(self.page.get_by_role("button", name=name, exact=True))

    def follow(self, name: str | re.Pattern[str]) -> None:
        main = self.page.get_by_role("main")
        self.hands.press(main.get_by_role("link", name=name).first)


class Customer(Person):
    def buy(self, *, token: str = "", **quantities: int) -> str:
        """Come with an attribution token, buy, and return the number of the order."""
        token = token or f"fakesrctok-{secrets.token_hex(8)}"
        self.page.goto(f"/?btn_ref={token}")
        self.follow("Buy something")
        self.hands.write(self.page.get_by_label("E-mail"), "jane@example.com")
        for name, quantity in (quantities or {"Teapot": 1}).items():
            label = self.page.get_by_label(re.compile(rf"^{name},"))
            self.hands.write(label, str(quantity))
        self.press("Pay")
        expect(self.page.get_by_role("heading", name="Thank you!")).to_be_visible()
        return self.page.get_by_role("main").get_by_role("strong").inner_text()


class Operator(Person):
    """A user of the admin."""

    def log_in(self) -> None:
        self.page.goto("/admin/")
        self.hands.write(self.page.get_by_label("Username"), "clerk")
        self.hands.write(self.page.get_by_label("Password"), PASSWORD)
        self.press("Log in")
        expect(self.page.get_by_role("button", name="Log out")).to_be_visible()

    def open_list(self) -> None:
        self.page.goto("/admin/")
        # The app has a link with the same name.
        main = self.page.get_by_role("main")
        models = main.get_by_role("rowheader")
        self.hands.press(models.get_by_role("link", name="Button orders"))
        self.page.wait_for_url("**/buttonorder/")

    def open_order(self, number: str) -> None:
        """Find an order in the list, and open its page."""
        self.open_list()
        self.search(number)

    def open_host_order(self, number: str) -> None:
        self.page.goto("/admin/shop/order/")
        self.search(number)

    def search(self, number: str) -> None:
        self.hands.write(self.page.get_by_role("search").get_by_role("textbox"), number)
        self.press("Search")
        self.follow(number)
        self.page.wait_for_url("**/change/**")

    def press_and_confirm(self, name: str, *, note: str = "") -> None:
        """Press a button that asks for confirmation, and confirm it, with a note."""
        self.ask(name)
        if note:
            self.hands.write(self.page.get_by_label("Note"), note)
        self.press(name)

    def choose_action(self, action: str, *numbers: str) -> None:
        """Select orders on the list, and run an action on them."""
        self.open_list()
        for number in numbers:
            row = self.page.get_by_role("row").filter(has_text=number)
            self.hands.tick(row.get_by_role("checkbox"))
        self.hands.choose(self.page.get_by_label("Action:"), action)
        self.press("Go")

    def ask(self, name: str) -> None:
        self.hands.press(self.page.get_by_text(f"{name}…", exact=True))

    def move_product(self, name: str, *, category: str) -> None:
        self.page.goto("/admin/shop/product/")
        self.follow(name)
        self.hands.write(self.page.get_by_label("Category"), category)
        self.press("Save")
        self.read("was changed successfully")
