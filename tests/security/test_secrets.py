"""The API key is nowhere, and customers' data only where it must be."""

from __future__ import annotations

import base64
import html
import json
import logging
import traceback
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from functools import cache
from gzip import compress
from io import StringIO
from urllib.parse import quote, unquote

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.test import SimpleTestCase, TransactionTestCase, override_settings
from django.urls import reverse
from django.utils import timezone
from django.views.debug import SafeExceptionReporterFilter

from django_button_orders import Customer, LineItem, OrderReport, hash_email
from django_button_orders.client.api import ButtonClient, create_order
from django_button_orders.client.exceptions import ButtonError
from django_button_orders.conf import Settings, get_settings
from django_button_orders.delivery.attempt import Attempt
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.sandbox import Sandbox
from django_button_orders.tasks import (
    prune_submissions,
    report_due_orders,
    report_order,
)
from tests.admin.utils import LIST_URL, page_url
from tests.celery import app, take_messages
from tests.security.utils import EndToEndTestCase, wired
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import Order, OrderLine
from tests.utils import LONG_AGO, PURCHASED, create_row, make_due
from tests.wire import Server, answer, head

KEY = "sk-planted-0123456789abcdef"
OTHER_KEY = "sk-planted-of-another-account"
TOKEN = "srctok-planted"
NAME = "Quentin Planted"
EMAIL = "planted.customer@example.com"
CUSTOMER_ID = "customer-planted-4711"
# An address that the shop writes into a direct row, where a hash belongs.
MISTAKEN_EMAIL = "planted.by.mistake@example.com"
HASH = hash_email(EMAIL)

ROW = "django_button_orders_buttonorder"
BODIES = {
    "django_button_orders_submission.request_body",
    "django_button_orders_submission.response_body",
}
# The columns that may have customers' data, and the shop's own tables.
ALLOWED = {
    KEY: set(),
    OTHER_KEY: set(),
    EMAIL: {"shop_order.email"},
    MISTAKEN_EMAIL: set(),
    HASH: {f"{ROW}.customer", f"{ROW}.email_sha256", *BODIES},
    CUSTOMER_ID: {f"{ROW}.customer", *BODIES},
    NAME: {"shop_orderline.sku", f"{ROW}.line_items", *BODIES},
    TOKEN: {
        "shop_order.btn_ref",
        f"{ROW}.btn_ref",
        f"{ROW}.reported_btn_ref",
        *BODIES,
    },
}
# Data that a user with the permission to view orders may see.
SHOWN = {HASH, CUSTOMER_ID, NAME, TOKEN}


def basic(key):
    return base64.b64encode(f"{key}:".encode()).decode()


@cache
def spellings(secret):
    """Return the spellings of a secret: plain, encoded, quoted or escaped."""
    plain = {
        secret,
        basic(secret).rstrip("="),
        base64.b64encode(secret.encode())[:-4].decode(),
    }
    return {
        spelling
        for text in plain
        for spelling in (
            text,
            quote(text, safe=""),
            html.escape(text),
            text.replace("/", r"\/"),
            text.encode().hex(),
        )
    }


def find(text, *secrets):
    """Return the secrets that a text contains in any spelling."""
    return {
        secret
        for secret in secrets
        for spelling in spellings(secret)
        if spelling in text
    }


def dump():
    """Yield each value of each table, with its column."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for column, value in zip(columns, row, strict=True):
                    yield f"{table}.{column}", str(value)


def places(secret):
    """Return the columns of the database that contain a secret."""
    return {place for place, text in dump() if find(text, secret)}


class Recorder(logging.Handler):
    """Collect log records in all the forms that handlers give them."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.texts = []

    def emit(self, record):
        formatted = logging.Formatter("%(name)s %(levelname)s %(message)s").format(
            record
        )
        self.texts.append(f"{formatted} {record.__dict__}")


