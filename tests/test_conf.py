from __future__ import annotations

import pickle

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings

from django_button_orders.conf import (
    FIELDS,
    account_names,
    clear_settings_cache,
    find_problems,
    get_settings,
    is_loopback,
)

SECRET = "sk-secret"
NAN, INFINITY = float("nan"), float("inf")
NO_NUMBERS = [True, False, "30", None, NAN, INFINITY, -INFINITY, [30], {}]
NO_BOOLEANS = [0, 1, "true", "False", None, []]

# The defaults that docs/reference/settings.rst promises.
DEFAULTS = {
    "API_KEY": "",
    "ENABLED": True,
    "BASE_URL": "https://api.usebutton.com",
    "API_VERSION": None,
    "TIMEOUT": (3.05, 10),
    "DEADLINE": 30,
    "MAX_RESPONSE_BYTES": 65536,
    "RETRY_SCHEDULE": (
        *(5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800),
        *(43200, 43200, 86400, 86400),
    ),
    "RETRY_AFTER_MAX": 86400,
    "LEASE_SECONDS": 120,
    "DOORBELL": "thread",
    "BATCH_SIZE": 100,
    "CONCURRENCY": 16,
    "QUEUE": None,
    "SITE": "",
    "RATE_LIMIT": None,
    "REPORT_WITHOUT_TOKEN": True,
    "TOTAL_AS_DECIMAL": False,
    "KEEP_BODIES_DAYS": 30,
    "KEEP_SUBMISSIONS_DAYS": 365,
    "KEEP_PERSONAL_DAYS": None,
    "RECONCILE_DAYS": 3,
    "FINALIZATION_DAYS": None,
    "FIRST_REPORT_DELAY": 0,
    "DUMMY_EMAILS": (),
    "ALERTS": (),
    "BATCH_FILE_BRAND": None,
    "BATCH_FILE_COLUMNS": {},
    "ACCOUNTS": {},
}
GOOD = {
    "API_KEY": ["sk-XXX", "", "!~", "a" * 500],
    "ENABLED": [True, False],
    "BASE_URL": ["http://127.0.0.1:8000", "https://[::1]:1/prefix/"],
    "API_VERSION": ["2018-02-13", None],
    "TIMEOUT": [(1, 2), [0.1, 60.5]],
    "DEADLINE": [0.1, 1, 600],
    "MAX_RESPONSE_BYTES": [1, 10**9],
    "RETRY_SCHEDULE": [(), (0,), [1, 2.5], (5,) * 100],
    "RETRY_AFTER_MAX": [0.5, 10**6],
    "LEASE_SECONDS": [35, 600.5],
    "DOORBELL": ["thread", "inline", "none"],
    "BATCH_SIZE": [1, 10_000],
    "CONCURRENCY": [1, 64],
    "QUEUE": ["button", None],
    "SITE": ["", "live", "shop.example.com", "Läden 2", "a" * 100],
    "RATE_LIMIT": [None, 0.5, 100],
    "FINALIZATION_DAYS": [None, 0.5, 30, 36500],
    "REPORT_WITHOUT_TOKEN": [True, False],
    "TOTAL_AS_DECIMAL": [True, False],
    "KEEP_BODIES_DAYS": [1, 10_000],
    "KEEP_SUBMISSIONS_DAYS": [1, 10_000],
    "KEEP_PERSONAL_DAYS": [None, 1, 10_000],
    "RECONCILE_DAYS": [0, 1, 10_000],
    "FIRST_REPORT_DELAY": [0, 0.5, 3, 86400],
    "DUMMY_EMAILS": [(), ("*@deleted.shop.com",), ["gone-*", "a@b.c"]],
    "ALERTS": [(), [], ["ops@shop.com"], ("a@shop.com", "b@localhost")],
    "BATCH_FILE_BRAND": [None, "SHOP", "my-shop_2"],
    "BATCH_FILE_COLUMNS": [
        {},
        {"new": {"Order ID": "order_id"}},
        {"changes": {"id": "order_id", "line": "line_item_identifier"}},
    ],
    "ACCOUNTS": [{}, {"fr": {}}, {"fr": {"API_KEY": SECRET}}],
}
BAD = {
    "API_KEY": [1, b"sk", ["sk"], "a:b", "a b", "sk\n", "é", "\x7f", "\0"],
    "ENABLED": NO_BOOLEANS,
    "BASE_URL": [
        None,
        "",
        1,
        "api.usebutton.com",
        "https://",
        "https://me:pw@host",
        b"",
    ],
    "API_VERSION": ["", 20180213, True, [], b"2018"],
    "TIMEOUT": [10, None, "10", (1,), (1, 2, 3), (0, 1), (1, -1), ("1", 2), (True, 1)],
    "DEADLINE": [*NO_NUMBERS, 0, -1],
    "MAX_RESPONSE_BYTES": [*NO_NUMBERS, 0, -1, 1.5],
    "RETRY_SCHEDULE": [5, None, "5", {5}, (-1,), ("5",), (True,), (NAN,), (INFINITY,)],
    "RETRY_AFTER_MAX": [*NO_NUMBERS, 0, -1],
    "LEASE_SECONDS": [*NO_NUMBERS, 0, -1],
    "DOORBELL": ["", "Thread", None, True, "celery", ["thread"]],
    "BATCH_SIZE": [*NO_NUMBERS, 0, -1, 1.5],
    "CONCURRENCY": [*NO_NUMBERS, 0, -1, 1.5],
    "QUEUE": ["", 1, b"q", True, ["q"]],
    "SITE": [None, 1, True, b"live", ["live"], "a" * 101, "a\n", "\x1b", "\u202e"],
    "RATE_LIMIT": [True, "1", 0, -1, NAN, INFINITY, [1]],
    "FINALIZATION_DAYS": [True, "30", 0, -1, 36500.5, NAN, INFINITY, [30]],
    "REPORT_WITHOUT_TOKEN": NO_BOOLEANS,
    "TOTAL_AS_DECIMAL": NO_BOOLEANS,
    "KEEP_BODIES_DAYS": [*NO_NUMBERS, 0, -1, 1.5],
    "KEEP_SUBMISSIONS_DAYS": [*NO_NUMBERS, 0, -1, 1.5],
    "KEEP_PERSONAL_DAYS": [True, "30", 0, -1, 1.5, NAN, [30]],
    "RECONCILE_DAYS": [*NO_NUMBERS, -1, 1.5],
    "FIRST_REPORT_DELAY": [*NO_NUMBERS, -1],
    "DUMMY_EMAILS": [
        None,
        "*@shop.com",
        {"a@b"},
        ("",),
        ("sk",),
        (1,),
        (b"a",),
        (None,),
    ],
    "ALERTS": [
        None,
        "",
        "ops@shop.com",
        {"ops@shop.com"},
        [""],
        ["ops"],
        [b"ops@shop.com"],
        [None],
        ["Ops <ops@shop.com>"],
        ["ops@shop.com\nBcc: all@shop.com"],
        ["a@shop.com,b@shop.com"],
    ],
    "BATCH_FILE_BRAND": ["", 1, "../shop", ".shop", "a b", "shop\n", "é", b"shop"],
    "BATCH_FILE_COLUMNS": [
        None,
        ["order_id"],
        {"old": {"Order ID": "order_id"}},
        {"new": ["order_id"]},
        {"new": {}},
        {"new": {"Total": "total"}},
        {"new": {"Order ID": "order_id", "Mail": "email"}},
        {"new": {"": "order_id"}},
        {"new": {1: "order_id"}},
        {"new": {"Order ID": ["order_id"]}},
    ],
    "ACCOUNTS": [
        None,
        [],
        "fr",
        {"fr": None},
        {"fr": SECRET},
        {"": {}},
        {1: {}},
        {"a" * 101: {}},
        {"fr\n": {}},
        {"\x1b[2J": {}},
        {"\u202efr": {}},
        {"\ud800": {}},
    ],
}
# These take any text.
TEXTS = {"API_KEY", "API_VERSION", "QUEUE", "SITE", "BATCH_FILE_BRAND"}
ONE_FOR_ALL = [
    "ACCOUNTS",
    "ALERTS",
    "BATCH_SIZE",
    "CONCURRENCY",
    "DOORBELL",
    "DUMMY_EMAILS",
    "FIRST_REPORT_DELAY",
    "LEASE_SECONDS",
    "QUEUE",
    "RECONCILE_DAYS",
    "SITE",
]


