"""A local Button in a shop's tests: with unittest, and while clocks stand still."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from django.conf import settings
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

from django_button_orders import doorbell
from django_button_orders.conf import get_settings
from django_button_orders.models import ButtonOrder, PausedAccount, Submission
from django_button_orders.testing import ButtonSandboxMixin, run_sandbox
from tests.frozen import frozen
from tests.shop.models import Order
from tests.utils import button_settings, create_row

# freezegun counts time.monotonic() from 1970: less than this machine has run, or more.
LONG_BEFORE = datetime(1970, 1, 1, tzinfo=timezone.utc)
LONG_AFTER = datetime(2090, 1, 1, tzinfo=timezone.utc)


class ReportTests(ButtonSandboxMixin, TestCase):
    databases = {"default", "archive"}

    def status(self):
        return ButtonOrder.objects.get().status

    def test_order_arrives(self):
        order = Order.objects.create(number="42", btn_ref="srctok-1")

        assert self.button_sandbox.report() == {"reported": 1}

        assert self.button_sandbox.orders["42"]["total"] == 7000
        assert self.status() == "reported"
        order.is_cancelled = True
        order.save()
        assert self.button_sandbox.report() == {"cancelled": 1}
        assert self.button_sandbox.orders["42"]["status"] == "deleted"

    def test_nothing_is_due(self):
        assert self.button_sandbox.report() == {}

    def test_recovers_without_a_wait(self):
        Order.objects.create(number="42", btn_ref="srctok-1")
        self.button_sandbox.misbehave(status=503, times=2)

        assert self.button_sandbox.report() == {"retry": 1}
        assert self.button_sandbox.report() == {"retry": 1}
        assert self.status() == "pending"
        assert self.button_sandbox.report() == {"reported": 1}

        assert self.status() == "reported"
        statuses = [request.status for request in self.button_sandbox.requests]
        assert statuses[0] == 503
        assert statuses[-1] == 200

    def test_button_asks_for_a_wait(self):
        Order.objects.create(number="42", btn_ref="srctok-1")
        self.button_sandbox.misbehave(status=429, headers={"Retry-After": "3600"})

        self.button_sandbox.report()
        self.button_sandbox.report()

        assert self.status() == "reported"

    def test_key_is_refused_for_a_while(self):
        Order.objects.create(number="42", btn_ref="srctok-1")
        self.button_sandbox.misbehave(status=401)

        assert self.button_sandbox.report() == {"pause": 1}
        assert PausedAccount.objects.exists()
        Order.objects.create(number="43", btn_ref="srctok-1")
        assert self.button_sandbox.report() == {"reported": 2}

        assert not PausedAccount.objects.exists()
        assert self.button_sandbox.orders.keys() == {"42", "43"}

    def test_each_database(self):
        create_row(order_id="1", using="archive")

        assert self.button_sandbox.report() == {"reported": 1}

    def test_failed_order_stays_failed(self):
        Order.objects.create(number="42", btn_ref="srctok-1")
        self.button_sandbox.misbehave(status=400)

        assert self.button_sandbox.report() == {"failed": 1}
        assert self.button_sandbox.report() == {}


class FrozenClockTests(ButtonSandboxMixin, TestCase):
    """freezegun also freezes the clock of deadlines, and time-machine does not."""

    databases = {"default", "archive"}

    def check_at(self, moment, **options):
        ButtonOrder.objects.all().delete()
        Order.objects.all().delete()
        self.button_sandbox.reset()
        self.button_sandbox.misbehave(status=503)
        with frozen(moment, **options):
            for number in ("42", "43"):
                Order.objects.create(number=number, btn_ref="srctok-1")
            self.button_sandbox.report()
            outcomes = self.button_sandbox.report()

        assert outcomes == {"reported": 1}
        assert self.button_sandbox.orders.keys() == {"42", "43"}
        started = Submission.objects.values_list("started_at", flat=True)
        assert set(started) == {moment}

    def check(self):
        for moment in (LONG_BEFORE, LONG_AFTER):
            for is_monotonic_frozen in (True, False):
                with self.subTest(
                    moment=moment, is_monotonic_frozen=is_monotonic_frozen
                ):
                    self.check_at(moment, is_monotonic_frozen=is_monotonic_frozen)

    def test_orders_are_reported(self):
        self.check()

    def test_rate_limit(self):
        """Turns to call come by the clock that nobody stops."""
        limited = {**settings.BUTTON_ORDERS, "RATE_LIMIT": 8.0}
        with override_settings(BUTTON_ORDERS=limited):
            self.check()

    def test_frozen_in_between(self):
        """A connection, and the watch over it, outlive the test that made them."""
        for moment in (LONG_AFTER, LONG_BEFORE):
            Order.objects.create(number=f"{moment.year}", btn_ref="srctok-1")
            assert self.button_sandbox.report() == {"reported": 1}
            with frozen(moment):
                Order.objects.create(number=f"{moment.year}a", btn_ref="srctok-1")
                assert self.button_sandbox.report() == {"reported": 1}

    def test_button_s_rules_go_by_the_frozen_clock(self):
        with frozen(LONG_AFTER):
            Order.objects.create(number="42", btn_ref="srctok-1")
            self.button_sandbox.report()

        [order] = self.button_sandbox.orders.values()
        finalized = datetime.fromisoformat(
            order["finalization_date"].replace("Z", "+00:00")
        )
        assert finalized - LONG_AFTER > timedelta(days=1)


class DoorbellTests(ButtonSandboxMixin, TransactionTestCase):
    databases = {"default", "archive"}

    def test_nothing_is_rung(self):
        Order.objects.create(number="42", btn_ref="srctok-1")

        assert all(bell.is_idle() for bell in doorbell._bells)
        assert ButtonOrder.objects.get().status == "pending"
        assert self.button_sandbox.report() == {"reported": 1}


@override_settings(BUTTON_ORDERS=button_settings(DEADLINE=9))
class ContextTests(SimpleTestCase):
    def test_settings_are_put_back(self):
        with run_sandbox() as sandbox:
            assert get_settings().base_url == sandbox.url
            assert get_settings().deadline == 9

        assert get_settings().base_url == "https://button.test"
        assert sandbox.server is None

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_orders_are_sent_although_the_project_s_tests_send_none(self):
        with run_sandbox():
            assert get_settings().enabled

        assert not get_settings().enabled