@contextmanager
def all_logs():
    """Record all loggers, at all levels."""
    root, recorder = logging.getLogger(), Recorder()
    loggers = [
        logger
        for logger in [root, *logging.root.manager.loggerDict.values()]
        if isinstance(logger, logging.Logger)
    ]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    root.addHandler(recorder)
    try:
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
            logger.propagate = True
        yield recorder.texts
    finally:
        root.removeHandler(recorder)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate


@contextmanager
def eager_celery():
    app.conf.task_always_eager = True
    try:
        yield
    finally:
        app.conf.task_always_eager = False


def request_of(received):
    """Return a request as text, as a careless proxy would quote it."""
    headers = "\n".join(f"{name}: {value}" for name, value in received.headers.items())
    return f"{received.method} {received.target}\n{headers}\n\n{received.body.decode()}"


def careless(received, key):
    """Return answers that quote the request, by order id."""
    quoted = request_of(received)
    authorization = received.headers["authorization"]
    message = f"The key {key} ({authorization}) may not do that."
    error = json.dumps({"error": {"message": message}}).encode()
    text = {"content_type": "text/plain"}
    return {
        "quoted": answer(quoted.encode(), status=400, **text),
        "message": answer(error, status=422),
        "unauthorized": answer(error, status=401),
        "forbidden": answer(error, status=403),
        "unavailable": answer(error, status=503, retry_after=key),
        "exhausted": answer(error, status=503),
        "page": answer(
            f"<html><pre>{html.escape(quoted)}</pre>".encode(),
            status=502,
            content_type="text/html",
        ),
        "compressed": answer(
            compress(quoted.encode()), status=400, content_encoding="gzip", **text
        ),
        "headers": answer(
            b"",
            status=400,
            x_authorization=authorization,
            set_cookie=f"key={key}",
            content_type=authorization,
        ),
        "redirect": answer(b"", status=307, location=f"http://{key}:@127.0.0.1:1/"),
        "reason": b"HTTP/1.1 400 %b\r\nContent-Length: 0\r\n\r\n" % message.encode(),
        "garbage": f"{authorization}\r\n\r\n".encode(),
        "cut short": head(content_length=9999) + quoted.encode(),
        "accepted": answer(
            json.dumps(
                {
                    "meta": {"status": "ok"},
                    "object": {"button_order_id": key, "echo": quoted},
                }
            ).encode()
        ),
    }


CASES = (
    "quoted",
    "message",
    "forbidden",
    "finalized",
    "unavailable",
    "page",
    "compressed",
    "headers",
    "redirect",
    "reason",
    "garbage",
    "cut short",
    "accepted",
    "lost",
)
ACCOUNTS = {
    "eu": {"API_KEY": OTHER_KEY},
    "hasty": {"API_KEY": KEY, "RETRY_SCHEDULE": ()},
    "unreachable": {"API_KEY": KEY, "BASE_URL": "http://127.0.0.1:1"},
    "impatient": {"API_KEY": KEY, "DEADLINE": 0.4},
}


class CarelessButton(Server):
    """A server whose answers quote the request and its credentials."""

    def __init__(self):
        super().__init__(self.reply, tls=False, reads=True)

    def reply(self, sock, received):
        if received.method == "POST" and received.target == "/v1/order":
            order_id = json.loads(received.body)["order_id"]
        else:
            order_id = unquote(received.target.rpartition("/")[2])
        case = order_id.removeprefix("shop ")
        if case == "finalized" and received.target != "/v1/order":
            case = "forbidden"
        if case == "slow":
            self.stopped.wait(1)
        if case in ("lost", "slow"):
            return False
        encoded = received.headers["authorization"].removeprefix("Basic ")
        key = base64.b64decode(encoded).decode().removesuffix(":")
        sock.sendall(careless(received, key).get(case, answer()))
        return case not in ("garbage", "cut short")