def button_orders(**values):
    return override_settings(BUTTON_ORDERS=values)


class DefaultTests(SimpleTestCase):
    @button_orders()
    def test_every_key(self):
        found = {key: getattr(get_settings(), key.lower()) for key in FIELDS}

        assert found == DEFAULTS

    def test_setting_may_be_absent(self):
        with override_settings():
            del settings.BUTTON_ORDERS
            clear_settings_cache(setting="BUTTON_ORDERS")

            assert get_settings().api_key == ""
            assert list(find_problems()) == []


class ValueTests(SimpleTestCase):
    def test_good(self):
        for key, values in GOOD.items():
            for value in values:
                with self.subTest(key=key, value=value), button_orders(**{key: value}):
                    expected = tuple(value) if isinstance(value, list) else value

                    assert list(find_problems()) == []
                    assert getattr(get_settings(), key.lower()) == expected

    def test_key_that_is_none(self):
        with button_orders(API_KEY=None, ACCOUNTS={"fr": {"API_KEY": None}}):
            assert (get_settings().api_key, get_settings("fr").api_key) == ("", "")
        with button_orders(API_KEY="sk-1", ACCOUNTS={"fr": {"API_KEY": None}}):
            assert get_settings("fr").api_key == ""

    def test_bad(self):
        for key, values in BAD.items():
            for value in values:
                with self.subTest(key=key, value=value), button_orders(**{key: value}):
                    (problem,) = find_problems()

                    assert problem.kind == "type"
                    assert f"BUTTON_ORDERS['{key}'] must " in problem.message
                    with pytest.raises(ImproperlyConfigured, match=key):
                        get_settings()

    def test_all_keys_are_tried(self):
        assert GOOD.keys() == BAD.keys() == DEFAULTS.keys() == FIELDS.keys()

    def test_base_url_that_is_no_url(self):
        wrong = [
            "https://:pw@host",
            "https://host:99999",
            "https://host:port",
            "https://a b",
            "https://host\n",
            "https://host?key=1",
            "https://host#1",
            "https://a..b",
            "https://",
            "https://host/a b",
            "https://host/\u20ac",
            "https://h\u00f6st",
            "https://host:0",
        ]
        for url in wrong:
            with self.subTest(url=url), button_orders(BASE_URL=url):
                assert [problem.kind for problem in find_problems()] == ["type"]

    def test_api_version_that_is_no_header(self):
        for version in ("2018-02-13\n", "\u20ac", " ", "a\r\nX-Other: 1"):
            with self.subTest(version=version), button_orders(API_VERSION=version):
                assert [problem.kind for problem in find_problems()] == ["type"]

    def test_value_is_not_shown(self):
        """The value may be an API key that was put in the wrong place."""
        for key in BAD.keys() - TEXTS:
            with self.subTest(key=key), button_orders(**{key: SECRET}):
                (problem,) = find_problems()

                assert SECRET not in str(problem)

    def test_not_a_dict(self):
        for value in (None, [], "sk-secret", {"API_KEY"}, 1):
            with self.subTest(value=value), override_settings(BUTTON_ORDERS=value):
                (problem,) = find_problems()

                assert problem.message == "BUTTON_ORDERS must be a dict."
                with pytest.raises(ImproperlyConfigured):
                    get_settings()

    def test_unknown_keys(self):
        for key in ("API_KEYS", "api_key", "", 1, None):
            with self.subTest(key=key), override_settings(BUTTON_ORDERS={key: 1}):
                (problem,) = find_problems()

                assert problem.kind == "unknown"
                assert f"unknown key '{key}'" in problem.message
                assert "API_KEY" in problem.hint
                with pytest.raises(ImproperlyConfigured):
                    get_settings()

    @button_orders(ENABLED=1, DEADLINE=0, DEADLIN=1)
    def test_all_problems_at_once(self):
        assert len(list(find_problems())) == 3


