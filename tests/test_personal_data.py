"""The page about personal data names each field that may have some, and erases it."""

from __future__ import annotations

import re
import sys
import textwrap
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.test import SimpleTestCase, TestCase, override_settings

from django_button_orders import erase, hash_email
from django_button_orders.conf import FIELDS
from django_button_orders.models import (
    AttributionToken,
    ButtonOrder,
    Difference,
    Submission,
)
from django_button_orders.testing import ButtonSandboxMixin
from tests.management.utils import call
from tests.operations.test_erase import PERSONAL, create_janes
from tests.shop.models import Order
from tests.utils import PURCHASED, button_settings

DOCS = Path(__file__).resolve().parent.parent / "docs"
with mock.patch.object(sys, "path", [str(DOCS / "_ext"), *sys.path]):
    import personal_data
PAGE = DOCS / "howto" / "personal-data.rst"
APP = apps.get_app_config("django_button_orders")
CODE = re.compile(r"( *)\.\. code-block:: python\n\n((?:\1    .*\n|\n)+)")


def others():
    return {
        f"{model}.{name}"
        for model, names in personal_data.OTHERS.items()
        for name in names
    }


def state_of(row):
    """Return all that is stored about an order."""
    return [
        *ButtonOrder.objects.filter(pk=row.pk).values(),
        *Submission.objects.filter(button_order=row).values(),
        *Difference.objects.filter(order_id=row.order_id).values(),
        *AttributionToken.objects.filter(source_id=row.source_id).values(),
    ]


class FieldTests(SimpleTestCase):
    def test_each_field_is_decided(self):
        names = {name for name, _ in personal_data.fields()}

        assert personal_data.RULES.keys() | others() == names
        assert not personal_data.RULES.keys() & others()

    def test_table(self):
        lines = "\n".join(personal_data.table())

        for name in personal_data.RULES:
            assert f"* - ``{name}``\n     - " in lines
        assert f"({FIELDS['KEEP_BODIES_DAYS'].default})." in lines
        assert "``KEEP_PERSONAL_DAYS`` (always)." in lines

    def test_page_has_the_tables(self):
        text = PAGE.read_text()
        assert ".. from-code:: personal-data\n" in text
        assert ".. from-code:: no-personal-data\n" in text


@override_settings(BUTTON_ORDERS=button_settings())
class EraseTests(TestCase):
    databases = {"default", "archive"}

    def test_as_the_table_says(self):
        """Each field is filled, and erased as its last column says."""
        row = create_janes(source_id="7")
        filled = dict.fromkeys(
            ("button_order_id", "reported_btn_ref", "last_error"), "jane"
        )
        digest = row.as_report().digest()
        ButtonOrder.objects.update(**filled, reported_digest=digest)
        Submission.objects.create(
            button_order=row,
            revision=1,
            started_at=PURCHASED,
            duration_ms=1,
            **dict.fromkeys(("url", "request_body", "response_body", "error"), "jane"),
        )
        Difference.objects.create(
            order_id="1994", source_id="7", values={"jane": 1}, error="jane"
        )
        AttributionToken.objects.create(
            source_type=ContentType.objects.get_for_model(Order),
            source_id="7",
            btn_ref="jane",
        )
        ButtonOrder.objects.update(source_type=ContentType.objects.get_for_model(Order))
        before = self.values()

        erase(order_ids=["1994"])

        after = self.values()
        for name, rule in personal_data.RULES.items():
            if name.startswith(("Checkpoint", "PausedAccount", "Submission.user")):
                continue
            with self.subTest(name=name):
                assert before[name]
                if rule.erasing == personal_data.DELETED:
                    assert name not in after
                    continue
                is_same = after[name] == before[name]
                assert is_same == (rule.erasing == personal_data.STAYS)
                assert bool(after[name]) == (rule.erasing != personal_data.EMPTIED)

    def values(self):
        """Return the values of all fields, by their names in the table."""
        return {
            f"{model.__name__}.{name}": value
            for model in (ButtonOrder, Submission, Difference, AttributionToken)
            for values in model.objects.values()
            for name, value in values.items()
        }

    def test_snippet(self):
        create_janes(customer={"id": "u-77"}, button_order_id="btnorder-1")
        blocks = [code for _, code in CODE.findall(PAGE.read_text())]
        [code] = [textwrap.dedent(code) for code in blocks if "erase(" in code]
        out = StringIO()
        with redirect_stdout(out):
            exec(code, {})  # noqa: S102 - our own page
        assert out.getvalue() == "default 1994 btnorder-1\n"


class DeletionTests(ButtonSandboxMixin, TestCase):
    databases = {"default", "archive"}

    def test_steps(self):
        """After the steps of the page, nothing is sent, and no comparison complains."""
        order = Order.objects.create(number="1994", email="jane@example.com")
        self.button_sandbox.report()
        row = ButtonOrder.objects.get()
        assert hash_email("jane@example.com") in str(state_of(row))

        # The shop itself still has the customer.
        erase(email="jane@example.com")
        order.save()
        assert self.button_sandbox.report() == {"reported": 1}

        assert hash_email("jane@example.com") not in str(state_of(row))
        for side in ("shop", "button"):
            out, _, error = call("button_orders_reconcile", side, "--format=json")
            assert ('"agree": 1' in out, error) == (True, "")
        assert hash_email("jane@example.com") not in str(state_of(row))
        posts = [item for item in self.button_sandbox.requests if item.method == "POST"]
        assert len(posts) == 1

    def test_tell_button(self):
        row = create_janes()
        self.button_sandbox.report()
        erase(customer_id=PERSONAL["customer"]["id"], tell_button=True)
        assert self.button_sandbox.report() == {"reported": 1}
        assert "jane" not in str(state_of(row))