class RunTestCase(EndToEndTestCase):
    """Make everything fail once, then search all outputs for secrets."""

    databases = {"default", "archive"}

    @classmethod
    def setUpTestData(cls):
        cls.user = User.objects.create(
            username="root", is_staff=True, is_superuser=True
        )
        server = CarelessButton()
        cls.addClassCleanup(server.stop)
        cls.settings_of_the_day = wired(
            server, API_KEY=KEY, ACCOUNTS=ACCOUNTS, DOORBELL="inline"
        )
        cls.printed = StringIO()
        with (
            all_logs() as cls.logs,
            eager_celery(),
            override_settings(BUTTON_ORDERS=cls.settings_of_the_day),
        ):
            for part in (cls.sell, cls.mistake, cls.change, cls.sweep, cls.operate):
                with cls.captureOnCommitCallbacks(execute=True):
                    part()
            cls.sweep()

    @classmethod
    def sell(cls):
        """Report host orders and direct orders, one for each answer of Button."""
        for case in CASES:
            cls.create_order(f"shop {case}")
            create_row(
                order_id=case,
                btn_ref=TOKEN,
                customer={"id": CUSTOMER_ID, "email_sha256": HASH},
                line_items=[{"identifier": "a", "total": 1, "description": NAME}],
            )
        cls.create_order("shop unauthorized", account="eu")
        cls.create_order("shop exhausted", account="hasty")
        cls.create_order("shop unreachable", account="unreachable")
        cls.create_order("shop slow", account="impatient")
        cls.create_order("shop of an account on the moon", account="moon")

    @classmethod
    def create_order(cls, number, **values):
        order = Order.objects.create(
            number=number, email=EMAIL, btn_ref=TOKEN, **values
        )
        OrderLine.objects.create(order=order, sku=f"Mug for {NAME}", price=1)
        return order

    @classmethod
    def mistake(cls):
        """Save orders whose adapter raises or whose report is invalid."""
        hooks = ("get_order_id", "get_account", "is_reportable", "is_cancelled")
        for hook in (*hooks, "build"):
            cls.create_order(f"shop {hook}", trouble=hook)
        ShopOrderAdapter.built.append(f"Dear {EMAIL}")
        Order.objects.create(number="shop built")
        mistakes = ({"email": MISTAKEN_EMAIL}, {"id": MISTAKEN_EMAIL}, [MISTAKEN_EMAIL])
        for number, customer in enumerate((*mistakes, {MISTAKEN_EMAIL: "id"})):
            create_row(order_id=f"mistake {number}", customer=customer)

    @classmethod
    def change(cls):
        """Update and cancel orders, with answers that quote the requests."""
        for order in Order.objects.filter(number__startswith="shop "):
            order.total += 1
            order.save()
        for row in ButtonOrder.objects.filter(order_id__in=CASES):
            row.total += 1
            row.save()
        for case in ("accepted", "quoted", "page"):
            ButtonOrder.objects.get(order_id=case).cancel()

    @classmethod
    def sweep(cls):
        make_due()
        report_due_orders()

    @classmethod
    def operate(cls):
        """Run the commands and the admin's actions."""
        for name, *options in (
            ("retry", "--all"),
            ("report", "--format", "json"),
            ("backfill",),
            ("backfill", "--dry-run", "--format", "json"),
        ):
            try:
                call_command(
                    f"button_orders_{name}",
                    *options,
                    stdout=cls.printed,
                    stderr=cls.printed,
                )
            except CommandError as exc:
                cls.printed.write(str(exc))
        client = cls.client_class()
        client.force_login(cls.user)
        for verb in ("retry", "dismiss", "cancel"):
            refused = ButtonOrder.objects.filter(status="failed", reason="refused")
            for row in refused.order_by("pk")[:3]:
                client.post(page_url(row, verb))


