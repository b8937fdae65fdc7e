from __future__ import annotations

import threading

import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpResponse
from django.test import RequestFactory, SimpleTestCase, TestCase

from django_button_orders import aget_btn_ref, get_btn_ref
from django_button_orders.middleware import AttributionMiddleware, current_request

KEY = "button_orders_btn_ref"


class AttributionMiddlewareTests(SimpleTestCase):
    def visit(self, query="", **session):
        request = RequestFactory().get(f"/{query}")
        request.session = SessionBase()
        request.session._session_cache = dict(session)
        AttributionMiddleware(lambda request: HttpResponse())(request)
        return request

    def test_kept(self):
        for btn_ref in ("srctok-1", "other", "A-z.0_9~", "x" * 255):
            with self.subTest(btn_ref=btn_ref):
                request = self.visit(f"?utm_source=x&btn_ref={btn_ref}")

                assert get_btn_ref(request) == btn_ref
                assert request.session[KEY] == btn_ref

    def test_without_sessions(self):
        request = RequestFactory().get("/?btn_ref=srctok-1")

        response = AttributionMiddleware(lambda request: HttpResponse("ok"))(request)

        assert response.content == b"ok"
        assert get_btn_ref(request) == ""

    def test_last_one_wins(self):
        request = self.visit("?btn_ref=srctok-2", **{KEY: "srctok-1"})

        assert get_btn_ref(request) == "srctok-2"

    def test_last_one_of_the_address_wins(self):
        assert get_btn_ref(self.visit("?btn_ref=a&btn_ref=b")) == "b"

    def test_visit_without_token_keeps_the_old(self):
        for query in ("", "?page=2", "?btn_ref=", "?BTN_REF=x", "?btn_url=x"):
            with self.subTest(query=query):
                request = self.visit(query, **{KEY: "srctok-1"})

                assert get_btn_ref(request) == "srctok-1"
                assert not request.session.modified

    def test_unusable(self):
        unusable = ["x" * 256, "a%20b", "a%2Fb", "%00", "%C3%A9", "a%0A", "a+b", "<b>"]
        for btn_ref in [*unusable, "org-1234", "%ED%A0%80", "%22"]:
            with self.subTest(btn_ref=btn_ref):
                request = self.visit(f"?btn_ref={btn_ref}", **{KEY: "srctok-1"})

                assert get_btn_ref(request) == "srctok-1"
                assert not request.session.modified

    def test_other_visitors_cost_nothing(self):
        """Without a token no session is read, so that a page stays cacheable."""
        assert not self.visit("?page=2").session.accessed

    def test_more_parameters_than_django_reads(self):
        many = "&".join(f"f{number}=1" for number in range(1500))
        assert not self.visit(f"?{many}").session.accessed

        for query in (f"?{many}&btn_ref=srctok-1", f"?btn_ref=srctok-1&{many}"):
            assert get_btn_ref(self.visit(query)) == "srctok-1"

    def test_other_names(self):
        for query in ("?xbtn_ref=a", "?btn_ref2=a", "?x=btn_ref=a", "?btn_ref", "?&"):
            with self.subTest(query=query):
                assert not self.visit(query).session.accessed

    def test_escaped_name(self):
        assert get_btn_ref(self.visit("?btn%5Fref=srctok-1")) == "srctok-1"

    def test_same_token_again_writes_nothing(self):
        request = self.visit("?btn_ref=srctok-1", **{KEY: "srctok-1"})

        assert not request.session.modified

    def test_answer_is_passed_on(self):
        answer = HttpResponse("shop")
        middleware = AttributionMiddleware(lambda request: answer)

        assert middleware(RequestFactory().get("/")) is answer

    def test_kept_before_the_view_runs(self):
        seen = []
        middleware = AttributionMiddleware(lambda r: seen.append(get_btn_ref(r)))
        request = RequestFactory().get("/?btn_ref=srctok-1")
        request.session = SessionBase()

        middleware(request)

        assert seen == ["srctok-1"]


class GetBtnRefTests(SimpleTestCase):
    def test_without_sessions(self):
        assert get_btn_ref(RequestFactory().get("/")) == ""

    def test_whatever_is_in_the_session(self):
        for value in ("org-1", "", None, 5, ["a"], "a b", "x" * 256):
            with self.subTest(value=value):
                request = RequestFactory().get("/")
                request.session = {KEY: value}

                assert get_btn_ref(request) == ""


