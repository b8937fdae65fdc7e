from __future__ import annotations

from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.monitoring.current import find_statistics
from django_button_orders.monitoring.limits import Limits
from tests.monitoring.utils import add_calls, sweep
from tests.utils import button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class LimitTests(TestCase):
    def setUp(self):
        self.row = create_row()

    def find_exceeded(self, **limits):
        return list(Limits(**limits).find_exceeded(find_statistics("default")))

    def put(self, **values):
        ButtonOrder.objects.filter(pk=self.row.pk).update(**values)

    def test_none(self):
        self.put(next_attempt_at=from_now(-9000))

        assert self.find_exceeded() == []

    def test_oldest_due(self):
        self.put(next_attempt_at=from_now(-905))

        [sentence] = self.find_exceeded(oldest_due=900)
        assert sentence.startswith("An order has been due for 90")
        assert self.find_exceeded(oldest_due=1000) == []

    def test_nothing_due(self):
        self.put(status="reported", next_attempt_at=None)

        assert self.find_exceeded(oldest_due=1) == []

    def test_sweep(self):
        assert self.find_exceeded(no_sweep=600) == ["No sweep has run yet."]

        sweep("default")
        assert self.find_exceeded(no_sweep=600) == []
        Snapshot.objects.update(swept_at=from_now(-605))
        [sentence] = self.find_exceeded(no_sweep=600)

        assert sentence.startswith("The last sweep was 60")

    def test_numbers_from_there_on(self):
        create_row(order_id="1995")
        assert self.find_exceeded(due=2) == ["Due orders: 2 (limit: 2)."]
        assert self.find_exceeded(due=3) == []
        assert self.find_exceeded(stuck=1) == []

        ButtonOrder.objects.update(next_attempt_at=from_now(-700))
        assert self.find_exceeded(stuck=2) == ["Stuck orders: 2 (limit: 2)."]

        ButtonOrder.objects.update(status="failed")
        assert self.find_exceeded(failed=2) == ["Failed orders: 2 (limit: 2)."]
        assert self.find_exceeded(failed=3, due=1, stuck=1) == []

    def test_closing_unsent(self):
        self.put(finalizes_at=from_now(7200))
        assert self.find_exceeded(closing_unsent=3600) == []

        assert self.find_exceeded(closing_unsent=10800) == [
            "Change windows that close with a change unsent: 1 "
            "(limit: within 10800 seconds)."
        ]
        self.put(status="closed")
        assert self.find_exceeded(closing_unsent=10800) == []

    def test_success(self):
        assert self.find_exceeded(success_below=100) == []

        add_calls(self.row, 10, 10, 10)
        assert self.find_exceeded(success_below=100) == []
        add_calls(self.row, 10, outcome="failed")

        assert self.find_exceeded(success_below=75) == []
        assert self.find_exceeded(success_below=75.1) == [
            "75.0 % of the calls of the last 24 hours succeeded (limit: 75.1 %)."
        ]

    def test_paused(self):
        PausedAccount.objects.pause("eu", seconds=60, error="401")

        assert self.find_exceeded() == []
        assert self.find_exceeded(paused=True) == ["Account eu is paused."]
