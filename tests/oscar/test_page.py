"""The how-to guide for Oscar, run as a script: its files, its commands, a checkout."""

from __future__ import annotations

import re
from html import unescape

import requests

from tests.snippets.page import find_blocks
from tests.test_tutorial import ROOT, ScriptTestCase

PAGE = ROOT / "docs" / "howto" / "django-oscar.rst"
LINK = "http://127.0.0.1:8000/catalogue/mug_1/?btn_ref=fakesrctok-0123456789abcdef"
ORDER = "100001"
PATIENCE_SECONDS = 30


class Browser:
    """A browser as far as forms: it has cookies, and sends the page's CSRF token."""

    def __init__(self, web):
        self.web = web
        self.session = requests.Session()

    def open(self, path):
        answer = self.session.get(self.web + path, timeout=PATIENCE_SECONDS)
        assert answer.ok, (path, answer.status_code, answer.text[:2000])
        return answer.text

    def send(self, path, **fields):
        form = {"csrfmiddlewaretoken": self.session.cookies["csrftoken"], **fields}
        answer = self.session.post(self.web + path, form, timeout=PATIENCE_SECONDS)
        assert answer.ok, (path, answer.status_code, answer.text[:2000])
        return answer.text

    def log_in(self, path):
        self.open(f"/dashboard/login/?next={path}")
        return self.send(
            "/dashboard/login/",
            username="clerk@example.com",
            password="tutorial",
            next=path,
        )


class PageTests(ScriptTestCase):
    folder_name = "oscar-shop"

    def test_each_step(self):
        acts = {
            f"POST /v1/order 200 order {ORDER}": self.check_out,
            f"POST /v1/order/{ORDER} 200 order {ORDER}": self.refund_a_mug,
            f"DELETE /v1/order/{ORDER} 200 order {ORDER}": self.cancel,
        }
        for block in find_blocks(PAGE):
            if block.language == "html+django":
                continue
            # The page asks its reader to do something in the browser.
            acts.pop(block.code.strip(), lambda: None)()
            self.follow(block)

        assert not acts
        self.reader.run("python manage.py makemigrations --check --dry-run order")

    @property
    def held(self):
        """What the sandbox holds of the order."""
        answer = requests.get(
            f"{self.reader.sandbox}/sandbox/orders", timeout=PATIENCE_SECONDS
        )
        return answer.json()[ORDER]

    def check_out(self):
        self.reader.terminals["4"].expect("Quit the server with CONTROL-C.")
        assert LINK in PAGE.read_text()
        guest = Browser(self.reader.web)
        page = guest.open(LINK.removeprefix("http://127.0.0.1:8000"))
        guest.send(find_path(r'action="(/basket/add/\d+/)"', page), quantity=2)
        guest.open("/checkout/")
        guest.send("/checkout/", username="ada@example.com", options="anonymous")
        guest.send(
            "/checkout/shipping-address/",
            first_name="Ada",
            last_name="Byron",
            line1="1 Main Street",
            line4="Chicago",
            postcode="60601",
        )
        guest.open("/checkout/preview/")
        page = guest.send("/checkout/preview/", action="place_order")
        assert ORDER in page, page

    def refund_a_mug(self):
        assert self.held["total"] == 4000
        assert self.held["btn_ref"] == LINK.partition("=")[2]
        self.clerk = Browser(self.reader.web)
        page = self.clerk.log_in(f"/dashboard/orders/{ORDER}/")
        assert "Reporting to Button" in page, page
        self.open_in_the_admin(page)
        line = find_path(r'name="selected_line" value="(\d+)"', page)
        event = re.search(r'<option value="(\w+)">Refunded</option>', page)
        assert event, page
        self.clerk.send(
            f"/dashboard/orders/{ORDER}/",
            line_action="create_payment_event",
            selected_line=line,
            **{f"selected_line_qty_{line}": 1},
            payment_event_type=event[1],
            amount="20.00",
        )

    def open_in_the_admin(self, page):
        """Follow the box's link, and find the call."""
        path = find_path(r'href="(/admin/[^"]*/buttonorder/\d+/change/)"', page)
        assert "/v1/order" in self.clerk.open(path)

    def cancel(self):
        assert self.held["total"] == 2000
        self.clerk.send(
            f"/dashboard/orders/{ORDER}/",
            order_action="change_order_status",
            new_status="Cancelled",
        )


def find_path(pattern, page):
    found = re.search(pattern, page)
    assert found, page
    return unescape(found[1])
