from __future__ import annotations

from datetime import datetime, timedelta, timezone

import responses
from django.test import TestCase, override_settings

from django_button_orders.delivery.claims import Claims, claim_one, enabled_rows
from django_button_orders.delivery.rate_limit import (
    AHEAD_SECONDS,
    Turns,
    reserve_turns,
    seconds_ahead,
    wait_until,
)
from django_button_orders.delivery.sweep import (
    SweepLimits,
    report,
    report_due,
    report_with_others,
)
from django_button_orders.models import ButtonOrder, CallRate, Submission
from django_button_orders.models.clock import from_now
from tests.utils import (
    LONG_AGO,
    OK,
    add_answer,
    button_settings,
    calls,
    create_row,
    order_url,
)

SLOW = button_settings(RATE_LIMIT=0.01)
TWO_ACCOUNTS = button_settings(
    ACCOUNTS={"eu": {"API_KEY": "sk-eu"}, "us": {"API_KEY": "sk-us", "RATE_LIMIT": 20}}
)


def set_clock(seconds: float, account: str = "default") -> None:
    """Let the next free turn be so many seconds from now."""
    CallRate.objects.update_or_create(
        account=account, defaults={"next_call_at": LONG_AGO}
    )
    clock = CallRate.objects.filter(account=account)
    clock.update(next_call_at=from_now(seconds))


def now() -> datetime:
    return datetime.now(timezone.utc)


def started() -> list[datetime]:
    moments = Submission.objects.order_by("started_at")
    return list(moments.values_list("started_at", flat=True))


class TurnTests(TestCase):
    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.1))
    def test_one_after_another(self):
        assert reserve_turns("default") == 0
        assert 9 < reserve_turns("default", 2) <= 10
        assert 29 < reserve_turns("default") <= 30
        assert 39 < seconds_ahead("default") <= 40

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.1))
    def test_idle_time_is_no_credit(self):
        set_clock(-3600)

        assert reserve_turns("default") == 0
        assert 9 < reserve_turns("default") <= 10

    @override_settings(
        BUTTON_ORDERS=button_settings(
            RATE_LIMIT=0.1, ACCOUNTS={"us": {"API_KEY": "sk-us"}}
        )
    )
    def test_accounts_have_clocks_of_their_own(self):
        reserve_turns("default")

        assert reserve_turns("us") == 0
        assert 9 < reserve_turns("us") <= 10

    @override_settings(BUTTON_ORDERS=button_settings())
    def test_without_a_limit(self):
        with self.assertNumQueries(0):
            assert reserve_turns("default", 1000) == 0
            assert Turns().room("default", 100) == 100
            assert Turns().reserve("default", 2) == [0.0, 0.0]

    @override_settings(BUTTON_ORDERS=button_settings())
    def test_account_that_is_gone(self):
        """Its rows say so; nothing is called for it."""
        assert Turns().room("gone", 7) == 7

    def test_waits_until_a_moment(self):
        slept = []

        wait_until(10.5, clock=lambda: 10.0, sleep=slept.append)
        wait_until(9.5, clock=lambda: 10.0, sleep=slept.append)

        assert slept == [0.5]


@override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=50))
class RoomTests(TestCase):
    """Nobody takes turns for longer than a second ahead."""

    def test_bounded_by_time_and_by_what_is_asked(self):
        assert Turns().room("default", 1000) == 50
        assert Turns().room("default", 7) == 7

    def test_less_when_some_are_taken(self):
        pace = Turns()
        pace.room("default", 1)
        set_clock(0.9)

        # 50 of them would be a whole second.
        assert 4 <= pace.room("default", 1000) < 50

    def test_none_when_all_are_taken(self):
        pace = Turns()
        pace.room("default", 1)
        set_clock(2)

        assert pace.room("default", 1000) == 0

    def test_one_that_comes_later_leaves_it_to_the_others(self):
        set_clock(0.5)

        assert Turns().room("default", 1) == 0
        assert Turns().room("default", 1, yields_to_others=False) == 1

    def test_one_that_comes_later_helps_when_turns_are_unused(self):
        set_clock(-0.5)

        assert Turns().room("default", 1000) == 50

    @override_settings(BUTTON_ORDERS=SLOW)
    def test_slow_accounts_get_their_turn(self):
        """Less than one of them is in a second."""
        assert Turns().room("default", 100) == 1

    @override_settings(BUTTON_ORDERS=SLOW)
    def test_calls_that_were_not_reckoned_with(self):
        pace = Turns()
        pace.add_calls("default", 3)
        pace.reserve("default", 1)

        assert 290 < seconds_ahead("default") <= 300

    @override_settings(BUTTON_ORDERS=SLOW)
    def test_calls_that_were_not_made(self):
        """Their turns are over."""
        pace = Turns()
        pace.add_calls("default", 0)
        pace.reserve("default", 1)

        assert 90 < seconds_ahead("default") <= 100