class AccountTests(SimpleTestCase):
    @button_orders(
        API_KEY="sk-1",
        DEADLINE=20,
        TIMEOUT=[1, 2],
        ACCOUNTS={"fr": {"API_KEY": "sk-2"}},
    )
    def test_overrides_the_top_level(self):
        french = get_settings("fr")

        assert french.api_key == "sk-2"
        assert french.deadline == 20
        assert get_settings().api_key == get_settings("default").api_key == "sk-1"

    @button_orders(ACCOUNTS={"fr": {"TIMEOUT": [1, 2], "RETRY_SCHEDULE": [1]}})
    def test_lists_become_tuples(self):
        assert get_settings("fr").timeout == (1, 2)
        assert get_settings("fr").retry_schedule == (1,)

    @button_orders(API_KEY="sk-1", ACCOUNTS={"default": {"API_KEY": "sk-2"}, "fr": {}})
    def test_default_may_be_among_them(self):
        assert get_settings().api_key == "sk-2"
        assert account_names() == ("default", "fr")

    @button_orders(
        API_KEY="sk-1", ACCOUNTS={"default": {"DEADLINE": 20}, "fr": {"DEADLINE": 9}}
    )
    def test_key_of_another_account_is_not_used(self):
        assert get_settings("fr").api_key == ""
        assert get_settings("fr").deadline == 9
        # The top level is the default account's, too.
        assert get_settings("default").api_key == "sk-1"

    @button_orders(ACCOUNTS={"fr": {}, "de": {}})
    def test_names(self):
        assert account_names() == ("default", "fr", "de")

    @button_orders(ACCOUNTS={"fr": {}})
    def test_unknown_account(self):
        for name in ("FR", "", "nl"):
            with (
                self.subTest(name=name),
                pytest.raises(ImproperlyConfigured) as caught,
            ):
                get_settings(name)
            assert str(caught.value) == (
                f"BUTTON_ORDERS['ACCOUNTS'] has no account '{name}'. Known accounts: "
                "default, fr."
            )

    def test_bad_values(self):
        for key in FIELDS.keys() - set(ONE_FOR_ALL):
            for value in BAD[key]:
                accounts = {"fr": {key: value}}
                with (
                    self.subTest(key=key, value=value),
                    button_orders(ACCOUNTS=accounts),
                ):
                    (problem,) = find_problems()

                    path = f"BUTTON_ORDERS['ACCOUNTS']['fr']['{key}'] must "
                    assert path in problem.message

    def test_keys_that_are_one_for_all(self):
        for key in ONE_FOR_ALL:
            accounts = {"fr": {key: DEFAULTS[key]}}
            with self.subTest(key=key), button_orders(ACCOUNTS=accounts):
                (problem,) = find_problems()

                assert problem.kind == "unknown"
                assert f"['{key}'] cannot be set for one account" in problem.message

    @button_orders(ACCOUNTS={"fr": {"API_KEYS": "sk-2"}})
    def test_unknown_key(self):
        (problem,) = find_problems()

        assert "['fr'] has an unknown key 'API_KEYS'" in problem.message
        assert "DOORBELL" not in problem.hint


