"""The sandbox's own paths, for a person or a script on this machine."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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

if TYPE_CHECKING:
    from django_button_orders.sandbox.server import Sandbox

PREFIX = "sandbox"
VIEWS = ("", "orders", "requests", "counts")
ACTIONS = ("misbehave", "clear", "finalize", "reset")
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:",
    "Cache-Control": "no-store",
}


def is_control(request: Request) -> bool:
    return request.segments[0] == PREFIX


def answer_control(sandbox: Sandbox, request: Request) -> Answer:
    try:
        check_host(request)
        return route(sandbox, request)
    except RefusedError as exc:
        return exc.answer


def route(sandbox: Sandbox, request: Request) -> Answer:
    name, argument, *others = [*request.segments[1:], "", ""]
    if name in VIEWS and not argument:
        return view(sandbox, request, name)
    if name in ACTIONS and not any(others):
        return act(sandbox, request, name, argument)
    raise RefusedError("The sandbox has no such page.", HTTPStatus.NOT_FOUND)


def check_host(request: Request) -> None:
    # A page on the web can point a name of its own to this machine.
    if not is_loopback(request.headers.get("Host", "")):
        raise RefusedError("Only for this machine, by its name.", HTTPStatus.FORBIDDEN)


def is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def view(sandbox: Sandbox, request: Request, name: str) -> Answer:
    if request.method != "GET":
        raise not_allowed("GET")
    if name == "orders":
        return as_json(sandbox.orders)
    if name == "requests":
        return as_json([as_values(item) for item in sandbox.requests])
    if name == "counts":
        return as_json(sandbox.counts)
    page = render_page(sandbox.url, sandbox.orders, sandbox.requests)
    return Answer(
        status=HTTPStatus.OK,
        body=page,
        content_type="text/html; charset=utf-8",
        headers=PAGE_HEADERS,
    )


def as_values(request: ReceivedRequest) -> dict[str, Any]:
    raw_body = request.raw_body.decode(errors="replace")
    return {**asdict(request), "raw_body": raw_body}


def act(sandbox: Sandbox, request: Request, name: str, argument: str) -> Answer:
    if request.method != "POST":
        raise not_allowed("POST")
    if not request.is_json:
        # A form of a page on the web cannot send this type.
        raise RefusedError(
            "Content-Type must be application/json.", HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    if name == "misbehave":
        misbehave(sandbox, parse_or_none(request.raw_body))
    elif name == "clear":
        sandbox.clear_misbehaviour()
    elif name == "reset":
        sandbox.reset()
    else:
        finalize(sandbox, argument)
    return ok()


def misbehave(sandbox: Sandbox, options: Any) -> None:
    if not isinstance(options, dict):
        raise RefusedError("The body must be a JSON object.")
    try:
        sandbox.misbehave(**options)
    except (TypeError, ValueError) as exc:
        raise RefusedError(str(exc)) from exc


def finalize(sandbox: Sandbox, order_id: str) -> None:
    try:
        sandbox.finalize(order_id)
    except LookupError as exc:
        raise RefusedError(str(exc), HTTPStatus.NOT_FOUND) from exc
