from __future__ import annotations

import threading

import responses
from django.test import TestCase, override_settings

from django_button_orders.delivery.sweep import report_due
from django_button_orders.models import (
    ButtonOrder,
    Difference,
)
from django_button_orders.operations.throttle import Throttle
from django_button_orders.outbox.adapters import get_adapter
from django_button_orders.reconcile.questions import AccountTurns, Questions
from django_button_orders.reconcile.run import compare
from django_button_orders.reconcile.with_button import AcknowledgedRows
from django_button_orders.reconcile.with_shop import ReportedRows, ShopOrders
from django_button_orders.sandbox import Sandbox
from tests.shop.models import Order
from tests.utils import (
    LONG_AGO,
    add_answer,
    button_settings,
    create_row,
)


def kinds():
    """Return the kinds of the open differences by order ID."""
    return dict(
        Difference.objects.filter(fixed_at=None).values_list("order_id", "kind")
    )


@override_settings(BUTTON_ORDERS=button_settings())
class ShopTestCase(TestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        add_answer("POST")

    def compare(self, **options):
        """Compare all orders and rows, and return the counts."""
        counts = {}
        for comparison in self.comparisons():
            for step in compare(comparison, **options):
                for name, count in step.result.counts.items():
                    counts[name] = counts.get(name, 0) + count
        return counts

    def comparisons(self):
        orders = Order.objects.all()
        rows = ButtonOrder.objects.all()
        return [
            ShopOrders(adapter=get_adapter(Order), orders=orders, using="default"),
            ReportedRows(reported=rows, using="default"),
        ]

    def place(self, **values):
        """Create an order with its signal, and report it."""
        order = Order.objects.create(**{"number": "1994", **values})
        report_due(using="default")
        responses.calls.reset()
        return order

    def write(self, order, **values):
        """Change an order without a signal, as SQL does."""
        Order.objects.filter(pk=order.pk).update(**values)

    def row(self):
        return ButtonOrder.objects.get()

    def report(self):
        report_due(using="default")
        return self.row().status


class Waits:
    """Stands for sleep: records the seconds, and runs an action instead."""

    def __init__(self, *actions):
        self.seconds = []
        self.actions = list(actions)

    def __call__(self, seconds):
        self.seconds.append(seconds)
        if self.actions:
            self.actions.pop(0)()


def comparison_of(*, wait, is_stopped=lambda: False, tell=lambda text: None):
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
            tell=tell,
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
