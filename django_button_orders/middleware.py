"""Keep Button's attribution token from the landing page until the checkout."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote_plus

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_button_orders.report.validation import is_btn_ref

PARAMETER = "btn_ref"
SESSION_KEY = "button_orders_btn_ref"
# When the token came, in seconds since the epoch.
TIME_KEY = "button_orders_btn_ref_at"

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


class AttributionMiddleware:
    """
    Store the parameter ``btn_ref`` of the URL in the visitor's session.

    A new token replaces the old one. An order does not clear the token, because Button
    decides to which orders a token applies. When the visitor logs out, the session ends
    and the token is lost. If requests run at the same time, a token that came with one
    of them is kept, although Django saves the session of the request that ends last.

    Put this middleware below Django's ``SessionMiddleware``.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self,
        get_response: Callable[
            [HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]
        ],
    ) -> None:
        self.get_response: Callable[[HttpRequest], Any] = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(
        self, request: HttpRequest
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.__acall__(request)
        btn_ref = find_token(request)
        if btn_ref and btn_ref != get_btn_ref(request):
            request.session.update(as_items(btn_ref))
        with remembered(request):
            response: HttpResponseBase = self.get_response(request)
        stored = stored_session(request)
        if stored is not None and stored.get(TIME_KEY):
            take_over(stored, request.session)
        return response

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        btn_ref = find_token(request)
        if btn_ref and btn_ref != await aget_btn_ref(request):
            await request.session.aupdate(as_items(btn_ref))
        with remembered(request):
            response: HttpResponseBase = await self.get_response(request)
        stored = stored_session(request)
        if stored is not None and await stored.aget(TIME_KEY):
            take_over(stored, request.session)
        return response


def current_request() -> HttpRequest | None:
    """
    Return the request that this thread or async task answers, or None.

    Integrations use it where another package creates the order without its request.
    It needs ``AttributionMiddleware``.
    """
    return _request.get()


@contextmanager
def remembered(request: HttpRequest) -> Iterator[None]:
    """Let ``current_request`` return a request while it is answered."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def as_items(btn_ref: str) -> dict[str, Any]:
    """Return what the session keeps of a token that has come now."""
    return {SESSION_KEY: btn_ref, TIME_KEY: time.time()}


def stored_session(request: HttpRequest) -> SessionBase | None:
    """Return the visitor's session as it is stored, if this request will replace it."""
    session = getattr(request, "session", None)
    if not isinstance(session, SessionBase) or not session.session_key:
        return None
    is_saved = session.modified or settings.SESSION_SAVE_EVERY_REQUEST
    # A session that was not accessed is loaded as it is saved.
    if not (session.accessed and is_saved):
        return None
    return type(session)(session.session_key)


def take_over(stored: SessionBase, session: SessionBase) -> None:
    """Keep a token that came with another request while this one was under way."""
    # Both are loaded. The time tells such a token from one that the shop has removed.
    if stored[TIME_KEY] > session.get(TIME_KEY, 0):
        session.update({key: stored.get(key) for key in (SESSION_KEY, TIME_KEY)})


def find_token(request: HttpRequest) -> str:
    """Return the token in the URL of a request that has a session, or ""."""
    # A missing session is an error that the system checks report.
    if not hasattr(request, "session"):
        return ""
    # request.GET would refuse a URL with more than DATA_UPLOAD_MAX_NUMBER_FIELDS
    # parameters, also of a page that reads none of them.
    btn_ref = ""
    for pair in request.META.get("QUERY_STRING", "").split("&"):
        name, _, value = pair.partition("=")
        if unquote_plus(name) == PARAMETER:
            btn_ref = unquote_plus(value)
    return btn_ref if is_usable(btn_ref) else ""


def is_usable(btn_ref: str) -> bool:
    # In a Button Link, the parameter has the publisher's ID instead of a token.
    return is_btn_ref(btn_ref) and not btn_ref.startswith("org-")


def get_btn_ref(request: HttpRequest) -> str:
    """
    Return the attribution token of this visitor, or an empty string.

    ``AttributionMiddleware`` stores the token in the session. Save the token on the
    order, in the transaction that places the order: Button ties a token to an order
    only at the first report.

    In an async view, this raises ``SynchronousOnlyOperation`` if the session has to be
    read from a database. Use ``aget_btn_ref`` there.
    """
    session = getattr(request, "session", None)
    if session is None:
        return ""
    try:
        btn_ref = session.get(SESSION_KEY, "")
    except SynchronousOnlyOperation as exc:
        raise SynchronousOnlyOperation(
            "get_btn_ref() reads the session from the database, which an async view "
            "must not wait for. Use: await aget_btn_ref(request)."
        ) from exc
    return btn_ref if is_usable(btn_ref) else ""


async def aget_btn_ref(request: HttpRequest) -> str:
    """Return the attribution token of this visitor, or "", in an async view."""
    session = getattr(request, "session", None)
    btn_ref = "" if session is None else await session.aget(SESSION_KEY, "")
    return btn_ref if is_usable(btn_ref) else ""
