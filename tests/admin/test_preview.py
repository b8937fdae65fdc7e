from __future__ import annotations

import json
import shlex
import subprocess

import responses
from django.db import OperationalError, connection
from django.test import SimpleTestCase, override_settings
from django.utils import timezone

from django_button_orders.admin.preview import as_curl, preview
from django_button_orders.client.api import (
    USER_AGENT,
    ButtonClient,
    cancel_order,
    create_order,
    retrieve_order,
)
from django_button_orders.delivery.sweep import report
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.models.clock import from_now
from tests.admin.utils import AdminTestCase, create_submission, page_url, text_of
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import Order, OrderLine
from tests.utils import add_answer, button_settings, make_due, order_url

MINUS = "\N{MINUS SIGN}"
rows = ButtonOrder.objects
# This heading occurs only once on the page.
SECTION = "Next call to Button"


def snapshot():
    models = (ButtonOrder, Submission, PausedAccount, Order)
    return [list(model.objects.order_by("pk").values()) for model in models]


class PreviewTestCase(AdminTestCase):
    def section(self):
        """Return the text of the preview, and check that it changes nothing."""
        before = snapshot()
        with responses.RequestsMock():
            page = self.page()
        assert snapshot() == before
        start = page.index(SECTION)
        return page[start : page.index("Why it earned", start)]

    @responses.activate
    def report(self):
        add_answer("POST")
        add_answer("POST", order_url(self.row.order_id))
        make_due()
        report(self.row.pk, using="default")
        self.row.refresh_from_db()
        assert self.row.status == "reported"


class DirectTests(PreviewTestCase):
    def test_create(self):
        section = self.section()

        assert "The order would be created at Button." in section
        assert "POST https://button.test/v1/order " in section
        assert "Button has not acknowledged this order yet." in section
        assert '"btn_ref": "srctok-1"' in section
        assert '-u "$BUTTON_API_KEY:"' in section
        assert "sk-tests" not in section

    def test_nothing_differs(self):
        self.report()

        section = self.section()

        assert (
            "Nothing would be sent: Button has already acknowledged this state."
            in section
        )
        assert "There are no changes since the last acknowledged report." in section
        assert "curl" not in section

    def test_update(self):
        self.report()
        self.row.total = 6500
        self.row.customer_order_id = "A-1"
        self.row.save()

        section = self.section()

        assert "The order would be updated at Button, with its full state." in section
        assert "POST https://button.test/v1/order/1994" in section
        assert f"total {MINUS} 70.00 USD + 65.00 USD differs" in section
        assert 'customer_order_id + "A-1" new' in section
        assert "currency" not in section[: section.index("Full body")]
        # The create has tied the token to the order for good.
        assert "btn_ref" not in section

    def test_left_out(self):
        self.put(partner_order_channel="app")
        self.report()
        self.put(partner_order_channel="", revision=2, status="pending")

        assert f'partner_order_channel {MINUS} "app" left out' in self.section()

    def test_last_of_several(self):
        create_submission(self.row, request_body='{"total": 1}', status_code=200)
        create_submission(
            self.row, operation="update", request_body='{"total": 2}', status_code=200
        )
        create_submission(self.row, outcome="failed", request_body='{"total": 3}')
        create_submission(self.row, operation="retrieve", response_body="{}")
        self.put(reported_revision=1)

        assert f"total {MINUS} 2 + 70.00 USD differs" in self.section()

    def test_pruned(self):
        self.report()
        Submission.objects.update(request_body="", response_body="")
        self.put(revision=2, total=1, status="pending")

        assert "it was pruned: bodies are kept for 30 days." in self.section()

    def test_not_on_record(self):
        self.put(reported_revision=1, revision=2)

        assert "The last acknowledged report is not stored here" in self.section()

    def test_cancel(self):
        self.report()
        self.put(cancel_requested_at=timezone.now(), status="pending")

        section = self.section()

        assert "The order would be cancelled at Button." in section
        assert "DELETE https://button.test/v1/order/1994" in section
        assert "-X DELETE" in section
        assert "Full body" not in section

    def test_cancelled(self):
        self.put(
            cancel_requested_at=timezone.now(),
            reported_revision=1,
            reported_digest="cancelled",
            status="cancelled",
        )

        section = self.section()

        assert "Button does not have the order, or has cancelled it." in section
        assert "Button has acknowledged that the order is cancelled." in section

    def test_unknown_outcome(self):
        self.put(unanswered=1)

        section = self.section()

        assert "Button would first be asked whether it has this order." in section
        assert "-X GET" in section
        assert '"btn_ref": "srctok-1"' in section

    def test_in_flight(self):
        """A claim counts its own attempt as unanswered; that is no earlier call."""
        rows.update(lease_expires_at=from_now(60))
        rows.all().update(lease_token="1" * 32, unanswered=1)

        assert "The order would be created at Button." in self.section()

    def test_used_up(self):
        """The preview of a failed order shows the call that a retry would make."""
        self.put(status="failed", reason="exhausted", attempts=99)

        assert "The order would be created at Button." in self.section()

    def test_invalid(self):
        self.put(currency="XXQ")

        section = self.section()

        assert "Nothing would be sent. The order would fail: " in section
        assert "currency" in section

    def test_as_decimal(self):
        with override_settings(BUTTON_ORDERS=button_settings(TOTAL_AS_DECIMAL=True)):
            assert '"total": 70.0' in self.section()

    def test_settings(self):
        sentences = {
            "The account would be paused: BUTTON_ORDERS['API_KEY']": {"API_KEY": ""},
            "The order would wait: BUTTON_ORDERS['BASE_URL']": {
                "BASE_URL": "http://button.test"
            },
        }
        for sentence, values in sentences.items():
            settings = override_settings(BUTTON_ORDERS=button_settings(**values))
            with self.subTest(**values), settings:
                assert sentence in self.section()

    def test_unknown_account(self):
        self.put(account="gone")

        assert "has no account 'gone'" in self.section()

    @override_settings(BUTTON_ORDERS=button_settings(REPORT_WITHOUT_TOKEN=False))
    def test_without_token(self):
        self.put(btn_ref="")

        assert "REPORT_WITHOUT_TOKEN is false." in self.section()

    def test_form_with_errors(self):
        """The preview ignores values that are typed into the form and not saved."""
        data = {"total": "1", "currency": "XXQ"}

        response = self.client.post(page_url(self.row), data)

        assert response.status_code == 200
        assert '"total": 7000' in text_of(response)


