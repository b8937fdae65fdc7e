from __future__ import annotations

import responses
from django.test import TransactionTestCase, override_settings

from django_button_orders import Customer
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import (
    ButtonOrder,
    Difference,
    Submission,
)
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.reconcile.run import compare
from tests.reconcile.utils import (
    ButtonTestCase,
    Waits,
    comparison_of,
)
from tests.shop.models import Order, OrderLine
from tests.utils import LONG_AGO, add_answer, button_settings, create_row, order_url


class AgreeingTests(ButtonTestCase):
    def test_all_that_the_sandbox_holds(self):
        order = Order.objects.create(number="1", email="ada@example.com")
        OrderLine.objects.create(order=order, sku="a.b", price="12.50", quantity=3)
        self.report(
            customer=Customer(id="u-77", is_new=True),
            customer_order_id="10042",
            partner_order_channel="app",
            line_items=[{"identifier": "x", "amount": 5, "category": ["Home"]}],
        )

        assert self.compare() == {"agree": 2}

    def test_decimals(self):
        """The sandbox returns minor units. Button may return either."""
        self.settings(TOTAL_AS_DECIMAL=True)
        self.report()

        assert self.compare() == {"agree": 1}
        self.tell(total=70.0)
        assert self.compare() == {"agree": 1}
        self.tell(total=71.0)
        assert self.compare() == {"different": 1}

    def test_cancelled(self):
        self.report(2)
        for row in ButtonOrder.objects.all():
            row.cancel()
        self.report_due()
        # Button does not publish whether it shows cancelled orders.
        self.forget("1")

        assert self.compare() == {"agree": 2}

    def test_cancelled_before_it_was_sent(self):
        create_row().cancel()
        self.report_due()

        assert self.compare() == {}
        assert self.asked() == []

    def test_finalized(self):
        self.report()
        self.sandbox.finalize("0")

        assert self.compare() == {"agree": 1}

    def test_pending_and_failed_rows_are_not_asked_about(self):
        self.report(2)
        ButtonOrder.objects.filter(order_id="0").update(status="failed")
        ButtonOrder.objects.get(order_id="1").retry()
        ButtonOrder.objects.filter(order_id="1").mark_changed()

        assert self.compare() == {}