class RunTests(RunTestCase):
    def test_all_went_wrong(self):
        states = set(ButtonOrder.objects.values_list("status", "reason"))

        assert states >= {
            ("failed", "invalid"),
            ("failed", "refused"),
            ("closed", "finalized"),
            ("failed", "exhausted"),
            ("pending", "unauthorized"),
            ("pending", "unavailable"),
            ("cancelled", ""),
            ("dismissed", "refused"),
        }
        assert PausedAccount.objects.get().account == "eu"
        assert LogEntry.objects.exists()
        assert len(self.logs) > 100
        assert "urllib3" in "".join(self.logs)
        operations = set(Submission.objects.values_list("operation", flat=True))
        assert operations == {"create", "update", "cancel", "retrieve"}

    def test_database(self):
        for secret, allowed in ALLOWED.items():
            with self.subTest(secret=secret):
                assert places(secret) == allowed

    def test_after_pruning(self):
        ButtonOrder.objects.update(status="dismissed")
        Submission.objects.update(started_at=LONG_AGO)
        recent = list(Submission.objects.values_list("pk", flat=True)[:50])
        Submission.objects.filter(pk__in=recent).update(
            started_at=timezone.now() - timedelta(days=40)
        )
        with override_settings(BUTTON_ORDERS=self.settings_of_the_day):
            prune_submissions()

        assert Submission.objects.count() == 50
        for secret, allowed in ALLOWED.items():
            with self.subTest(secret=secret):
                assert places(secret) == allowed - BODIES

    def test_logs(self):
        for text in self.logs:
            assert find(text, *ALLOWED) == set()

    def test_what_commands_print(self):
        printed = self.printed.getvalue()

        assert "retried" in printed
        assert "TroubleError" in printed
        assert find(printed, *ALLOWED) == set()

    def test_admin(self):
        rows = ButtonOrder.objects.exclude(order_id__in=CASES[1:])
        urls = [page_url(row) for row in rows]
        urls += [page_url(row, "history") for row in rows[:5]]
        urls += [LIST_URL, f"{LIST_URL}?status__exact=failed"]
        account = PausedAccount.objects.get()
        name = "admin:django_button_orders_pausedaccount"
        urls += [reverse(f"{name}_changelist"), reverse("admin:index")]
        urls += [reverse(f"{name}_change", args=[account.pk])]
        self.client.force_login(self.user)
        seen = set()
        with override_settings(BUTTON_ORDERS=self.settings_of_the_day):
            for url in urls:
                response = self.client.get(url)
                assert response.status_code == 200
                seen |= find(html.unescape(response.content.decode()), *ALLOWED)

        assert seen == SHOWN


