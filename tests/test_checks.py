from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import ProgrammingError, connection
from django.test import SimpleTestCase, TestCase, override_settings

import django_button_orders
from django_button_orders import OrderAdapter, register
from django_button_orders.checks import check_button_orders, check_deployment
from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.adapters import registered, unregister
from tests.shop.models import Blob, ChildOfBlob, OrderLine, Page, Tenant
from tests.utils import create_row

SECRET = "sk-secret"
STAGING = "https://django-button-orders.readthedocs.io/en/latest/howto/staging.html"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
ATTRIBUTION = "django_button_orders.middleware.AttributionMiddleware"


def ids(check=check_button_orders, **values):
    """Return the ids of what is found, as "E003", for a setting."""
    with override_settings(BUTTON_ORDERS={"API_KEY": SECRET, **values}):
        messages = check()
    assert SECRET not in str(messages)
    return [message.id.removeprefix("django_button_orders.") for message in messages]


def deployed_ids(**values):
    """Return what ``check --deploy`` finds besides."""
    return ids(check_deployment, **values)


class RegistrationTests(TestCase):
    databases = {"default", "archive"}

    def test_registered(self):
        with override_settings(BUTTON_ORDERS={"API_KEYS": SECRET}):
            messages = run_checks()

        assert "django_button_orders.E001" in [message.id for message in messages]

    @override_settings(BUTTON_ORDERS={"API_KEY": ""})
    def test_missing_key_stops_only_a_deployment(self):
        """A machine that builds an image, or runs tests, has no key."""
        err = StringIO()
        call_command("check", stderr=err)
        assert "W010" in err.getvalue()

        with pytest.raises(SystemCheckError, match=r"E003.*API_KEY"):
            call_command("check", "--deploy", stderr=err)

    def test_settings_of_the_tests(self):
        ours = [m for m in run_checks() if m.id.startswith("django_button_orders.")]

        assert ours == []


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
        assert unknown.hint.startswith("Did you mean 'API_KEY'? Known keys: ")
        assert "API_KEY," in unknown.hint
        assert "DEADLINE" in wrong.msg

    def test_key_that_is_like_no_other(self):
        with override_settings(BUTTON_ORDERS={"base_url": 1, "QWERTZ": 1}):
            like_none, lower = check_button_orders()

        assert like_none.hint.startswith("Known keys: ")
        assert lower.hint.startswith("Did you mean 'BASE_URL'? ")

    def test_allowed_values(self):
        with override_settings(BUTTON_ORDERS={"BASE_URL": "?", "DOORBELL": "?"}):
            messages = sorted(message.msg for message in check_button_orders())

        assert messages == [
            "BUTTON_ORDERS['BASE_URL'] must be a URL such as "
            "'https://api.usebutton.com', without a user name, query or fragment.",
            "BUTTON_ORDERS['DOORBELL'] must be one of 'thread', 'inline', 'none'.",
        ]

    def test_not_a_dict(self):
        with override_settings(BUTTON_ORDERS=None):
            assert [message.id[-4:] for message in check_button_orders()] == ["E002"]

    def test_all_at_once(self):
        assert ids(NO=1, NEITHER=2, DEADLINE=0) == ["E001", "E001", "E002"]