class DifferingTests(ButtonTestCase):
    def test_values(self):
        self.report(line_items=[{"identifier": "x", "total": 7000}])
        self.tell(total=1, line_items=[], currency="EUR")

        assert self.compare(fixes=True) == {"different": 1, "fixed": 1}
        assert Difference.objects.get().values == {
            "currency": ["USD", "EUR"],
            "line_items": [1, 0],
            "line_items.x": ["a line", None],
            "total": [7000, 1],
        }
        self.report_due()
        assert self.sandbox.orders["0"]["total"] == 7000
        assert self.compare() == {"agree": 1}

    def test_customer_is_not_shown(self):
        self.report(customer=Customer(id="u-77"))
        self.tell(customer={"id": "u-78"})

        self.compare()

        values = Difference.objects.get().values
        assert list(values) == ["customer.id"]
        assert "u-7" not in str(values)

    def test_token_that_came_too_late(self):
        self.report(btn_ref="")
        row = ButtonOrder.objects.get()
        row.btn_ref = "srctok-2"
        row.save()
        assert row.status == "reported"

        assert self.compare(fixes=True) == {"token": 1, "fixed": 0}

        difference = Difference.objects.get()
        assert "no later report can add or change it" in difference.error
        assert "srctok" not in str(difference.values)
        assert difference.values["btn_ref"][1] is None
        assert not ButtonOrder.objects.due().exists()

    def test_token_that_button_does_not_show(self):
        """Then the one counts that it was told of, if that is known."""
        self.report(btn_ref="")
        with self.sandbox.lock:
            self.sandbox.store.orders["0"].pop("btn_ref", None)
        ButtonOrder.objects.update(btn_ref="srctok-2")

        assert self.compare() == {"token": 1}
        ButtonOrder.objects.update(reported_btn_ref=None)
        assert self.compare() == {"agree": 1}

    def test_token_that_is_none(self):
        self.report(btn_ref="srctok-1")
        self.tell(btn_ref=7)

        assert self.compare() == {"agree": 1}

    def test_token_that_only_button_has(self):
        self.report()
        ButtonOrder.objects.update(btn_ref="")

        assert self.compare() == {"agree": 1}

    def test_customer_that_came_too_late(self):
        """Button keeps the customer that it had, which is no failure."""
        self.report(customer=Customer(id="u-77"))
        self.tell(customer={"id": "u-78"})
        self.sandbox.finalize("0")

        assert self.compare(fixes=True) == {"different": 1, "fixed": 1}
        self.report_due()

        assert ButtonOrder.objects.get().status == "reported"
        assert self.compare() == {"agree": 1}
        self.tell(total=1)
        assert self.compare() == {"different": 1}

    def test_unknown_there(self):
        self.report()
        self.forget()

        assert self.compare(fixes=True) == {"unknown": 1, "fixed": 1}
        self.report_due()
        assert self.sandbox.orders["0"]["total"] == 7000
        assert self.compare() == {"agree": 1}

    def test_proxy_that_does_not_know_the_address(self):
        """Otherwise all orders would be sent again."""
        self.report()
        url = order_url("0").replace("https://button.test", self.sandbox.url)
        for text, kind in (("<html>", "text/html"), ("not found", "text/plain")):
            with self.subTest(kind=kind):
                with responses.RequestsMock() as proxy:
                    proxy.add("GET", url, status=404, body=text, content_type=kind)

                    assert self.compare(fixes=True) == {"fixed": 0}

                assert self.ended.startswith("Button does not answer.")
                assert not ButtonOrder.objects.pending().exists()

    def test_active_there(self):
        self.report()
        ButtonOrder.objects.get().cancel()
        self.report_due()
        self.tell(status="open")

        assert self.compare(fixes=True) == {"active": 1, "fixed": 1}
        assert Difference.objects.get().values == {"status": ["cancelled", "open"]}
        self.report_due()
        assert self.sandbox.orders["0"]["status"] == "deleted"
        assert ButtonOrder.objects.get().status == "cancelled"

    def test_deleted_there(self):
        """A cancellation is final, so the row fails without another call."""
        self.report()
        self.tell(status="deleted")

        assert self.compare(fixes=True) == {"deleted": 1, "fixed": 1}
        requests = len(self.sandbox.requests)
        self.report_due()
        row = ButtonOrder.objects.get()
        assert (row.status, row.reason) == ("failed", "finalized")
        assert len(self.sandbox.requests) == requests
        assert self.compare() == {}

    def test_too_late(self):
        self.report()
        self.tell(total=1)
        self.sandbox.finalize("0")

        self.compare(fixes=True)

        self.report_due()
        row = ButtonOrder.objects.get()
        assert (row.status, row.reason) == ("closed", "finalized")
        assert (row.reported_total, row.late_amount) == (1, 1 - row.total)
        assert self.compare() == {}

    def test_reported_just_now(self):
        """Button may have accepted a report that it does not show yet."""
        self.report()
        self.forget()
        ButtonOrder.objects.update(reported_at=DatabaseNow())

        assert self.compare(fixes=True) == {"waiting": 1, "fixed": 0}

    def test_answers_that_show_nothing(self):
        self.report()
        for answer in (
            {"body": "accepted", "content_type": "text/plain"},
            {"body": '{"meta": {"status": "ok"}, "object": null}'},
            {"body": '{"meta": {"status": "ok"}, "object": [1]}'},
        ):
            with self.subTest(answer=answer):
                self.sandbox.misbehave(status=200, **answer)

                assert self.compare() == {"not_compared": 1}

    def test_row_that_was_deleted_meanwhile(self):
        self.report(2)
        comparison = comparison_of(wait=self.waits)
        page = comparison.keyset.page("", 10)
        ButtonOrder.objects.filter(order_id="1").delete()

        found = comparison.compare(page)

        assert found.done == 2
        assert Submission.objects.filter(operation="retrieve").count() == 1

    def test_row_that_is_no_order(self):
        self.report()
        ButtonOrder.objects.update(currency="???")

        assert self.compare() == {"not_compared": 1}
        assert self.asked() == []


@override_settings(BUTTON_ORDERS=button_settings())
class RaceTests(TransactionTestCase):
    """The shop saves orders while Button is asked."""

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def test_change_while_button_is_asked(self):
        add_answer("POST")
        create_row()
        report_due(using="default")
        ButtonOrder.objects.update(reported_at=LONG_AGO)
        waits = Waits(lambda: ButtonOrder.objects.all().mark_changed())
        add_answer("GET", order_url(), status=503, json={})
        body = {"meta": {"status": "ok"}, "object": {"total": 1}}
        add_answer("GET", order_url(), json=body)

        (step,) = compare(comparison_of(wait=waits), fixes=True)

        assert +step.result.counts == {"waiting": 1}
        assert ButtonOrder.objects.get().revision == 2
        assert not Difference.objects.exists()