class EchoTests(EndToEndTestCase):
    """The API key is removed from answers in every spelling."""

    # The second key is made up of characters with several spellings.
    keys = (KEY, "sk-planted/a+b?c&d=e<f>g'h\"i~")

    def echo(self, key, text):
        """Report an order, let Button answer with a text, and return what is stored."""
        row = self.create_for("create")
        message = answer(text.encode(), status=400, content_type="text/plain")

        self.report(row, self.serve(message), API_KEY=key)

        assert places(key) == set()
        return row.submissions.get().response_body

    def check(self, spell):
        """Answer with each key and its Basic credentials, in each spelling."""
        for key in self.keys:
            for secret in (key, basic(key), basic(key).rstrip("=")):
                spelled = spell(secret)
                with self.subTest(spelled=spelled):
                    kept = self.echo(key, f"Not with {spelled}!")

                    assert kept.startswith("Not with [API key]")
                    assert spelled not in kept

    def test_plain(self):
        self.check(str)

    def test_quoted(self):
        self.check(lambda secret: quote(secret, safe=""))

    def test_in_html(self):
        self.check(html.escape)

    def test_in_json(self):
        self.check(lambda secret: json.dumps(secret)[1:-1])

    def test_in_json_with_escaped_slashes(self):
        self.check(lambda secret: json.dumps(secret)[1:-1].replace("/", r"\/"))

    def test_in_json_for_html(self):
        """Go, Java and .NET escape HTML characters in JSON."""
        self.check(
            lambda secret: "".join(
                f"\\u{ord(character):04x}" if character in "<>&='\"+" else character
                for character in secret
            )
        )

    def test_header(self):
        for key in self.keys:
            with self.subTest(key=key):
                kept = self.echo(key, f"Authorization: Basic {basic(key)}\r\nX: y")

                assert kept == "Authorization: Basic [API key]\r\nX: y"

    def test_cut(self):
        """Cutting a long answer leaves no beginning of the key at its end."""
        for secret in (KEY, basic(KEY)):
            for length in (len(secret), len(secret) - 1, 12):
                with self.subTest(secret=secret, length=length):
                    kept = self.echo(KEY, "x" * (65536 - length) + secret)

                    assert kept.endswith(("xxx", "[API key]"))

    def test_escaped_in_a_message(self):
        """Parsing the JSON would reveal a key that is escaped in the body."""
        escaped = KEY.replace("s", "\\u0073")
        message = f'{{"error": {{"message": "No {escaped}"}}}}'
        for status in (400, 401):
            with self.subTest(status=status):
                row = self.create_for("create")
                server = self.serve(answer(message.encode(), status=status))

                self.report(row, server, API_KEY=KEY)

                assert "No [API key]" in row.last_error
                assert places(KEY) == set()

    def test_malformed_head(self):
        """urllib3 logs header lines that it cannot parse, with their text."""
        data = (
            b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n"
            b"Authorization Basic %b\r\nX-Key: %b\r\n\r\n"
        ) % (basic(KEY).encode(), KEY.encode())
        row = self.create_for("create")

        with all_logs() as logs:
            self.report(row, self.serve(data), API_KEY=KEY)

        assert row.last_status_code == 400
        assert find("".join(logs), KEY) == set()


class WordsOfButtonTests(EndToEndTestCase):
    """
    Button's message is shown, and kept for longer than the bodies.

    So what it says about a customer does not belong in there.
    """

    def test_customer(self):
        quoted = {
            HASH: f"customer.email_sha256 {HASH} is on a list.",
            HASH.upper(): f"Unknown: '{HASH.upper()}'",
            CUSTOMER_ID: f"No customer {CUSTOMER_ID}.",
        }
        for secret, message in quoted.items():
            for status in (400, 401, 503):
                row = self.create_for(
                    "create", customer={"id": CUSTOMER_ID, "email_sha256": HASH}
                )
                body = json.dumps({"error": {"message": message}}).encode()

                with self.subTest(secret=secret, status=status):
                    self.report(row, self.serve(answer(body, status=status)))

                    assert str(status) in row.last_error
                    assert places(secret) <= ALLOWED[secret.lower()]

    def test_customer_in_an_answer_without_an_envelope(self):
        for secret in (HASH, CUSTOMER_ID, EMAIL):
            for body in (
                f"Unknown: {secret}!",
                json.dumps([secret]),
                json.dumps({"echo": {"customer": secret}}),
                # The quotation is cut in the middle of the secret.
                f"{'word ' * 58}{secret}",
            ):
                row = self.create_for(
                    "create", customer={"id": CUSTOMER_ID, "email_sha256": HASH}
                )

                with self.subTest(body=body):
                    self.report(row, self.serve(answer(body.encode(), status=400)))

                    assert "400 to create: " in row.last_error
                    assert not any(
                        secret[:size] in row.last_error for size in (12, len(secret))
                    )


