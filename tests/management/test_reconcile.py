from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import responses
from django.db import OperationalError, connection
from django.test import TestCase, override_settings

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import (
    ButtonOrder,
    Difference,
    PausedAccount,
    Submission,
)
from django_button_orders.outbox.adapters import register, registered, unregister
from tests.management.utils import call, has_checkpoints
from tests.shop.models import Order
from tests.utils import (
    LONG_AGO,
    NOT_FOUND,
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
)

FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)
ACCOUNTS = {"eu": {"API_KEY": "sk-eu"}}


@contextmanager
def registered_only(models):
    """Have no adapters but those of some models."""
    adapters = {adapter.model: type(adapter) for adapter in registered()}
    for model in adapters.keys() - set(models):
        unregister(model)
    try:
        yield
    finally:
        for model, adapter in adapters.items():
            register(model)(adapter)


class ReconcileTestCase(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        add_answer("POST")

    def reconcile(self, *arguments):
        return call("button_orders_reconcile", *arguments)

    def place(self, count, **values):
        """Place orders that are noticed, and report them."""
        for number in range(count):
            Order.objects.create(
                number=f"{number}", placed_at=FIRST + timedelta(days=number), **values
            )
        self.report()

    def report(self):
        report_due(using="default")
        # It was some time ago.
        ButtonOrder.objects.update(reported_at=LONG_AGO)
        responses.calls.reset()

    def due_ids(self):
        return sorted(ButtonOrder.objects.due().values_list("order_id", flat=True))


@override_settings(BUTTON_ORDERS=button_settings())
class ShopTests(ReconcileTestCase):
    def test_all_agree(self):
        self.place(3)

        assert self.reconcile("shop") == ("3 agree.\n", "", "")
        assert not Difference.objects.exists()
        assert not has_checkpoints()

    def test_nothing_to_compare(self):
        assert self.reconcile("shop") == ("Nothing to do.\n", "", "")

    def test_fix_that_is_a_failed_row(self):
        """It is on record now, and will not be reported before somebody acts."""
        Order.objects.bulk_create([Order(number="1", trouble="get_order_id")])

        with self.assertLogs("django_button_orders", "ERROR"):
            out, _, error = self.reconcile("shop", "--fix")

        assert "due now" not in out
        assert error == "1 order was recorded as failed and needs attention."
        assert self.reconcile("shop")[2] == ""

    def test_without_fix_nothing_changes(self):
        self.place(1)
        Order.objects.bulk_create([Order(number="new")])
        Order.objects.filter(number="0").update(total=65)
        before = ButtonOrder.objects.values().get()

        out, err, error = self.reconcile("shop")

        assert sorted(out.splitlines()) == [
            "0: Changed, not reported: total is 7000 here and 6500 in the shop",
            "1 missing, 1 changed.",
            "new: The order has no Button order.",
        ]
        assert (err, error) == ("", "2 differences are not fixed.")
        assert ButtonOrder.objects.values().get() == before
        assert calls() == []

    def test_token_that_came_too_late(self):
        """It says that nothing can be done about it, also with --fix."""
        self.place(1)
        Order.objects.update(btn_ref="srctok-2")
        self.reconcile("shop", "--fix")
        self.report()

        out, _, error = self.reconcile("shop", "--fix")

        assert out.startswith(
            "0: Reported without its current attribution token: btn_ref is "
        )
        assert "no later report can add or change it" in out
        assert "due now" not in out
        assert error == "1 difference is not fixed."

    def test_fix(self):
        add_answer("POST", order_url("0"))
        self.place(2)
        Order.objects.bulk_create([Order(number="new")])
        Order.objects.filter(number="0").update(total=65)

        out, _, error = self.reconcile("shop", "--fix")

        assert out.endswith("1 agrees, 1 missing, 1 changed, 2 fixed.\n")
        assert "new: The order has no Button order (due now).\n" in out
        assert error == ""
        assert self.due_ids() == ["0", "new"]
        report_due(using="default")
        assert sorted(calls()) == ["POST /v1/order", "POST /v1/order/0"]
        assert self.reconcile("shop") == ("3 agree.\n", "", "")

    def test_fixing_twice_is_fixing_once(self):
        Order.objects.bulk_create([Order(number="new")])
        self.reconcile("shop", "--fix")
        before = ButtonOrder.objects.values().get()

        assert self.reconcile("shop", "--fix") == ("1 waiting.\n", "", "")
        assert ButtonOrder.objects.values().get() == before

    def test_json(self):
        self.place(1)
        Order.objects.bulk_create([Order(number=number) for number in "ab"])
        Order.objects.filter(number="0").update(total=65)

        out, _, _ = self.reconcile("shop", "--format", "json", "--fix")

        found = json.loads(out)
        differences = {item["order_id"]: item for item in found.pop("differences")}
        assert differences.keys() == {"0", "a", "b"}
        assert differences["0"]["kind"] == "changed"
        assert differences["0"]["values"] == {"total": [7000, 6500]}
        assert differences["a"]["is_fixed"] is True
        assert (found["missing"], found["changed"], found["fixed"]) == (2, 1, 3)
        assert found["agree"] == found["not_compared"] == 0

    def test_json_without_differences(self):
        out, _, _ = self.reconcile("shop", "--format", "json")

        assert json.loads(out)["differences"] == []

    def test_since_until(self):
        Order.objects.bulk_create(
            Order(number=f"{day}", placed_at=FIRST + timedelta(days=day))
            for day in range(5)
        )

        self.reconcile(
            *("shop", "--since", "2026-01-02T00:00Z", "--until", "2026-01-04T00:00Z"),
            *("--fix", "--batch-size", "1"),
        )

        assert self.due_ids() == ["1", "2"]

    def test_orders_of_one_moment(self):
        Order.objects.bulk_create(
            Order(number=f"{number}", placed_at=FIRST) for number in range(7)
        )

        out, _, _ = self.reconcile(
            "shop", "--since", "2026-01-01T00:00Z", "--batch-size", "3", "--fix"
        )

        assert out.endswith("7 missing, 7 fixed.\n")
        assert len(self.due_ids()) == 7

    def test_order_id(self):
        self.place(2)
        Order.objects.update(total=65)

        out, _, _ = self.reconcile("shop", "--order-id", "1")

        assert out.endswith("1 changed.\n")

    def test_order_id_of_an_order_that_is_gone(self):
        """Another one may have it by now."""
        self.place(2)
        Order.objects.filter(number="1").delete()
        order = Order.objects.bulk_create([Order(number="1")])[0]

        self.reconcile("shop", "--order-id", "1", "--fix")

        assert ButtonOrder.objects.get(order_id="1").get_source() == order

    def test_order_id_without_a_row(self):
        self.place(1)
        Order.objects.bulk_create([Order(number="new"), Order(number="newer")])

        self.reconcile("shop", "--order-id", "0", "--order-id", "new", "--fix")

        assert self.due_ids() == ["new"]

    def test_unknown_order_id(self):
        _, _, error = self.reconcile("shop", "--order-id", "4711")

        assert error == "No order to compare has the ID: 4711."

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS=ACCOUNTS))
    def test_account(self):
        Order.objects.bulk_create(
            [Order(number="1"), Order(number="2", account="eu")],
        )

        self.reconcile("shop", "--account", "eu", "--fix")

        assert self.due_ids() == ["2"]

    def test_database(self):
        Order.objects.using("archive").bulk_create([Order(number="old")])

        out, _, _ = self.reconcile("shop", "--database", "archive", "--fix")

        assert out.endswith("1 missing, 1 fixed.\n")
        assert ButtonOrder.objects.using("archive").due().get().order_id == "old"
        assert Difference.objects.using("archive").get().kind == "missing"

    def test_direct_row(self):
        create_row(order_id="direct")
        self.report()
        ButtonOrder.objects.update(total=6500)

        for adapters, expected in (([Order], 1), ([], 1)):
            with self.subTest(adapters=adapters), registered_only(adapters):
                out, _, _ = self.reconcile("shop")

                assert out.endswith(f"{expected} changed.\n")

    def test_gone(self):
        self.place(3)
        Order.objects.filter(number="1")._raw_delete("default")

        out, _, _ = self.reconcile("shop", "--fix")

        assert "1: The shop's order is gone (due now): " in out
        assert out.endswith("2 agree, 1 gone, 1 fixed.\n")
        report_due(using="default")
        assert ButtonOrder.objects.get(order_id="1").status == "dismissed"
        assert calls() == []

    def test_mistakes(self):
        for arguments, complaint in (
            (["--model", "shop.Page"], "'shop.Page' is not a registered model."),
            (["--account", "fr"], "BUTTON_ORDERS['ACCOUNTS'] has no account 'fr'."),
            (["--database", "x"], "DATABASES has no 'x'."),
            (
                ["--since", "2026-01-02", "--until", "2026-01-02"],
                "--since must be before --until.",
            ),
            (["--rate", "0"], "'0' is not a number above 0"),
        ):
            with self.subTest(arguments=arguments):
                _, _, error = self.reconcile("shop", *arguments)

                assert complaint in error

    def test_comparison_has_to_be_named(self):
        _, _, error = self.reconcile()

        assert "side" in error

    def test_database_that_goes_away(self):
        Order.objects.bulk_create([Order(number=f"{number}") for number in range(4)])

        def go_away(execute, sql, params, many, context):
            if "django_button_orders_buttonorder" in sql:
                raise OperationalError("It went away.")
            return execute(sql, params, many, context)

        with connection.execute_wrapper(go_away):
            out, _, error = self.reconcile("shop", "--format", "json")

        assert error.startswith("The database failed: ")
        assert json.loads(out)["differences"] == []


