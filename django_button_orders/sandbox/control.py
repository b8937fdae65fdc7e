"""The URLs below ``/sandbox``: a page, lists as JSON, and commands to the sandbox."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import asdict, replace
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django_button_orders.sandbox.fake_button import FakeButton
from django_button_orders.sandbox.page import render_page
from django_button_orders.sandbox.wire import (
    Answer,
    ReceivedRequest,
    RefusedError,
    Request,
    as_json,
    not_allowed,
    ok,
    parse_or_none,
)

PREFIX = "sandbox"
VIEWS = ("", "orders", "requests", "counts")
ACTIONS = ("misbehave", "clear", "finalize", "finalize-all", "reopen", "reset")
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:",
    "Cache-Control": "no-store",
}


def is_control(request: Request) -> bool:
    """Return whether a request is for the sandbox itself and not for the API."""
    return request.segments[0] == PREFIX


def answer_control(button: FakeButton, request: Request, url: str) -> Answer:
    """Answer a request for the sandbox itself. The page shows ``url``."""
    try:
        check_host(request)
        return route(button, request, url)
    except RefusedError as exc:
        return exc.answer


def route(button: FakeButton, request: Request, url: str) -> Answer:
    name, argument, *others = [*request.segments[1:], "", ""]
    if name in VIEWS and not argument:
        return view(button, request, name, url)
    if name in ACTIONS and not any(others):
        return act(button, request, name, argument)
    raise RefusedError("The sandbox has no such page.", HTTPStatus.NOT_FOUND)


def check_host(request: Request) -> None:
    """Raise ``RefusedError`` unless the Host header names this machine."""
    # A web page can resolve its own host name to this machine (DNS rebinding), and its
    # scripts could then read the sandbox.
    if not is_loopback(request.headers.get("Host", "")):
        raise RefusedError(
            "Only requests to localhost or a loopback address are allowed.",
            HTTPStatus.FORBIDDEN,
        )


def is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def view(button: FakeButton, request: Request, name: str, url: str) -> Answer:
    """Answer a GET: the page, or one of the lists as JSON."""
    if request.method != "GET":
        raise not_allowed("GET")
    if name == "orders":
        return as_json(button.orders)
    if name == "requests":
        return as_json([as_values(item) for item in button.requests])
    if name == "counts":
        return as_json(button.counts)
    page = render_page(url, button.orders, button.requests, button.page_token)
    return Answer(
        status=HTTPStatus.OK,
        body=page,
        content_type="text/html; charset=utf-8",
        headers=PAGE_HEADERS,
    )


def as_values(request: ReceivedRequest) -> dict[str, Any]:
    raw_body = request.raw_body.decode(errors="replace")
    return {**asdict(request), "raw_body": raw_body}


def act(button: FakeButton, request: Request, name: str, argument: str) -> Answer:
    """Answer a POST that changes the sandbox."""
    if request.method != "POST":
        raise not_allowed("POST")
    is_form = is_form_of_page(button, request)
    if not request.is_json and not is_form:
        # A form on a web page cannot send this type, so no web page can change the
        # sandbox of a developer who visits it.
        raise RefusedError(
            "Content-Type must be application/json.", HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    answer = carry_out(button, request, name, argument)
    if is_form:
        # Reloading the page must not send the form again.
        location = {"Location": f"/{PREFIX}"}
        return replace(answer, status=HTTPStatus.SEE_OTHER, headers=location)
    return answer


def is_form_of_page(button: FakeButton, request: Request) -> bool:
    """Return whether a form has the token of our page, which no other page can read."""
    [token] = parse_qs(request.raw_body).get(b"token", [b""])[:1]
    return hmac.compare_digest(token, button.page_token.encode())


def carry_out(button: FakeButton, request: Request, name: str, argument: str) -> Answer:
    if name == "misbehave":
        misbehave(button, parse_or_none(request.raw_body))
    elif name == "clear":
        button.clear_misbehaviour()
    elif name == "reset":
        button.reset()
    elif name == "finalize-all":
        return ok(finalized=button.finalize_all())
    else:
        act_on_order(button.reopen if name == "reopen" else button.finalize, argument)
    return ok()


def misbehave(button: FakeButton, options: Any) -> None:
    if not isinstance(options, dict):
        raise RefusedError("The body must be a JSON object.")
    try:
        button.misbehave(**options)
    except (TypeError, ValueError) as exc:
        raise RefusedError(str(exc)) from exc


def act_on_order(action: Callable[[str], None], order_id: str) -> None:
    try:
        action(order_id)
    except LookupError as exc:
        raise RefusedError(str(exc), HTTPStatus.NOT_FOUND) from exc