class HostTests(PreviewTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.order = Order.objects.create(number="42", email="ada@example.com")
        OrderLine.objects.create(order=cls.order, sku="MUG", price=70)
        cls.row = rows.get(order_id="42")

    def test_built_from_committed_data(self):
        section = self.section()

        assert '"identifier": "MUG"' in section
        assert '"email_sha256": "' in section
        assert "ada@example.com" not in section

    def test_changed_since(self):
        self.report()
        OrderLine.objects.create(order=self.order, sku="POT", price=5)
        OrderLine.objects.filter(sku="MUG").update(quantity=2)

        section = self.section()

        assert f"line_items / MUG / quantity {MINUS} 1 + 2 differs" in section
        assert "line_items / POT / total + 5.00 USD new" in section

    def test_lines_that_do_not_sum_to_the_total(self):
        """The warning comes before the first report, when the row has no lines yet."""
        OrderLine.objects.create(order=self.order, sku="POT", price=5)
        warning = "Warning: Its lines sum to 75.00 USD, but its total is 70.00 USD."

        assert f"would be created at Button. {warning}" in self.section()
        assert self.page().count(warning) == 1

        self.report()

        assert f"already acknowledged this state. {warning}" in self.section()
        assert self.page().count(warning) == 2

        OrderLine.objects.filter(sku="POT").update(price=0)

        assert "Warning:" not in self.section()

    def test_each_hook_that_raises(self):
        hooks = ("get_order_id", "is_cancelled", "is_reportable", "build")
        for hook in hooks:
            with self.subTest(hook=hook):
                Order.objects.update(trouble=hook)

                section = self.section()

                assert f"ShopOrderAdapter.{hook} raised TroubleError" in section
                assert "ada@example.com" not in section

    def test_error_is_that_of_the_row(self):
        Order.objects.update(trouble="build")
        section = self.section()
        make_due()

        report(self.row.pk, using="default")

        assert rows.get(pk=self.row.pk).last_error in section

    def test_another_id(self):
        Order.objects.update(number="43")

        section = self.section()

        assert '"order_id": "43"' in section
        assert rows.get(pk=self.row.pk).order_id == "42"

    def test_id_of_another_row(self):
        Order.objects.update(number="1994")

        assert "Another Button order reports this order" in self.section()

    def test_gone(self):
        Order.objects.all().delete()

        assert "The shop's order is gone" in self.section()

    def build(self, action):
        """Replace the adapter's ``build()`` by a function."""

        class Built:
            pop = staticmethod(action)

        built, ShopOrderAdapter.built = ShopOrderAdapter.built, Built()
        self.addCleanup(setattr, ShopOrderAdapter, "built", built)

    def test_adapter_that_writes(self):
        def write():
            Order.objects.update(number="written")
            rows.filter(order_id="42").update(status="failed")

        self.build(write)

        assert "ShopOrderAdapter.build returned NoneType" in self.section()

    def test_adapter_whose_query_fails(self):
        def query():
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM nowhere")

        self.build(query)

        assert "nowhere" in self.section()


class DatabaseTests(PreviewTestCase):
    def test_does_not_answer(self):
        def fail(execute, sql, *args):
            if "lease_token" in sql:
                raise OperationalError("database is locked")
            return execute(sql, *args)

        with connection.execute_wrapper(fail):
            found = preview(self.row)

        assert "database is locked" in found.sentence
        assert found.is_trouble
        assert (found.text, found.curl, found.lines) == ("", "", [])


class CopyTests(PreviewTestCase):
    def test_command_is_there_without_scripts(self):
        response = self.client.get(page_url(self.row))

        html = response.content.decode()
        body = json.dumps({"total": 7000}, separators=(",", ":"))[1:-1]
        assert body.replace('"', "&quot;") in html
        assert "django_button_orders/copy.js" in html
        assert "data-button-order-copy=" in html


NASTY = 'it\'s $HOME `id` "quoted" \\ !x\nÜ €'


def arguments(command):
    """Return the arguments that a shell passes to curl."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    env = {"BUTTON_API_KEY": "sk-of-the-shell", "HOME": "/wrong"}
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script], env=env, capture_output=True, check=True
    )
    return done.stdout.decode().split("\0")[:-1]


class CurlTests(SimpleTestCase):
    client_ = ButtonClient(
        api_key="sk-secret", base_url="https://button.test", api_version="2018-02-13"
    )

    def test_create(self):
        request = create_order({"order_id": NASTY})

        found = arguments(as_curl(self.client_, request))

        assert found == [
            *("-X", "POST"),
            *("-u", "sk-of-the-shell:"),
            *("-H", "Accept: application/json, text/plain"),
            *("-H", f"User-Agent: {USER_AGENT}"),
            *("-H", "X-Button-API-Version: 2018-02-13"),
            *("-H", "Content-Type: application/json"),
            *("--data-raw", request.body.decode()),
            "https://button.test/v1/order",
        ]

    def test_without_body(self):
        for make, method in ((cancel_order, "DELETE"), (retrieve_order, "GET")):
            with self.subTest(method=method):
                found = arguments(as_curl(self.client_, make(NASTY)))

                assert found[:2] == ["-X", method]
                assert "Content-Type: application/json" not in found
                assert "--data-raw" not in found
                assert found[-1] == self.client_.url(make(NASTY))

    def test_no_key(self):
        command = as_curl(self.client_, create_order({"order_id": "1"}))

        assert "sk-secret" not in command
        assert "Authorization" not in command
        assert self.client_.credentials not in command

    def test_can_be_read(self):
        command = as_curl(self.client_, retrieve_order("1994"))

        assert '-u "$BUTTON_API_KEY:"' in command
        assert shlex.split(command)[0] == "curl"
        assert all(line.startswith("  -") for line in command.split("\n")[1:-1])