class ApiKeyTests(SimpleTestCase):
    def test_not_set(self):
        for missing in ("", None):
            with self.subTest(missing=missing):
                assert ids(API_KEY=missing) == ["W010"]
                assert deployed_ids(API_KEY=missing) == ["E003"]
        assert deployed_ids() == []

    def test_not_needed(self):
        assert ids(API_KEY="", ENABLED=False) == []
        assert deployed_ids(API_KEY="", ENABLED=False) == []

    def test_unreadable_settings(self):
        assert deployed_ids(API_KEY="", DEADLINE=0) == []

    def test_setting_absent(self):
        # override_settings() clears the cache of the settings when it begins and ends.
        with override_settings(BUTTON_ORDERS={}):
            del settings.BUTTON_ORDERS
            (message,) = check_button_orders()

        assert message.id == "django_button_orders.W010"
        assert message.msg == "BUTTON_ORDERS['API_KEY'] is not set."

    def test_account(self):
        accounts = {"default": {"API_KEY": "a"}, "fr": {"API_KEY": ""}}
        with override_settings(BUTTON_ORDERS={"API_KEY": "", "ACCOUNTS": accounts}):
            (message,) = check_button_orders()

        assert message.id == "django_button_orders.W010"
        assert message.msg == "BUTTON_ORDERS['ACCOUNTS']['fr']['API_KEY'] is not set."

    def test_account_of_its_own(self):
        for found in (ids, deployed_ids):
            missing = "W010" if found is ids else "E003"
            assert found(ACCOUNTS={"fr": {"API_KEY": ""}}) == [missing]
            assert found(ACCOUNTS={"fr": {"API_KEY": None}}) == [missing]
            assert found(ACCOUNTS={"fr": {"API_KEY": "", "ENABLED": False}}) == []
            assert found(ACCOUNTS={"fr": {"API_KEY": "sk-fr"}}) == []

    def test_account_that_names_no_key(self):
        assert ids(ACCOUNTS={"fr": {}}) == ["E012"]
        assert ids(ACCOUNTS={"fr": {"RATE_LIMIT": 5}}) == ["E012"]
        # The account's API_KEY is missing even if the default account has none.
        assert ids(API_KEY="", ACCOUNTS={"fr": {}}) == ["W010", "E012"]
        assert ids(ACCOUNTS={"fr": {"ENABLED": False}}) == []
        assert ids(ACCOUNTS={"default": {"RATE_LIMIT": 5}}) == []
        # Two accounts share a key on purpose.
        assert ids(ACCOUNTS={"fr": {"API_KEY": SECRET}}) == []

    def test_account_that_names_no_key_is_named(self):
        with override_settings(BUTTON_ORDERS={"API_KEY": "a", "ACCOUNTS": {"fr": {}}}):
            (message,) = check_button_orders()

        assert message.msg == "BUTTON_ORDERS['ACCOUNTS']['fr'] has no API_KEY."
        assert "No account uses the key of another" in message.hint

    @override_settings(BUTTON_ORDERS={"API_KEY": "a", "ACCOUNTS": {"fr": {}}})
    def test_account_that_names_no_key_stops_every_command(self):
        with pytest.raises(SystemCheckError, match=r"E012.*'fr'"):
            call_command("check")


class BaseUrlTests(SimpleTestCase):
    def test_good(self):
        for url in ("https://example.com", "http://127.0.0.1:8000", "http://[::1]:1/"):
            with self.subTest(url=url):
                assert ids(BASE_URL=url) == []
                assert ids(ACCOUNTS={"fr": {"API_KEY": "a", "BASE_URL": url}}) == []

    def test_plain_http(self):
        for url in ("http://example.com", "http://localhost.example.com"):
            with self.subTest(url=url):
                assert ids(BASE_URL=url) == ["E004"]
                assert ids(ACCOUNTS={"fr": {"API_KEY": "a", "BASE_URL": url}}) == [
                    "E004"
                ]

    @override_settings(DEBUG=True)
    def test_plain_http_with_debug(self):
        assert ids(BASE_URL="http://example.com") == []

    def test_neither(self):
        assert ids(BASE_URL="ftp://127.0.0.1") == ["E004"]

    def test_path_that_the_app_adds(self):
        for url in ("https://api.usebutton.com/v1", "http://127.0.0.1:8010/v1/"):
            with self.subTest(url=url):
                assert ids(BASE_URL=url) == ["E013"]
        assert ids(BASE_URL="https://gateway.shop.test/button-v1") == []
        with override_settings(BUTTON_ORDERS=settings_of("https://button.test/v1")):
            (message,) = check_button_orders()
        assert message.msg == (
            "BUTTON_ORDERS['BASE_URL'] ends with /v1, which the app adds itself."
        )
        assert message.hint == "Set it to 'https://button.test'."


def settings_of(base_url):
    return {"API_KEY": SECRET, "BASE_URL": base_url}


class LeaseTests(SimpleTestCase):
    def test_enough(self):
        assert ids(DEADLINE=30, LEASE_SECONDS=36) == []

    def test_too_short(self):
        assert ids(DEADLINE=30, LEASE_SECONDS=35.9) == ["E005"]
        assert ids(DEADLINE=115) == ["E005"]
        assert ids(ACCOUNTS={"fr": {"API_KEY": "a", "DEADLINE": 116}}) == ["E005"]