class VisitTests(TestCase):
    def test_from_landing_to_checkout(self):
        self.client.get("/?btn_ref=srctok-1")

        assert self.client.get("/").content == b"srctok-1"

    def test_session_cookie_only_for_a_token(self):
        assert not self.client.get("/?page=2").cookies
        assert "sessionid" in self.client.get("/?btn_ref=srctok-1").cookies

    def test_logout_forgets(self):
        self.client.get("/?btn_ref=srctok-1")
        self.client.logout()

        assert self.client.get("/").content == b""

    def test_session_only_for_a_token(self):
        for query in ("", "?page=2", "?btn_ref=", "?btn_ref=org-1"):
            self.client.get(f"/{query}")

        assert not Session.objects.exists()


class RequestsAtOnceTests(TestCase):
    """Other requests of a visitor end while a view of hers is under way."""

    def setUp(self):
        self.client.get("/?btn_ref=srctok-1")
        self.store = self.client.session

    def run_view(self, view, query=""):
        request = RequestFactory().get(f"/{query}")
        request.session = type(self.store)(self.store.session_key)
        AttributionMiddleware(view)(request)
        if request.session.modified:
            request.session.save()

    def token(self):
        return self.client.get("/").content.decode()

    def test_token_that_comes_meanwhile(self):
        def add_to_cart(request):
            request.session["cart"] = 1
            self.client.get("/?btn_ref=srctok-2")

        self.run_view(add_to_cart)

        assert self.token() == "srctok-2"
        assert self.client.session["cart"] == 1

    def test_token_of_its_own_is_the_newer_one(self):
        def add_to_cart(request):
            request.session["cart"] = 1

        self.run_view(add_to_cart, "?btn_ref=srctok-3")

        assert self.token() == "srctok-3"

    def test_token_that_the_shop_removes(self):
        def forget(request):
            del request.session[KEY]

        self.run_view(forget)

        assert self.token() == ""

    def test_session_that_is_only_read(self):
        with self.assertNumQueries(1):
            self.run_view(lambda request: get_btn_ref(request))

    def test_session_that_ends(self):
        self.run_view(lambda request: request.session.flush())

        assert self.token() == ""


class CurrentRequestTests(SimpleTestCase):
    """Integrations ask for the request where another package has none."""

    def test_while_it_is_answered(self):
        found = []

        def view(request):
            found.append(current_request())
            return HttpResponse()

        request = RequestFactory().get("/")
        AttributionMiddleware(view)(request)

        assert found == [request]
        assert current_request() is None

    def test_view_that_fails(self):
        def view(request):
            raise RuntimeError

        with pytest.raises(RuntimeError):
            AttributionMiddleware(view)(RequestFactory().get("/"))

        assert current_request() is None

    async def test_async(self):
        found = []

        async def view(request):
            found.append(current_request())
            found.append(await sync_to_async(current_request)())
            return HttpResponse()

        request = RequestFactory().get("/")
        await AttributionMiddleware(view)(request)

        assert found == [request, request]
        assert current_request() is None


class AsyncTests(TestCase):
    async def test_from_landing_to_checkout(self):
        await self.async_client.get("/async/?btn_ref=srctok-1")

        response = await self.async_client.get("/async/")
        assert response.content == b"srctok-1"

    async def test_without_token(self):
        response = await self.async_client.get("/async/?page=2")

        assert (response.content, response.cookies) == (b"", {})

    async def test_same_thread(self):
        """Among async middleware and views, no thread is needed for this one."""
        threads = []

        async def view(request):
            threads.append(threading.get_ident())
            return HttpResponse()

        middleware = AttributionMiddleware(view)
        assert iscoroutinefunction(middleware)
        request = RequestFactory().get("/?btn_ref=srctok-1")
        request.session = SessionStore()

        await middleware(request)

        assert threads == [threading.get_ident()]
        assert await aget_btn_ref(request) == "srctok-1"
        # The session is loaded, so nothing is waited for.
        assert get_btn_ref(request) == "srctok-1"

    async def test_without_sessions(self):
        request = RequestFactory().get("/?btn_ref=srctok-1")

        assert await aget_btn_ref(request) == ""

    async def test_view_that_would_wait(self):
        await self.async_client.get("/async/?btn_ref=srctok-1")

        with pytest.raises(SynchronousOnlyOperation, match="await aget_btn_ref"):
            await self.async_client.get("/async/waits/")

    async def test_token_that_comes_meanwhile(self):
        await self.async_client.get("/async/?btn_ref=srctok-1")
        cookie = self.async_client.cookies["sessionid"].value

        async def add_to_cart(request):
            await request.session.aset("cart", 1)
            await self.async_client.get("/async/?btn_ref=srctok-2")
            return HttpResponse()

        request = RequestFactory().get("/")
        request.session = SessionStore(cookie)
        await AttributionMiddleware(add_to_cart)(request)
        await request.session.asave()

        response = await self.async_client.get("/async/")
        assert response.content == b"srctok-2"