@override_settings(BUTTON_ORDERS=button_settings())
class ResumeTests(ReconcileTestCase):
    def setUp(self):
        super().setUp()
        Order.objects.bulk_create(
            Order(number=f"{number}", placed_at=FIRST) for number in range(10)
        )

    def test_limit_and_resume(self):
        first, _, _ = self.reconcile(
            "shop", "--limit", "4", "--batch-size", "3", "--fix"
        )
        assert first.endswith("4 missing, 4 fixed.\n")
        made = set(self.due_ids())

        # As if some of those had a difference again: they are not looked at.
        ButtonOrder.objects.all().delete()
        second, _, error = self.reconcile("shop", "--resume", "--fix")

        assert set(self.due_ids()) == {f"{number}" for number in range(10)} - made
        # The summary is that of the whole.
        assert second.endswith("10 missing, 10 fixed.\n")
        assert error == ""
        assert not has_checkpoints()

    def test_what_was_found_before_counts(self):
        self.reconcile("shop", "--limit", "4")
        self.reconcile("shop", "--limit", "4", "--resume")

        _, _, error = self.reconcile("shop", "--resume", "--fix")

        assert error == "8 differences are not fixed."

    def test_without_resume_it_begins_again(self):
        self.reconcile("shop", "--limit", "4")

        out, _, _ = self.reconcile("shop", "--fix")

        assert out.endswith("10 missing, 10 fixed.\n")

    def test_other_orders_have_another_position(self):
        self.reconcile("shop", "--limit", "4")

        out, _, _ = self.reconcile("shop", "--resume", "--since", "2025-12-31", "--fix")

        assert out.endswith("10 missing, 10 fixed.\n")


