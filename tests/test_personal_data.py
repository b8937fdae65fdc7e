"""The page about personal data names each field that may have some, and erases it."""

from __future__ import annotations

import json
import re
import textwrap
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import CharField, JSONField, TextField
from django.test import SimpleTestCase, TestCase

from django_button_orders import hash_email
from django_button_orders.conf import FIELDS
from django_button_orders.models import ButtonOrder, Difference, Submission
from django_button_orders.testing import ButtonSandboxMixin
from tests.admin.utils import create_submission
from tests.management.utils import call
from tests.shop.models import Order
from tests.utils import create_row

PAGE = Path(__file__).resolve().parent.parent / "docs" / "howto" / "personal-data.rst"
APP = apps.get_app_config("django_button_orders")
ROW = re.compile(r"^   \* - ``(\w+\.\w+)``\n     - (.*)\n     - (.*)$", re.MULTILINE)
OTHERS = re.compile(r"^The other text fields .*?\n\n", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"( *)\.\. code-block:: python\n\n((?:\1    .*\n|\n)+)")
# What stays, because the app needs it: the page says so.
REMAINS = {"order_id", "source_id", "button_order_id", "reported_btn_ref"}


def fields_with_text():
    """Return the fields of our models that may hold anything about a person."""
    return {
        f"{model.__name__}.{field.name}"
        for model in APP.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, CharField | TextField | JSONField)
        or field.related_model is get_user_model()
    }


def run_code(name):
    """Run the code block of the page that has a name. Return its names and output."""
    names = {}
    out = StringIO()
    with redirect_stdout(out):
        exec(code_with(name), names)  # noqa: S102 - our own page
    return names, out.getvalue()


def state_of(row):
    """Return all that is stored about an order."""
    return [
        *ButtonOrder.objects.filter(pk=row.pk).values(),
        *Submission.objects.filter(button_order=row).values(),
        *Difference.objects.filter(order_id=row.order_id).values(),
    ]


def code_with(name):
    """Return the code block of the page that has a name."""
    blocks = [textwrap.dedent(code) for _, code in CODE.findall(PAGE.read_text())]
    [code] = [code for code in blocks if name in code]
    return code


class FieldTests(SimpleTestCase):
    def setUp(self):
        self.rows = ROW.findall(PAGE.read_text())
        self.personal = [name for name, _, _ in self.rows]

    def test_each_field_is_on_the_page(self):
        [others] = OTHERS.findall(PAGE.read_text())
        named = [*self.personal, *re.findall(r"``(\w+\.\w+)``", others)]

        assert sorted(named) == sorted(fields_with_text())

    def test_days(self):
        """The days beside a setting are its default."""
        kept = {text for _, _, text in self.rows if "DAYS" in text}

        assert kept == {
            f"``{name}`` ({FIELDS[name].default})."
            for name in ("KEEP_BODIES_DAYS", "KEEP_SUBMISSIONS_DAYS")
        }


class SnippetTests(TestCase):
    """The snippets of the page, with an order of jane@example.com."""

    @classmethod
    def setUpTestData(cls):
        values = {
            "customer": {"id": "jane", "email_sha256": hash_email("jane@example.com")},
            "customer_order_id": "jane-1",
            "line_items": [{"identifier": "jane's mug", "total": 7000}],
            "btn_ref": "srctok-jane",
            "last_error": "ValueError: jane",
        }
        cls.row = create_row(**values)
        cls.other = create_row(**values, order_id="1996")
        ButtonOrder.objects.update(status="reported")
        for row in (cls.row, cls.other):
            create_submission(row, request_body="jane", response_body="jane", error="j")
            Difference.objects.create(
                side="shop", kind="changed", order_id=row.order_id, error="jane"
            )

    def test_erase(self):
        before = state_of(self.other)

        _, printed = run_code("def erase")

        assert printed == "['1994']\n"
        assert "jane" not in str(state_of(self.row))
        assert hash_email("jane@example.com") not in str(state_of(self.row))
        assert state_of(self.other) == before

    def test_erase_what_the_table_names(self):
        run_code("def erase")

        [row, submission] = state_of(self.row)
        left = {f"ButtonOrder.{name}" for name, value in row.items() if value}
        left |= {f"Submission.{name}" for name, value in submission.items() if value}
        personal = {name for name, _, _ in ROW.findall(PAGE.read_text())}
        remains = {f"ButtonOrder.{name}" for name in REMAINS} | {"Submission.url"}
        assert left & personal <= remains

    def test_pending_orders_are_left(self):
        ButtonOrder.objects.update(status="pending")
        before = state_of(self.row)

        _, printed = run_code("def erase")

        assert printed == "[]\n"
        assert state_of(self.row) == before

    def test_collect(self):
        _, printed = run_code("def collect")

        assert "srctok-jane" in printed
        assert '"request_body": "jane"' in printed
        assert "1996" not in printed

    def test_find_by_address(self):
        names, _ = run_code("by_email")

        assert set(names["by_email"]) == {self.row, self.other}


class DeletionTests(ButtonSandboxMixin, TestCase):
    databases = {"default", "archive"}

    def test_steps(self):
        """After the steps of the page, nothing is sent, and no comparison complains."""
        order = Order.objects.create(number="1994", email="jane@example.com")
        self.button_sandbox.report()
        row = ButtonOrder.objects.get()
        assert hash_email("jane@example.com") in str(state_of(row))

        order.email = "42@deleted.invalid"
        order.save()
        assert self.button_sandbox.report() == {"reported": 1}
        run_code("def erase")

        assert hash_email("jane@example.com") not in str(state_of(row))
        compared, _, _ = call("button_orders_reconcile", "shop", "--format=json")
        assert json.loads(compared)["agree"] == 1
        assert self.button_sandbox.report() == {}

    def test_order_without_a_model(self):
        """Saving the Button order without its customer reports it once more."""
        row = create_row(customer={"id": "jane"})
        self.button_sandbox.report()

        row.refresh_from_db()
        row.customer = None
        row.save()
        assert self.button_sandbox.report() == {"reported": 1}

        [stored, created, updated] = state_of(row)
        assert "jane" in created["request_body"]
        assert "jane" not in str(stored)
        assert "jane" not in updated["request_body"]