class QueueTests(TransactionTestCase):
    """Messages to the broker contain only primary keys."""

    databases = {"default", "archive"}

    def setUp(self):
        super().setUp()
        take_messages()

    def check(self, message):
        everything = (message.body, message.headers, message.properties)
        assert find(f"{everything}", *ALLOWED) == set()
        args, kwargs, _ = message.payload
        [pk] = args
        assert type(pk) is int
        assert set(kwargs) <= {"using", "trigger", "user_id"}
        assert kwargs["using"] == "default"
        assert kwargs.get("trigger", "save") in Submission.Trigger
        assert kwargs.get("user_id", "1").isdigit()

    def test_messages(self):
        user = User.objects.create(
            username=NAME, email=EMAIL, is_staff=True, is_superuser=True
        )
        with Sandbox(api_key=KEY) as sandbox:
            values = {"API_KEY": KEY, "BASE_URL": sandbox.url, "DOORBELL": "inline"}
            with override_settings(BUTTON_ORDERS=values):
                for trouble in ("", "build", "get_order_id"):
                    order = Order.objects.create(
                        number=f"42 {trouble}",
                        email=EMAIL,
                        btn_ref=TOKEN,
                        trouble=trouble,
                    )
                    OrderLine.objects.create(order=order, sku=NAME, price=1)
                row = create_row(customer={"id": CUSTOMER_ID}, btn_ref=TOKEN)
                # The worker also publishes a message for each retry.
                sandbox.misbehave(status=503, times=9)
                report_due_orders()
                self.client.force_login(user)
                for verb in ("cancel", "retry"):
                    for each in ButtonOrder.objects.all():
                        self.client.post(page_url(each, verb))
                make_due()
                for each in ButtonOrder.objects.all():
                    report_order(each.pk, trigger="admin", user_id=str(user.pk))
            assert find(f"{sandbox.requests}", KEY) == set()

        messages = take_messages()
        assert len(messages) > 5
        assert {"save", "admin", None} <= {
            message.payload[1].get("trigger") for message in messages
        }
        assert row.pk in {message.payload[0][0] for message in messages}
        for message in messages:
            self.check(message)


class SettingsTests(SimpleTestCase):
    """Messages about the settings contain none of their values."""

    def test_repr(self):
        with override_settings(BUTTON_ORDERS={"API_KEY": KEY, "ACCOUNTS": ACCOUNTS}):
            for account, key in (("default", KEY), ("eu", OTHER_KEY)):
                settings = get_settings(account)
                client = ButtonClient(api_key=settings.api_key)
                attempt = Attempt(row=ButtonOrder(), lease_ends=1, settings=settings)
                things = (settings, client, attempt, attempt.client)

                assert settings.api_key == key
                assert find(f"{things} {things!r}", KEY, OTHER_KEY) == set()

    def test_page_of_django_for_errors(self):
        with override_settings(BUTTON_ORDERS={"API_KEY": KEY, "ACCOUNTS": ACCOUNTS}):
            shown = SafeExceptionReporterFilter().get_safe_settings()["BUTTON_ORDERS"]

        assert "API_KEY" in shown
        assert find(f"{shown}", KEY, OTHER_KEY) == set()

    def test_misplaced(self):
        """The API key is in a wrong place of the settings."""
        names = {item.name.upper() for item in fields(Settings)} | {"APIKEY"}
        # Some settings accept any text, so a key in them is not detected.
        for name in names - {"API_VERSION", "BATCH_FILE_BRAND", "QUEUE", "SITE"}:
            for values in (
                {name: KEY},
                {name: [KEY]},
                {"ACCOUNTS": {"eu": {name: KEY}}},
            ):
                with self.subTest(values=values):
                    assert find(self.said_about(values), KEY) == set()

    def said_about(self, values):
        with override_settings(BUTTON_ORDERS=values):
            said = [f"{item.msg} {item.hint} {item!r}" for item in run_checks()]
            for account in ("default", "eu"):
                try:
                    said.append(f"{get_settings(account)!r}")
                except ImproperlyConfigured as exc:
                    said.append(text_of(exc))
        return "\n".join(said)


