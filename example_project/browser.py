"""A small browser for the demo: it keeps cookies and fills in forms."""

from __future__ import annotations

from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests


class Browser:
    """The browser of one person, a customer or a clerk."""

    def __init__(self, base_url: str) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.base_url = base_url
        self.url = base_url
        self.page = ""

    def open(self, path: str) -> str:
        return self.follow(self.session.get(urljoin(self.base_url, path), timeout=20))

    def submit(self, action: str = "", **changes: Any) -> str:
        """Fill in the page's form whose URL ends with ``action``, and send it."""
        form = find_form(self.page, action, changes)
        url = urljoin(self.url, form.action)
        data = {**form.values, **{key: str(value) for key, value in changes.items()}}
        headers = {"Referer": self.url}
        return self.follow(
            self.session.post(url, data=data, headers=headers, timeout=20)
        )

    def follow(self, response: requests.Response) -> str:
        response.raise_for_status()
        self.url, self.page = response.url, response.text
        return self.page


class Form:
    """The URL of a form, and the values of its fields."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.values: dict[str, str] = {}


class FormParser(HTMLParser):
    """Collect the forms of a page, with the values of their fields."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.select = self.textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif not self.forms:
            return
        elif tag == "input":
            self.add_input(name, given)
        elif tag == "select":
            self.select = name
        elif tag == "textarea":
            self.textarea = name
        elif tag == "option" and "selected" in given:
            self.forms[-1].values[self.select] = given.get("value", "")

    def add_input(self, name: str, given: dict[str, str]) -> None:
        kind = given.get("type", "text")
        is_off = kind in ("checkbox", "radio") and "checked" not in given
        if name and not is_off and kind not in ("submit", "button"):
            self.forms[-1].values[name] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self.textarea:
            values = self.forms[-1].values
            # A browser drops the line break after the opening tag.
            values[self.textarea] = values.get(self.textarea, "") + data.lstrip("\r\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.textarea = ""


def find_form(page: str, action: str, fields: Iterable[str]) -> Form:
    """Return the first form whose URL ends with ``action`` and that has the fields."""
    parser = FormParser()
    parser.feed(page)
    for form in parser.forms:
        # Each page of Django's admin has a form with the logout button.
        path = form.action.partition("?")[0]
        is_meant = path.endswith(action) and "logout" not in path
        if is_meant and form.values.keys() >= set(fields):
            return form
    raise LookupError(f"The page has no form that goes to '{action}'.")
