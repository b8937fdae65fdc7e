from __future__ import annotations

from datetime import timedelta

from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.models.clock import from_now
from django_button_orders.monitoring.orders import (
    Amount,
    Closing,
    count_closing,
    count_late_returns,
    count_late_tokens,
    count_orders,
)
from tests.utils import PURCHASED, button_settings, create_row, seconds_from_now


def create(number, **values):
    """Create a row in a state that only the outbox sets."""
    outbox = {
        name: values.pop(name)
        for name in ("status", "reason", "next_attempt_at", "lease_expires_at")
        if name in values
    }
    row = create_row(order_id=f"{number}", **values)
    if outbox:
        ButtonOrder.objects.filter(pk=row.pk).update(**outbox)
    return row


@override_settings(BUTTON_ORDERS=button_settings())
class OrdersTests(TestCase):
    def test_none(self):
        orders = count_orders("default")

        assert set(orders.statuses.values()) == {0}
        assert set(orders.states.values()) == {0}
        assert orders.amounts("pending") == []

    def test_statuses(self):
        for number, status in enumerate(["failed", "reported", "reported", "pending"]):
            create(number, status=status)

        assert count_orders("default").statuses == {
            "pending": 1,
            "reported": 2,
            "cancelled": 0,
            "closed": 0,
            "failed": 1,
            "dismissed": 0,
        }

    def test_states(self):
        create(1)
        create(2, next_attempt_at=from_now(60))
        create(3, lease_expires_at=from_now(60))
        create(4, lease_expires_at=from_now(60), next_attempt_at=from_now(-7200))
        # This one is stuck, which is also due.
        create(5, lease_expires_at=from_now(-1))
        create(6, next_attempt_at=from_now(-601))
        create(7, next_attempt_at=from_now(-590))
        # These are not pending.
        create(8, status="failed", next_attempt_at=from_now(-7200))
        create(9, status="reported", next_attempt_at=None)

        states = count_orders("default").states

        assert states == {"due": 4, "waiting": 1, "in_flight": 2, "stuck": 2}
        for state, number in states.items():
            with self.subTest(state=state):
                assert getattr(ButtonOrder.objects, state)().count() == number

    def test_other_sites(self):
        for number, site in enumerate(["", "live", "staging", "live"]):
            row = create(number, next_attempt_at=from_now(-900))
            ButtonOrder.objects.filter(pk=row.pk).update(site=site)
        create(5, status="failed")
        ButtonOrder.objects.filter(status="failed").update(site="live")
        values = button_settings(SITE="staging")

        with override_settings(BUTTON_ORDERS=values):
            orders = count_orders("default")
            assert orders.other_sites == {"live": 2}
            assert orders.states["due"] == orders.states["stuck"] == 2
            assert orders.statuses["pending"] == 4
        assert count_orders("default").other_sites == {"live": 2, "staging": 1}

    def test_reasons(self):
        for number, reason in enumerate(["invalid", "refused", "refused"]):
            create(number, status="failed", reason=reason)
        create(9, reason="unavailable")

        orders = count_orders("default")

        assert list(orders.reasons("failed").items()) == [
            ("refused", 2),
            ("invalid", 1),
        ]
        assert orders.reasons("pending") == {"unavailable": 1}

    def test_late_tokens(self):
        for number, is_late in enumerate([True, False, True]):
            row = create(number)
            ButtonOrder.objects.filter(pk=row.pk).update(has_late_token=is_late)

        assert count_late_tokens("default") == 2

    def test_late_returns(self):
        """Returns alone: a raise that came too late is money of the other kind."""
        for number, (currency, amount) in enumerate(
            [("USD", 2500), ("USD", 100), ("JPY", 300), ("USD", -700), ("USD", None)]
        ):
            row = create(number, status="closed", currency=currency)
            ButtonOrder.objects.filter(pk=row.pk).update(late_amount=amount)
        retried = create("retried", status="pending")
        ButtonOrder.objects.filter(pk=retried.pk).update(late_amount=40)

        assert [
            (amount.currency, amount.total, amount.orders)
            for amount in count_late_returns("default")
        ] == [("JPY", 300, 1), ("USD", 2600, 2), (None, 0, 1)]

    def test_closed_orders_are_settled(self):
        create(1, status="closed", reason="finalized")

        orders = count_orders("default")

        assert orders.statuses["closed"] == 1
        assert orders.statuses["failed"] == 0
        assert orders.reasons("failed") == {}

    def test_closing(self):
        assert count_closing("default") == Closing()

        for number, ago in enumerate([timedelta(hours=3), timedelta(hours=5)]):
            row = create(number)
            ButtonOrder.objects.filter(pk=row.pk).update(finalizes_at=PURCHASED - ago)

        assert count_closing("default") == Closing(2, PURCHASED - timedelta(hours=5))

    @override_settings(USE_TZ=False)
    def test_closing_without_time_zones(self):
        row = create(1)
        ButtonOrder.objects.filter(pk=row.pk).update(finalizes_at=from_now(60))

        assert 0 < seconds_from_now(count_closing("default").first) <= 60

    def test_amounts(self):
        create(1, total=7000)
        create(2, total=50, reason="unavailable")
        create(3, total=300, currency="JPY")
        # No worker has built its report yet.
        create(4, total=None, currency=None)
        create(5, total=None, currency="")
        create(6, total=2147483647, currency="KWD", status="failed", reason="refused")
        create(7, total=2147483647, currency="KWD", status="failed", reason="refused")
        create(8, total=1, status="reported")

        orders = count_orders("default")

        assert [
            (amount.currency, amount.total, amount.orders)
            for amount in orders.amounts("pending")
        ] == [("JPY", 300, 1), ("USD", 7050, 2), (None, 0, 2)]
        assert orders.amounts("failed") == [
            Amount(status="failed", currency="KWD", total=4294967294, orders=2)
        ]

    def test_two_queries(self):
        create(1)

        with self.assertNumQueries(2):
            count_orders("default")