class ExceptionTests(EndToEndTestCase):
    def test_of_the_client(self):
        servers = {
            "closes": self.serve(lambda sock, received: False),
            "garbage": self.serve(
                lambda sock, received: sock.sendall(
                    f"{received.headers['authorization']}\r\n\r\n".encode()
                )
            ),
            "nobody": "http://127.0.0.1:1",
            "nonsense": "http://[",
        }
        for name, server in servers.items():
            client = self.button(server, api_key=KEY, deadline=0.3)
            with self.subTest(name=name):
                with pytest.raises(ButtonError) as caught:
                    client.send(create_order({"customer": {"id": CUSTOMER_ID}}))

                assert find(text_of(caught.value), KEY, CUSTOMER_ID) == set()
                assert find(with_locals(caught.value), KEY) == set()

    @override_settings(BUTTON_ORDERS={"API_KEY": KEY, "TIMEOUT": 1, "SECRET": KEY})
    def test_of_settings(self):
        with pytest.raises(ImproperlyConfigured) as caught:
            get_settings()

        assert find(with_locals(caught.value), KEY) == set()

    @override_settings(BUTTON_ORDERS={"API_KEY": KEY, "ACCOUNTS": ACCOUNTS})
    def test_of_an_unknown_account(self):
        with pytest.raises(ImproperlyConfigured) as caught:
            get_settings("nowhere")

        assert find(with_locals(caught.value), KEY, OTHER_KEY) == set()

    def test_of_values(self):
        facts = {"total": 1, "currency": "USD", "purchase_date": PURCHASED}
        wrong = {
            "id": lambda: Customer(id=EMAIL),
            "device_id": lambda: Customer(device_id=f"<{EMAIL}>"),
            "quoted": lambda: Customer(id=quote(EMAIL)),
            "hash": lambda: Customer(email_sha256=EMAIL),
            "another hash": lambda: Customer(email=EMAIL, email_sha256="0" * 64),
            "null": lambda: Customer(email=f"{EMAIL}\0"),
            "key": lambda: OrderReport(order_id="1", customer={EMAIL: 1}, **facts),
            "email": lambda: OrderReport(
                order_id="1", customer={"email": EMAIL}, **facts
            ),
            "order_id": lambda: OrderReport(order_id=f"{EMAIL}\n", **facts),
            "btn_ref": lambda: OrderReport(order_id="1", btn_ref=EMAIL, **facts),
            "long": lambda: OrderReport(
                order_id="1", customer_order_id=EMAIL * 20, **facts
            ),
            "currency": lambda: OrderReport(
                order_id="1", **{**facts, "currency": EMAIL}
            ),
            "line": lambda: LineItem(identifier="a", total=EMAIL),
            "attributes": lambda: LineItem(
                identifier="a", total=1, attributes={EMAIL: [EMAIL]}
            ),
            "lines": lambda: OrderReport(
                order_id="1", line_items=[{"identifier": "a", EMAIL: EMAIL}], **facts
            ),
            "column": lambda: ButtonOrder(order_id=EMAIL * 20).save(),
            "column of JSON": lambda: ButtonOrder(
                order_id="1", customer={"id": EMAIL, "a": {EMAIL}}
            ).save(),
            "row": lambda: ButtonOrder(
                order_id="1", customer={"id": EMAIL}, **{**facts, "btn_ref": EMAIL}
            ).full_clean(),
        }
        for name, make in wrong.items():
            with self.subTest(name=name):
                with pytest.raises(ValidationError) as caught, transaction.atomic():
                    make()

                assert find(text_of(caught.value), EMAIL, HASH) == set()


def text_of(exc):
    """Return an exception in all the forms that logs give it."""
    trace = "".join(traceback.format_exception(exc))
    return f"{exc} {exc!r} {exc.args} {trace}"


def with_locals(exc):
    """Return a traceback with the local variables, as error trackers send it."""
    trace = traceback.TracebackException.from_exception(exc, capture_locals=True)
    return f"{text_of(exc)} {''.join(trace.format())}"
