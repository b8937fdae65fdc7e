from __future__ import annotations

import threading
from collections import deque

import responses
from django.test import TestCase, TransactionTestCase, override_settings

from django_button_orders import Customer
from django_button_orders.delivery.rate_limit import take_turns
from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import (
    ButtonOrder,
    Difference,
    PausedAccount,
    Submission,
)
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.operations.throttle import Throttle
from django_button_orders.reconcile.questions import AccountTurns, Questions
from django_button_orders.reconcile.run import compare
from django_button_orders.reconcile.with_button import AcknowledgedRows
from django_button_orders.sandbox import Sandbox
from tests.shop.models import Order, OrderLine
from tests.utils import LONG_AGO, add_answer, button_settings, create_row, order_url


class Waits:
    """Stands for sleep: records the seconds, and runs an action instead."""

    def __init__(self, *actions):
        self.seconds = []
        self.actions = list(actions)

    def __call__(self, seconds):
        self.seconds.append(seconds)
        if self.actions:
            self.actions.pop(0)()


def comparison_of(*, wait, is_stopped=lambda: False):
    return AcknowledgedRows(
        account="default",
        rows=ButtonOrder.objects.all(),
        using="default",
        questions=Questions(
            concurrency=2,
            throttle=Throttle(None),
            turns=AccountTurns("default", wait=wait),
            is_stopped=is_stopped,
            wait=wait,
        ),
    )


class ButtonTestCase(TestCase):
    def setUp(self):
        self.sandbox = Sandbox(api_key="sk-tests")
        self.sandbox.start()
        self.addCleanup(self.sandbox.stop)
        self.settings(CONCURRENCY=2)
        self.waits = Waits()
        self.stopped = threading.Event()

    def settings(self, **values):
        settings = override_settings(
            BUTTON_ORDERS=button_settings(BASE_URL=self.sandbox.url, **values)
        )
        settings.enable()
        self.addCleanup(settings.disable)

    def report(self, count=1, **values):
        """Create rows and report them, as if some time ago."""
        for number in range(count):
            create_row(order_id=f"{number}", **values)
        self.report_due()

    def report_due(self):
        report_due(using="default")
        ButtonOrder.objects.update(reported_at=LONG_AGO)

    def tell(self, order_id="0", **values):
        """Change what Button knows, as a call without a submission would."""
        with self.sandbox.lock:
            known = self.sandbox.store.orders[order_id]
            self.sandbox.store.orders[order_id] = {**known, **values}

    def forget(self, order_id="0"):
        with self.sandbox.lock:
            del self.sandbox.store.orders[order_id]

    def compare(self, **options):
        """Compare all pages, and return the counts."""
        comparison = comparison_of(wait=self.waits, is_stopped=self.stopped.is_set)
        counts, self.ended, self.position = {}, "", options.get("position", "")
        for step in compare(comparison, **options):
            for name, count in step.result.counts.items():
                counts[name] = counts.get(name, 0) + count
            self.ended, self.position = step.result.ended, step.position
        return counts

    def asked(self):
        return [item.order_id for item in self.sandbox.requests if item.method == "GET"]


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
        assert (row.status, row.reason) == ("failed", "finalized")
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

    def test_row_that_is_no_order(self):
        self.report()
        ButtonOrder.objects.update(currency="???")

        assert self.compare() == {"not_compared": 1}
        assert self.asked() == []


class RateTests(ButtonTestCase):
    def test_shares_the_turns_of_its_account(self):
        self.report(count=3)
        self.settings(RATE_LIMIT=0.1)

        assert self.compare() == {"agree": 3}

        first, second = self.waits.seconds
        assert 9 < first <= 10
        assert 19 < second <= 20


