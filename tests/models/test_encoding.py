from __future__ import annotations

import json

import responses
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import DataError, OperationalError, connection, connections
from django.test import TestCase, override_settings
from django.urls import reverse

from django_button_orders import (
    LineItem,
    OrderReport,
    mark_changed,
    suppress_reporting,
)
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import (
    ButtonOrder,
    Checkpoint,
    Difference,
    PausedAccount,
    Submission,
)
from django_button_orders.models.encoding import (
    escape,
    escape_json,
    is_refusal,
    unescape_json,
)
from django_button_orders.operations.erase import Person
from tests.admin.utils import create_user
from tests.charsets import ESCAPED, GIFT, OLD, OldDatabaseTestCase
from tests.shop.button_orders import ShopOrderAdapter
from tests.shop.models import Order
from tests.utils import (
    PURCHASED,
    add_answer,
    button_settings,
    create_row,
)


class EscapeTests(TestCase):
    def test_what_every_database_refuses(self):
        assert escape("a\0\ud800", connection) == r"a\x00\ud800"

    def test_json_comes_back(self):
        for text in ("a", "\\", r"\u2615", "\\\u2615", "é\u2615" + GIFT, r"\xe9\\", ""):
            for encoding in ("ascii", "latin-1"):
                with self.subTest(text=text, encoding=encoding):
                    value = {text: [text, 1, None, {"a": (text,)}]}

                    stored = json.loads(json.dumps(escape_json(value, encoding)))

                    json.dumps(stored, ensure_ascii=False).encode(encoding)
                    expected = {text: [text, 1, None, {"a": [text]}]}
                    assert unescape_json(stored) == expected

    def test_refusals(self):
        wrong = OperationalError(1366, "Incorrect string value")

        assert is_refusal(wrong)
        assert is_refusal(DataError("No such character."))
        assert is_refusal(UnicodeEncodeError("latin-1", "x", 0, 1, "no"))
        assert not is_refusal(OperationalError(1205, "Lock wait timeout exceeded"))
        assert not is_refusal(OperationalError())