class SweepTests(TestCase):
    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)
        add_answer("POST")

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=20, BATCH_SIZE=3))
    def test_calls_are_spread(self):
        for number in range(9):
            create_row(order_id=f"{number}")

        began = now()

        assert report_due(using="default") == {"reported": 9}

        assert started()[-1] - began >= timedelta(seconds=8 / 20)
        assert len(calls()) == 9

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=20))
    def test_late_ones_keep_their_distance(self):
        """A process that was frozen must not call all at once what it has missed."""
        for number in range(9):
            create_row(order_id=f"{number}")
        attempts = Claims(enabled_rows("default")).claim(9)
        for attempt in attempts:
            attempt.not_before = 1.0
        began = now()

        report_due(using="default", first=attempts, rows=ButtonOrder.objects.none())

        assert started()[-1] - began >= timedelta(seconds=8 / 20)

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=10))
    def test_one_row(self):
        create_row()
        set_clock(0.3)
        before = CallRate.objects.get().next_call_at

        assert report(create_row(order_id="2").pk, using="default") is None

        assert len(calls()) == 1
        assert CallRate.objects.get().next_call_at > before
        # It has waited for the turn.
        assert seconds_ahead("default") <= 0.3

    @override_settings(BUTTON_ORDERS=TWO_ACCOUNTS)
    def test_others_do_not_wait(self):
        for number in range(12):
            create_row(order_id=f"{number}", account="us")
        for number in range(12):
            create_row(order_id=f"{number}", account="eu")

        report_due(using="default")

        moments = Submission.objects.order_by("started_at")
        accounts = list(moments.values_list("button_order__account", flat=True))
        # Twelve turns take more than half a second.
        assert accounts[-3:] == ["us"] * 3

    @override_settings(
        BUTTON_ORDERS=button_settings(RATE_LIMIT=20, CONCURRENCY=1, BATCH_SIZE=1)
    )
    def test_second_call_of_an_order_counts(self):
        responses.reset()
        add_answer("POST", status=409, json={})
        for number in range(6):
            shown = {"currency": "USD", "total": 7000}
            add_answer("GET", order_url(f"{number}"), json={**OK, "object": shown})
            create_row(order_id=f"{number}")
        began = now()

        assert report_due(using="default") == {"reported": 6}

        assert len(calls()) == 12
        # Some of the second calls; of the last ones nobody knew in time.
        assert started()[-1] - began >= timedelta(seconds=6 / 20)

    @override_settings(BUTTON_ORDERS=SLOW)
    def test_what_others_see_to(self):
        """A sweep of a worker does not wait for turns that others have taken."""
        create_row()
        set_clock(0.5)

        assert report_due(using="default", limits=SweepLimits(seconds=10)) == {}

        assert ButtonOrder.objects.due().count() == 1
        assert ButtonOrder.objects.get().attempts == 0

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=20))
    def test_who_sees_to_all_waits(self):
        """A command has nobody who goes on after it."""
        create_row()
        set_clock(0.3)

        assert report_due(using="default") == {"reported": 1}

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=20))
    def test_patience(self):
        create_row()
        set_clock(0.3)

        limits = SweepLimits(seconds=60, is_patient=True)
        assert report_due(using="default", limits=limits) == {"reported": 1}

    @override_settings(BUTTON_ORDERS=SLOW)
    def test_waiting_ends_with_the_process(self):
        asked = []
        create_row()
        set_clock(1000)

        def is_stopped():
            asked.append(True)
            return len(asked) > 5

        assert (
            report_due(using="default", limits=SweepLimits(is_stopped=is_stopped)) == {}
        )
        assert calls() == []

    @override_settings(BUTTON_ORDERS=SLOW)
    def test_another_goes_on_when_time_is_up(self):
        """As there are more rows, although fewer than in a batch were taken."""
        asked = []
        create_row(order_id="1")
        create_row(order_id="2")

        report_due(
            using="default",
            limits=SweepLimits(seconds=0.05, on_throttled=asked.append),
        )

        assert len(calls()) == 1
        # When the next turn is.
        assert 90 < asked[0] <= 100

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=100))
    def test_nobody_goes_on_when_all_is_done(self):
        asked = []
        create_row()

        report_due(using="default", limits=SweepLimits(on_throttled=asked.append))

        assert asked == []

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.5))
    def test_ring_out_of_turn(self):
        asked = []
        row = create_row()
        set_clock(5)

        report_with_others(
            row.pk,
            using="default",
            trigger="save",
            user_id=None,
            limits=SweepLimits(seconds=1, on_throttled=asked.append),
        )

        assert asked == [AHEAD_SECONDS]
        assert calls() == []
        assert ButtonOrder.objects.due().count() == 1

    @override_settings(BUTTON_ORDERS=button_settings(RATE_LIMIT=0.5))
    def test_ring_that_has_nothing_to_do(self):
        asked = []
        row = create_row(order_id="1")
        ButtonOrder.objects.filter(pk=row.pk).update(status="reported")
        set_clock(5)

        claim_one(
            row.pk,
            using="default",
            trigger="save",
            on_throttled=lambda: asked.append(True),
        )

        assert asked == []
