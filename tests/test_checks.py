from __future__ import annotations

import re
from pathlib import Path

from django.conf import settings
from django.core.checks import run_checks
from django.test import SimpleTestCase, TestCase, override_settings

import django_button_orders
from django_button_orders import OrderAdapter, register
from django_button_orders.checks import check_button_orders
from django_button_orders.outbox.adapters import unregister
from tests.shop.models import OrderLine, Page

SECRET = "sk-secret"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
ATTRIBUTION = "django_button_orders.middleware.AttributionMiddleware"


def ids(**values):
    """Return the ids of what is found, as "E003", for a setting."""
    with override_settings(BUTTON_ORDERS={"API_KEY": SECRET, **values}):
        messages = check_button_orders()
    assert SECRET not in str(messages)
    return [message.id.removeprefix("django_button_orders.") for message in messages]


class RegistrationTests(TestCase):
    databases = {"default", "archive"}

    def test_registered(self):
        with override_settings(BUTTON_ORDERS={"API_KEYS": SECRET}):
            messages = run_checks()

        assert "django_button_orders.E001" in [message.id for message in messages]


class CheckButtonOrdersTests(SimpleTestCase):
    def test_good(self):
        assert ids() == []

    def test_unknown_key(self):
        assert ids(API_KEYS=SECRET) == ["E001"]
        assert ids(ACCOUNTS={"fr": {"API_KEYS": SECRET}}) == ["E001"]
        assert ids(ACCOUNTS={"fr": {"QUEUE": "fr"}}) == ["E001"]

    def test_wrong_type(self):
        assert ids(DEADLINE=SECRET) == ["E002"]
        assert ids(ACCOUNTS={"fr": {"DEADLINE": SECRET}}) == ["E002"]
        assert ids(ACCOUNTS=SECRET) == ["E002"]

    def test_key_is_named(self):
        with override_settings(BUTTON_ORDERS={"API_KEYS": 1, "DEADLINE": "1"}):
            unknown, wrong = check_button_orders()

        assert "API_KEYS" in unknown.msg
        assert "API_KEY," in unknown.hint
        assert "DEADLINE" in wrong.msg

    def test_not_a_dict(self):
        with override_settings(BUTTON_ORDERS=None):
            assert [message.id[-4:] for message in check_button_orders()] == ["E002"]

    def test_all_at_once(self):
        assert ids(NO=1, NEITHER=2, DEADLINE=0) == ["E001", "E001", "E002"]


class ApiKeyTests(SimpleTestCase):
    def test_not_set(self):
        assert ids(API_KEY="") == ["E003"]

    def test_not_needed(self):
        assert ids(API_KEY="", ENABLED=False) == []

    def test_setting_absent(self):
        # override_settings() clears the cache of the settings when it begins and ends.
        with override_settings(BUTTON_ORDERS={}):
            del settings.BUTTON_ORDERS
            (message,) = check_button_orders()

        assert message.id == "django_button_orders.E003"
        assert message.msg == "BUTTON_ORDERS['API_KEY'] is not set."

    def test_account(self):
        values = {"API_KEY": "", "ACCOUNTS": {"default": {"API_KEY": "a"}, "fr": {}}}
        with override_settings(BUTTON_ORDERS=values):
            (message,) = check_button_orders()

        assert message.msg == "BUTTON_ORDERS['ACCOUNTS']['fr']['API_KEY'] is not set."

    def test_account_of_its_own(self):
        assert ids(ACCOUNTS={"fr": {"API_KEY": ""}}) == ["E003"]
        assert ids(ACCOUNTS={"fr": {"API_KEY": "", "ENABLED": False}}) == []


class BaseUrlTests(SimpleTestCase):
    def test_good(self):
        for url in ("https://example.com", "http://127.0.0.1:8000", "http://[::1]:1/"):
            with self.subTest(url=url):
                assert ids(BASE_URL=url) == []
                assert ids(ACCOUNTS={"fr": {"BASE_URL": url}}) == []

    def test_plain_http(self):
        for url in ("http://example.com", "http://localhost.example.com"):
            with self.subTest(url=url):
                assert ids(BASE_URL=url) == ["E004"]
                assert ids(ACCOUNTS={"fr": {"BASE_URL": url}}) == ["E004"]

    @override_settings(DEBUG=True)
    def test_plain_http_with_debug(self):
        assert ids(BASE_URL="http://example.com") == []

    def test_neither(self):
        assert ids(BASE_URL="ftp://127.0.0.1") == ["E004"]


class LeaseTests(SimpleTestCase):
    def test_enough(self):
        assert ids(DEADLINE=30, LEASE_SECONDS=36) == []

    def test_too_short(self):
        assert ids(DEADLINE=30, LEASE_SECONDS=35.9) == ["E005"]
        assert ids(DEADLINE=115) == ["E005"]
        assert ids(ACCOUNTS={"fr": {"DEADLINE": 116}}) == ["E005"]


class MiddlewareTests(SimpleTestCase):
    def test_order(self):
        table = [
            ([], []),
            ([SESSIONS], []),
            ([SESSIONS, ATTRIBUTION], []),
            ((SESSIONS, "other", ATTRIBUTION), []),
            ([ATTRIBUTION], ["E006"]),
            ([ATTRIBUTION, SESSIONS], ["E006"]),
            (None, []),
        ]
        for middleware, found in table:
            with self.subTest(found=found), override_settings(MIDDLEWARE=middleware):
                assert ids() == found


class AdapterTests(SimpleTestCase):
    def ids(self, **values):
        values = {"date_field": "title", "build": lambda self, page: None, **values}
        register(Page)(type("PageAdapter", (OrderAdapter,), values))
        try:
            return ids()
        finally:
            unregister(Page)

    def test_good(self):
        assert self.ids() == []
        assert self.ids(watch={OrderLine: "order", "shop.Order": "lines"}) == []

    def test_without_build(self):
        assert self.ids(build=OrderAdapter.build) == ["E007"]

    def test_date_field(self):
        assert self.ids(date_field="titel") == ["E008"]
        assert self.ids(date_field="") == ["W001"]

    def test_watched_path(self):
        assert self.ids(watch={OrderLine: "ordr"}) == ["E010"]
        assert self.ids(watch={OrderLine: "order__customer"}) == []

    def test_watch(self):
        for name in ("shop.OrderLin", "shp.OrderLine", "OrderLine", ""):
            with self.subTest(name=name):
                assert self.ids(watch={name: "order"}) == ["E009"]

    def test_whose_fault(self):
        register(Page)(type("PageAdapter", (OrderAdapter,), {}))
        self.addCleanup(unregister, Page)

        error, warning = check_button_orders()

        assert error.obj is warning.obj is Page
        assert "PageAdapter does not define build" in error.msg

    def test_checked_even_if_the_setting_is_wrong(self):
        register(Page)(type("PageAdapter", (OrderAdapter,), {"date_field": "title"}))
        self.addCleanup(unregister, Page)

        assert ids(DEADLINE=0) == ["E002", "E007"]


class IdTests(SimpleTestCase):
    def test_unique(self):
        source = Path(django_button_orders.__file__).with_name("checks.py").read_text()
        found = re.findall(r"django_button_orders\.([EW]\d{3})", source)

        assert sorted(found) == sorted(set(found))