@override_settings(BUTTON_ORDERS=button_settings(BATCH_SIZE=10, CONCURRENCY=1))
class OldDatabaseTests(OldDatabaseTestCase):
    """Nothing that somebody says keeps an order from being reported and recorded."""

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        self.addCleanup(setattr, ShopOrderAdapter, "words", "")
        self.addCleanup(ShopOrderAdapter.built.clear)
        ShopOrderAdapter.words = GIFT

    def report(self):
        report_due(using=OLD)

    def states(self):
        return dict(ButtonOrder.objects.values_list("order_id", "status"))

    def is_told(self, text):
        return GIFT in text or ESCAPED in text

    def test_error_of_the_shop(self):
        def check():
            add_answer("POST")
            Order.objects.create(number="bad", trouble="build")
            for number in range(3):
                Order.objects.create(number=f"good-{number}")

            self.report()

            good = {f"good-{number}": "reported" for number in range(3)}
            assert self.states() == {"bad": "failed", **good}
            assert self.is_told(ButtonOrder.objects.get(order_id="bad").last_error)

        self.each(check)

    def test_error_during_the_save(self):
        def check():
            Order.objects.create(number="42", trouble="get_order_id")

            row = ButtonOrder.objects.get()
            assert row.status == "failed"
            assert self.is_told(row.last_error)

        self.each(check)

    def test_answers(self):
        def check():
            responses.reset()
            body = {"meta": {"status": "ok"}, "object": {"button_order_id": GIFT}}
            for number in range(3):
                Order.objects.create(number=f"{number}")
            for answer in ({"json": body}, {"status": 400, "body": GIFT}, {}):
                add_answer("POST", **answer)

            self.report()

            rows = ButtonOrder.objects.order_by("order_id")
            assert [row.status for row in rows] == ["reported", "failed", "reported"]
            assert self.is_told(rows[0].button_order_id)
            assert self.is_told(rows[1].last_error)
            sent = Submission.objects.order_by("button_order__order_id")
            assert self.is_told(sent[1].response_body)
            assert self.is_told(sent[1].error)

        self.each(check)

    def test_report(self):
        """Button gets the characters. The row has them in its JSON."""
        lines = [LineItem(identifier="a\\", total=1, description=f"é\u2615{GIFT}")]
        good = {"total": 1, "currency": "USD", "purchase_date": PURCHASED}

        def check():
            responses.reset()
            responses.calls.reset()
            add_answer("POST")
            for number in ("1", "2"):
                Order.objects.create(number=number)
                built = OrderReport(
                    order_id=number, line_items=lines, customer_order_id=GIFT, **good
                )
                ShopOrderAdapter.built.insert(0, built)

            self.report()

            assert self.states() == {"1": "reported", "2": "reported"}
            for call in responses.calls:
                sent = json.loads(call.request.body)
                assert sent["line_items"] == [lines[0].as_dict()]
                assert sent["customer_order_id"] == GIFT
            for row in ButtonOrder.objects.all():
                if connection.vendor != "sqlite":
                    assert row.line_items == [lines[0].as_dict()]
                assert self.is_told(row.customer_order_id)
            assert Submission.objects.exclude(request_body="").count() == 2

        self.each(check)

    def test_id_of_an_order(self):
        def check():
            with suppress_reporting():
                order = Order.objects.create(number="42")
            # The shop's own database may store what this one does not.
            order.number = f"42{GIFT}"
            mark_changed(order)
            Order.objects.all()._raw_delete(OLD)
            self.report()

            row = ButtonOrder.objects.get()
            assert row.status == "failed"
            assert self.is_told(row.order_id)

        self.each(check)

    def test_direct_row(self):
        """It is reported as it is, or refused when it is saved."""

        def check():
            responses.reset()
            responses.calls.reset()
            add_answer("POST")
            lines = [{"identifier": "a", "total": 1, "description": f"é\u2615{GIFT}"}]
            create_row(using=OLD, line_items=lines)
            refused = []
            try:
                create_row(using=OLD, order_id="2", customer_order_id=GIFT)
            except ValidationError as exc:
                refused = list(exc.message_dict)

            self.report()

            sent = [json.loads(call.request.body) for call in responses.calls]
            assert sent[0]["line_items"] == lines
            if refused:
                assert refused == ["customer_order_id"]
            else:
                assert sent[1]["customer_order_id"] == GIFT

        self.each(check, played=False)

    def test_notes(self):
        def check():
            self.client.force_login(create_user(name="root", is_superuser=True))
            row = create_row(using=OLD)
            ButtonOrder.objects.update(status="failed", next_attempt_at=None)
            url = reverse(
                "admin:django_button_orders_buttonorder_dismiss", args=[row.pk]
            )

            response = self.client.post(url, {"note": f"Done {GIFT}"})

            assert response.status_code == 302
            row.refresh_from_db()
            assert row.status == "dismissed"
            assert self.is_told(LogEntry.objects.get().change_message)
            assert self.is_told(row.last_error)

        self.each(check, played=False)

    def test_paused_account(self):
        def check():
            responses.reset()
            body = {"error": {"message": f"No key {GIFT}"}}
            add_answer("POST", status=401, json=body)
            Order.objects.create(number="42")

            self.report()

            assert self.states() == {"42": "pending"}
            assert PausedAccount.objects.get().account == "default"

        self.each(check)

    def test_other_tables(self):
        def check():
            checkpoint = Checkpoint.objects.begin("all")
            checkpoint.advance(errors=[GIFT], position=GIFT)
            Difference.objects.create(
                side="shop", kind="invalid", order_id="1", error=GIFT, values={GIFT: []}
            )

            checkpoint.refresh_from_db()
            difference = Difference.objects.get()
            assert (checkpoint.errors, difference.values) == ([GIFT], {GIFT: []})
            assert self.is_told(checkpoint.position)
            assert self.is_told(difference.error)

        self.each(check, played=False)

    def test_customer_to_erase(self):
        """A customer is found by the ID that the shop gave, whatever is stored."""
        ids = [f"jo {GIFT}", "jo \u00e9", r"jo \u00e9", "jo"]

        def check():
            for number, customer_id in enumerate(ids):
                order_id = f"{number}"
                create_row(using=OLD, order_id=order_id, customer={"id": customer_id})
            for number, customer_id in enumerate(ids):
                with self.subTest(customer_id=customer_id):
                    found = Person(customer_id=customer_id).find(OLD)

                    orders = ButtonOrder.objects.filter(pk__in=list(found))
                    assert [order.order_id for order in orders] == [f"{number}"]

        self.each(check, played=False)

    def test_search_and_filters(self):
        def check():
            self.client.force_login(create_user(name="root", is_superuser=True))
            create_row(using=OLD)
            known = escape(GIFT, connections[OLD])
            ButtonOrder.objects.update(button_order_id=known)
            for model in ("buttonorder", "pausedaccount", "difference"):
                url = reverse(f"admin:django_button_orders_{model}_changelist")
                for name in ("q", "account", "status__exact", "state", "kind__exact"):
                    with self.subTest(model=model, name=name):
                        response = self.client.get(url, {name: GIFT})

                        assert response.status_code in (200, 302, 400)

            url = reverse("admin:django_button_orders_buttonorder_changelist")
            response = self.client.get(url, {"q": GIFT})
            found = response.context["cl"].result_list
            assert [row.order_id for row in found] == ["1994"]

        self.each(check, played=False)