class SecretTests(SimpleTestCase):
    @button_orders(API_KEY=SECRET, ACCOUNTS={"fr": {"API_KEY": f"{SECRET}-2"}})
    def test_not_in_repr(self):
        for account in ("default", "fr"):
            assert SECRET not in repr(get_settings(account))
            assert SECRET not in str(get_settings(account))


class CacheTests(SimpleTestCase):
    def test_override_settings(self):
        with button_orders(DEADLINE=1):
            assert get_settings().deadline == 1
            with button_orders(DEADLINE=2):
                assert get_settings().deadline == 2
            assert get_settings().deadline == 1

    def test_read_once(self):
        assert get_settings() is get_settings()

    def test_problems_are_not_kept(self):
        with button_orders(DEADLINE=0), pytest.raises(ImproperlyConfigured):
            get_settings()

        assert get_settings().deadline == 30

    def test_frozen(self):
        with pytest.raises(AttributeError):
            get_settings().deadline = 1

    @button_orders(API_KEY=SECRET)
    def test_survives_pickle(self):
        assert pickle.loads(pickle.dumps(get_settings())) == get_settings()


class LoopbackTests(SimpleTestCase):
    def test_this_machine(self):
        for host in ("127.0.0.1", "127.9.9.9", "[::1]", "localhost", "a.localhost"):
            for url in (f"http://{host}", f"http://{host}:80/x", f"HTTP://{host}"):
                with self.subTest(url=url):
                    assert is_loopback(url)

    def test_another(self):
        others = [
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://example.com/localhost",
            "http://example.com?127.0.0.1",
            "http://example.com#localhost",
            "http://127.0.0.1@example.com",
            "http://0.0.0.0",
            "http://10.0.0.1",
            "http://128.0.0.1",
            "http://[::2]",
            "http://",
            "localhost",
        ]
        for url in others:
            with self.subTest(url=url):
                assert not is_loopback(url)