@override_settings(BUTTON_ORDERS=button_settings())
class ButtonTests(ReconcileTestCase):
    def answer(self, order_id="0", **values):
        known = {"order_id": order_id, "total": 7000, "status": "open", **values}
        body = {"meta": {"status": "ok"}, "object": known}
        add_answer("GET", order_url(order_id), json=body)

    def test_all_agree(self):
        self.place(2)
        self.answer("0")
        self.answer("1")

        assert self.reconcile("button") == ("2 agree.\n", "", "")
        assert sorted(calls()) == ["GET /v1/order/0", "GET /v1/order/1"]

    def test_on_record(self):
        self.place(1)
        self.answer()

        self.reconcile("button")

        call = Submission.objects.get(operation="retrieve")
        assert (call.trigger, call.method, call.outcome) == (
            "reconcile",
            "GET",
            "succeeded",
        )
        assert '"total": 7000' in call.response_body

    def test_other_total(self):
        self.place(1)
        self.answer(total=6500)
        before = ButtonOrder.objects.values().get()

        out, _, error = self.reconcile("button")

        assert out == (
            "0: Button has other values: total is 7000 here and 6500 at Button\n"
            "1 different.\n"
        )
        assert error == "1 difference is not fixed."
        assert ButtonOrder.objects.values().get() == before

    def test_fix_sends_an_update(self):
        self.place(1)
        self.answer(total=6500)
        add_answer("POST", order_url("0"))

        out, _, error = self.reconcile("button", "--fix")

        assert out.endswith("1 different, 1 fixed.\n")
        assert error == ""
        report_due(using="default")
        assert calls() == ["GET /v1/order/0", "POST /v1/order/0"]
        assert ButtonOrder.objects.get().status == "reported"

    def test_unknown_there(self):
        self.place(1)
        add_answer("GET", order_url("0"), status=404, json=NOT_FOUND)
        add_answer("POST", order_url("0"), status=404, json=NOT_FOUND)

        out, _, _ = self.reconcile("button", "--fix")

        assert "0: Button does not know the order (due now).\n" in out
        report_due(using="default")
        assert calls() == ["GET /v1/order/0", "POST /v1/order/0", "POST /v1/order"]
        assert Submission.objects.get(operation="retrieve").outcome == "succeeded"

    def test_not_compared(self):
        self.place(1)
        add_answer("GET", order_url("0"), status=400, json=NOT_FOUND)

        out, err, error = self.reconcile("button")

        assert out == "1 not compared.\n"
        assert err == "0: Button answered 400 to retrieve: No such order.\n"
        assert error == "1 order was not compared."

    def test_nothing_was_compared(self):
        self.place(1)
        PausedAccount.objects.pause("default", seconds=60, error="401")

        out, _, error = self.reconcile("button")

        assert out == "Nothing was compared.\n"
        assert "The account is paused because Button refused its API key." in error

    def test_it_says_why_it_waits(self):
        self.place(1)
        add_answer("GET", order_url("0"), status=503, body="Down")
        self.answer("0")

        out, err, error = self.reconcile("button")

        assert (out, error) == ("1 agrees.\n", "")
        assert err == (
            "No answer yet: Button answered 503 to retrieve: Down. Retrying in 1 s.\n"
        )

    def test_refused_key(self):
        self.place(3)
        add_answer("GET", order_url("0"), status=401, json={"error": "Invalid api_key"})

        with override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1)):
            _, _, error = self.reconcile("button")

        assert calls() == ["GET /v1/order/0"]
        assert PausedAccount.objects.get().account == "default"
        assert error == (
            "account default in default: Button answered 401 to retrieve: Invalid "
            "api_key. Use --resume to continue."
        )
        # Until the key works again, nothing is asked.
        assert self.reconcile("button", "--resume")[2].startswith(
            "account default in default: The account is paused because Button "
            "refused its API key. Correct API_KEY, and resume the account."
        )
        assert len(calls()) == 1

    @override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS=ACCOUNTS))
    def test_other_accounts_go_on(self):
        self.place(1)
        row = create_row(order_id="eu-1", account="eu")
        self.report()
        add_answer("GET", order_url("0"), status=401, json={})
        self.answer("eu-1")

        out, _, error = self.reconcile("button")

        assert out == "1 agrees.\n"
        assert row.submissions.filter(operation="retrieve").count() == 1
        assert error.startswith("account default in default: ")

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_disabled(self):
        row = create_row()
        ButtonOrder.objects.filter(pk=row.pk).update(
            status="reported", reported_revision=1
        )

        _, _, error = self.reconcile("button")

        assert error.startswith("account default in default: ENABLED is False")
        assert calls() == []

    def test_account_that_is_gone_from_the_settings(self):
        row = create_row(account="gone")
        ButtonOrder.objects.filter(pk=row.pk).update(
            status="reported", reported_revision=1
        )

        _, _, error = self.reconcile("button")

        assert error.startswith(
            "account gone in default: BUTTON_ORDERS['ACCOUNTS'] has no account 'gone'."
        )

    def test_unknown_order_id(self):
        _, _, error = self.reconcile("button", "--order-id", "4711")

        assert error == "No order to compare has the ID: 4711."

    def test_since_until(self):
        self.place(3)
        self.answer("1")

        self.reconcile(
            *("button", "--since", "2026-01-02T00:00Z", "--until", "2026-01-03T00:00Z")
        )

        assert calls() == ["GET /v1/order/1"]

    def test_model(self):
        self.place(1)
        create_row(order_id="direct")
        self.report()
        self.answer("0")

        self.reconcile("button", "--model", "shop.Order")

        assert calls() == ["GET /v1/order/0"]

    def test_hostile_answer(self):
        self.place(1)
        self.answer(currency="\x1b[2J" + "X" * 500)

        out, _, _ = self.reconcile("button")

        assert "\x1b" not in out
        assert len(out) < 300