class PatienceTests(ButtonTestCase):
    def test_one_that_fails_once(self):
        self.report(3)
        self.sandbox.misbehave(status=500, order_id="1")

        assert self.compare() == {"agree": 3}
        assert self.waits.seconds == [1.0]
        assert sorted(self.asked()) == ["0", "1", "1", "2"]
        outcomes = Submission.objects.filter(operation="retrieve", trigger="reconcile")
        assert sorted(outcomes.values_list("outcome", flat=True)) == [
            "succeeded",
            "succeeded",
            "succeeded",
            "will_retry",
        ]

    def test_one_that_always_fails(self):
        self.report(3)
        self.sandbox.misbehave(times=100, status=500, order_id="1")

        assert self.compare() == {"agree": 2, "not_compared": 1}
        assert self.ended == ""
        assert len(self.asked()) == 5

    def test_forbidden(self):
        """A 403 may concern this order alone, so it is not repeated."""
        self.report(2)
        self.sandbox.misbehave(times=100, status=403, order_id="1")

        assert self.compare() == {"agree": 1, "not_compared": 1}
        assert self.waits.seconds == []

    def test_retry_after(self):
        self.report(40)
        self.sandbox.misbehave(status=429, headers={"Retry-After": "77"})

        assert self.compare() == {"agree": 40}
        assert self.waits.seconds == [77.0]

    def test_nothing_is_sent_while_button_wants_to_be_left_alone(self):
        self.report(40)
        self.sandbox.misbehave(times=3, status=429, headers={"Retry-After": "77"})
        asked = []
        self.waits.actions = [lambda: asked.append(len(self.asked()))]

        self.compare()

        # Only the calls that were in flight were made.
        assert asked[0] <= 4

    def test_asked_to_come_another_day(self):
        self.report(3)
        self.sandbox.misbehave(times=3, status=429, headers={"Retry-After": "7200"})

        assert self.compare(batch_size=1) == {}
        assert self.ended == "Button asks to come again in 7200 seconds."
        assert self.waits.seconds == []

    def test_away_and_back(self):
        self.report(10)
        self.sandbox.stop()
        self.waits.actions = [lambda: None, self.sandbox.start]

        assert self.compare() == {"agree": 10}
        assert self.waits.seconds[:2] == [1.0, 5.0]

    def test_away_for_long(self):
        self.report(10)
        assert self.compare(batch_size=5, limit=5) == {"agree": 5}
        position = self.position
        self.sandbox.stop()

        assert self.compare(batch_size=5, position=position) == {}
        assert self.waits.seconds == [1.0, 5.0, 15.0, 30.0]
        assert self.ended.startswith("Button does not answer. The last error: Button ")
        assert self.position == position

        self.sandbox.start()
        assert self.compare(batch_size=5, position=position) == {"agree": 5}
        assert sorted(self.asked()) == sorted(f"{number}" for number in range(10))

    def test_interrupted(self):
        self.report(30)

        def stop_at(request):
            if request.method == "GET" and len(self.asked()) >= 9:
                self.stopped.set()

        self.sandbox.listener = stop_at
        counts = self.compare()
        done = counts["agree"]
        assert 9 <= done < 30
        self.stopped.clear()
        self.sandbox.listener = lambda request: None

        again = self.compare(position=self.position)

        assert done + again["agree"] >= 30
        assert set(self.asked()) == {f"{number}" for number in range(30)}

    def test_key_that_is_refused(self):
        self.report(20)
        self.sandbox.misbehave(times=20, status=401)

        assert self.compare() == {}
        assert "401" in self.ended
        assert self.position == ""
        assert PausedAccount.objects.get().account == "default"
        assert len(self.asked()) <= 4

    def test_row_that_was_deleted_meanwhile(self):
        self.report(2)
        comparison = comparison_of(wait=self.waits)
        page = comparison.keyset.page("", 10)
        ButtonOrder.objects.filter(order_id="1").delete()

        found = comparison.compare(page)

        assert found.done == 2
        assert Submission.objects.filter(operation="retrieve").count() == 1


class LimitTests(ButtonTestCase):
    def test_turns_are_those_of_all_processes(self):
        self.settings(RATE_LIMIT=2.0)
        self.report()
        # Another process has taken all turns of the next minute.
        take_turns("default", 120)

        assert self.compare() == {"agree": 1}
        (seconds,) = self.waits.seconds
        assert 55 < seconds <= 60 + 1

    def test_turns_that_have_passed_are_gone(self):
        self.settings(RATE_LIMIT=1000.0)
        turns = AccountTurns("default", wait=self.waits)
        turns.wait_for_turn()
        first = len(turns.moments)
        turns.moments = deque(moment - 3600 for moment in turns.moments)

        turns.wait_for_turn()

        assert len(turns.moments) == first

    def test_without_a_limit_the_database_is_not_asked(self):
        with self.assertNumQueries(0):
            AccountTurns("default", wait=self.waits).wait_for_turn()


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