@override_settings(DEBUG=True)
class DebugTests(SimpleTestCase):
    """Orders of a developer's machine go to the real Button."""

    def test_real_button(self):
        for url in ("https://api.usebutton.com", "https://USEBUTTON.com/x"):
            assert ids(BASE_URL=url) == ["W021"]
        assert ids() == ["W021"]

    def test_each_account(self):
        accounts = {"eu": {"ENABLED": True, "API_KEY": "sk-eu"}}

        assert ids(ENABLED=False, ACCOUNTS=accounts) == ["W021"]

    def test_elsewhere(self):
        for url in ("http://127.0.0.1:8010", "http://localhost", "https://b.test"):
            assert ids(BASE_URL=url) == []

    def test_nothing_is_sent(self):
        assert ids(ENABLED=False) == []

    @override_settings(DEBUG=False)
    def test_live(self):
        assert ids() == []


class SiteTests(TestCase):
    databases = {"default", "archive"}

    def found(self, site="", databases=("default", "archive")):
        values = {"API_KEY": SECRET, "SITE": site}
        with override_settings(BUTTON_ORDERS=values):
            return [
                message
                for message in run_checks(databases=databases)
                if message.id == "django_button_orders.W020"
            ]

    def test_other_site(self):
        create_row(using="archive")
        create_row()
        ButtonOrder.objects.using("archive").update(site="live")

        [warning] = self.found(site="staging")
        assert "1 pending order in the database archive is not reported" in warning.msg
        assert "SITE is staging here" in warning.msg
        assert warning.hint == f"See {STAGING}."
        assert self.found(site="live") == []
        assert self.found(databases=None) == []

    def test_before_migrate(self):
        """migrate runs the checks before there are tables."""

        def refuse(execute, sql, *arguments):
            if ButtonOrder._meta.db_table in sql:
                raise ProgrammingError("There is no such table.")
            return execute(sql, *arguments)

        create_row()
        ButtonOrder.objects.update(site="live")
        with connection.execute_wrapper(refuse):
            assert self.found() == []
        assert ButtonOrder.objects.exists()


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

    def test_strict_cookies(self):
        """The click on a partner's link would log the customer out."""
        for middleware, same_site, found in (
            ([SESSIONS, ATTRIBUTION], "Strict", ["W015"]),
            ([SESSIONS, ATTRIBUTION], "Lax", []),
            ([SESSIONS], "Strict", []),
        ):
            with override_settings(
                MIDDLEWARE=middleware, SESSION_COOKIE_SAMESITE=same_site
            ):
                assert ids() == found


class SQLiteTests(SimpleTestCase):
    def check(self, name, **options):
        if connection.vendor != "sqlite":
            return None
        before = connection.settings_dict
        connection.settings_dict = {**before, "NAME": name, "OPTIONS": options}
        try:
            return ids()
        finally:
            connection.settings_dict = before

    def test_options(self):
        good = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
        table = [
            ({}, ["W013"]),
            ({"timeout": 20}, ["W013"]),
            ({"transaction_mode": "IMMEDIATE"}, ["W013"]),
            ({**good, "transaction_mode": "DEFERRED"}, ["W013"]),
            ({**good, "timeout": 5}, ["W013"]),
            ({**good, "transaction_mode": "exclusive"}, []),
            (good, []),
        ]
        for options, found in table:
            with self.subTest(**options):
                assert self.check("/srv/shop.sqlite3", **options) in (found, None)

    def test_in_memory(self):
        for name in (":memory:", "file:shop?mode=memory&cache=shared"):
            assert self.check(name) in ([], None)


class NoAdapterTests(SimpleTestCase):
    def test_none(self):
        adapters = {adapter.model: type(adapter) for adapter in registered()}
        for model, adapter in adapters.items():
            unregister(model)
            self.addCleanup(register(model), adapter)

        [message] = check_button_orders()

        assert message.id == "django_button_orders.W012"
        assert "SILENCED_SYSTEM_CHECKS" in message.hint


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

    def test_key(self):
        for model in (Tenant, Blob, ChildOfBlob):
            with self.subTest(model=model):
                values = {"build": lambda self, order: None}
                register(model)(type("KeyAdapter", (OrderAdapter,), values))
                self.addCleanup(unregister, model)

                error = check_button_orders()[-2]

                assert error.id == "django_button_orders.E011"
                assert model._meta.label in error.msg

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
        folder = Path(django_button_orders.__file__).parent
        source = "".join(path.read_text() for path in folder.rglob("checks.py"))
        found = re.findall(r"django_button_orders\.([EW]\d{3})", source)

        assert sorted(found) == sorted(set(found))
