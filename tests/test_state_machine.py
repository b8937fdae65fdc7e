"""
Run random sequences of saves, crashes, answers and an operator's actions.

Hypothesis drives the real code, step by step, against a model of Button. After each
step, the invariants check the state of every row. Time is the database's, so time
passes by moving all stored moments into the past.

``HYPOTHESIS_EXAMPLES=5000`` tries more sequences, at random, and shortens one that
fails.
"""

from __future__ import annotations

import os
from datetime import timedelta
from decimal import Decimal

import responses
from django.db.models import F
from django.test import TestCase, override_settings
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_button_orders.delivery.call import perform
from django_button_orders.delivery.claims import Claims, enabled_rows
from django_button_orders.delivery.prepare import prepare
from django_button_orders.delivery.record import record_all
from django_button_orders.delivery.sweep import report_due
from django_button_orders.delivery.verdicts import SUCCESSES, Result
from django_button_orders.models import ButtonOrder, PausedAccount
from tests.button_model import MOODS, Button
from tests.shop.models import Order
from tests.utils import LONG_AGO, PURCHASED, button_settings, create_row

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "0"))
SCHEDULE = (5, 30)
LEASE_SECONDS = 120
HOST_ORDERS = ("host-1", "host-2")
ORDERS = ("direct-1", "direct-2", "direct-3", "direct-4", *HOST_ORDERS)
WORKERS = ("A", "B")
FAILURES = {"invalid", "refused", "finalized", "taken", "exhausted"}
REASONS = {
    "pending": {"", "unavailable", "unauthorized"},
    "reported": {""},
    "cancelled": {""},
    "closed": {"finalized"},
    "failed": FAILURES,
    # An operator dismisses a failed row, which keeps its reason. A worker dismisses one
    # that has nothing to report.
    "dismissed": {"", *FAILURES},
}

orders = st.sampled_from(ORDERS)
workers = st.sampled_from(WORKERS)
moods = st.lists(st.sampled_from(sorted(MOODS)), max_size=3)


class ShopMachine(RuleBasedStateMachine):
    """The steps that Hypothesis may combine, and the invariants."""

    @initialize()
    def start(self):
        ButtonOrder.objects.all().delete()
        Order.objects.all().delete()
        PausedAccount.objects.all().delete()
        responses.reset()
        self.button = Button()
        # The clock of the workers, in place of time.monotonic().
        self.now = 1000.0
        self.saves = 0
        self.totals = {}
        self.cancelled = set()
        # The next step of each worker, and the attempts that it works on.
        self.attempts = {}
        for order_id in ORDERS:
            self.save(order_id)

    # The shop

    def next_total(self):
        """Return a total above all others, so that a lower one is an older state."""
        self.saves += 1
        return 100 * self.saves

    @rule(order_id=orders)
    def save(self, order_id):
        if order_id in self.cancelled:
            return
        # A save without a change may happen at any time, and must not matter.
        if order_id in self.totals:
            self.write(order_id, self.totals[order_id])
        before = self.revision_of(order_id)
        self.write(order_id, self.next_total())
        assert self.revision_of(order_id) > before

    def revision_of(self, order_id):
        rows = ButtonOrder.objects.filter(order_id=order_id)
        return rows.values_list("revision", flat=True).first() or 0

    def write(self, order_id, total):
        if order_id in HOST_ORDERS:
            host, _ = Order.objects.get_or_create(
                number=order_id, defaults={"placed_at": PURCHASED, "total": 0}
            )
            host.total = Decimal(total) / 100
            host.save()
        elif order_id in self.totals:
            row = ButtonOrder.objects.get(order_id=order_id)
            row.total = total
            row.save()
        else:
            create_row(order_id=order_id, total=total)
        self.totals[order_id] = total

    # A cancelled order takes no more steps, so orders are seldom cancelled.
    @rule(order_id=orders, seldom=st.sampled_from([True, False, False]))
    def cancel(self, order_id, seldom):
        if not seldom:
            return
        self.cancelled.add(order_id)
        if order_id in HOST_ORDERS:
            host = Order.objects.get(number=order_id)
            host.is_cancelled = True
            host.save()
        else:
            ButtonOrder.objects.get(order_id=order_id).cancel()

    @rule(order_id=orders, seldom=st.sampled_from([True, False, False]))
    def another_shop_reports(self, order_id, seldom):
        """Another shop with the same key reports an order under the same id."""
        if seldom:
            self.button.report_from_another_shop(order_id)

    @rule(
        order_id=orders,
        seldom=st.sampled_from([True, False, False]),
        known=st.booleans(),
    )
    def window_ends(self, order_id, seldom, known):
        """Button accepts no more changes of an order, and may have said so before."""
        if not seldom:
            return
        self.button.finalize(order_id)
        if known and self.button.is_finalized(order_id):
            ButtonOrder.objects.filter(order_id=order_id).update(finalizes_at=LONG_AGO)

    # The workers, one step at a time, so that other rules can run in between

    @rule(
        worker=workers,
        limit=st.integers(1, 3),
        steps=st.integers(0, 3),
        wait=st.sampled_from([0, 0, 7, 40, 125, 301]),
        moods=moods,
    )
    def claim(self, worker, limit, steps, wait=0, moods=()):
        if worker in self.attempts:
            return
        self.pass_time(wait)
        self.button.moods = list(moods)
        before = dict(ButtonOrder.objects.values_list("pk", "attempts"))
        claimed = Claims(enabled_rows("default")).claim(limit)
        for attempt in claimed:
            attempt.lease_ends = self.now + LEASE_SECONDS
            assert attempt.row.attempts == before[attempt.row.pk] + 1
            assert attempt.row.pk not in self.leased()
        if claimed:
            self.attempts[worker] = (make_ready, claimed)
            self.advance(worker, steps)

    def advance(self, worker, steps):
        """Let a worker make up to ``steps`` steps: prepare, call, record."""
        for _ in range(steps):
            if worker in self.attempts:
                step, attempts = self.attempts.pop(worker)
                following = step(attempts, lambda: self.now)
                if following:
                    self.attempts[worker] = (following, attempts)

    def leased(self):
        """Return the rows whose lease has not expired by the workers' clock."""
        return [
            attempt.row.pk
            for _, attempts in self.attempts.values()
            for attempt in attempts
            if attempt.lease_ends > self.now
        ]

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), steps=st.integers(1, 3))
    def work_on(self, data, steps):
        worker = data.draw(st.sampled_from(sorted(self.attempts)))
        self.advance(worker, steps)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), steps=st.integers(1, 3))
    def save_in_flight(self, data, steps):
        worker = data.draw(st.sampled_from(sorted(self.attempts)))
        _, attempts = self.attempts[worker]
        self.save(attempts[0].row.order_id)
        self.advance(worker, steps)

    @precondition(lambda self: self.attempts)
    @rule(
        data=st.data(),
        steps=st.integers(0, 3),
        others=st.integers(1, 3),
        is_changed=st.booleans(),
    )
    def freeze_and_wake(self, data, steps, others, is_changed):
        """Stop a worker until its leases expire, let another claim, and go on."""
        worker = data.draw(st.sampled_from(sorted(self.attempts)))
        frozen = self.attempts.pop(worker)
        self.pass_time(LEASE_SECONDS + 1)
        if is_changed:
            self.save(frozen[1][0].row.order_id)
        self.claim(worker="the other", limit=3, steps=others)
        self.attempts.setdefault(worker, frozen)
        self.advance(worker, steps)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data())
    def crash(self, data):
        del self.attempts[data.draw(st.sampled_from(sorted(self.attempts)))]

    @rule(moods=moods)
    def sweep(self, moods):
        self.button.moods = list(moods)
        report_due(using="default")

    # Time

    def pass_time(self, seconds):
        self.now += seconds
        gone = timedelta(seconds=seconds)
        ButtonOrder.objects.update(
            next_attempt_at=F("next_attempt_at") - gone,
            lease_expires_at=F("lease_expires_at") - gone,
        )
        PausedAccount.objects.update(probe_at=F("probe_at") - gone)

    # The operator

    @rule(order_id=orders, is_retry=st.booleans())
    def press_a_button(self, order_id, is_retry):
        rows = ButtonOrder.objects.filter(order_id=order_id)
        if is_retry:
            rows.retry()
        else:
            rows.dismiss()

    # Invariants

    @invariant()
    def rows_make_sense(self):
        for row in ButtonOrder.objects.all():
            assert row.reason in REASONS[row.status], (row.status, row.reason)
            assert (row.next_attempt_at is None) == (row.status != "pending")
            assert (row.lease_token is None) == (row.lease_expires_at is None)
            assert (row.reported_revision or 0) <= row.revision
            self.check_settled(row)

    def check_settled(self, row):
        is_cancelled = row.order_id in self.cancelled
        if row.status == "reported":
            assert not is_cancelled
            assert row.reported_revision == row.revision
            assert self.button.counts(row.order_id)
            assert self.button.total(row.order_id) == self.totals[row.order_id]
            assert row.late_amount is None
        if row.status == "cancelled":
            assert is_cancelled
            is_of_another_shop = self.button.is_of_another_shop(row.order_id)
            assert is_of_another_shop or not self.button.counts(row.order_id)
        if row.status == "closed" and row.reported_total is not None:
            wanted = 0 if is_cancelled else self.totals[row.order_id]
            assert row.late_amount == row.reported_total - wanted

    @invariant()
    def button_was_asked_for_nothing_wrong(self):
        assert self.button.violations == []

    @invariant()
    def one_live_lease(self):
        leased = self.leased()
        assert len(leased) == len(set(leased))

    @invariant()
    def every_order_has_a_row(self):
        ids = set(ButtonOrder.objects.values_list("order_id", flat=True))
        assert ids == set(self.totals)

    def teardown(self):
        """End all faults, and check that every order then arrives at Button."""
        self.attempts = {}
        self.button.moods = []
        for _ in range(12):
            self.pass_time(400)
            ButtonOrder.objects.retry()
            report_due(using="default")
            self.rows_make_sense()
        for row in ButtonOrder.objects.all():
            is_cancelled = row.order_id in self.cancelled
            if self.button.is_finalized(row.order_id):
                is_same = self.button.total(row.order_id) == self.totals[row.order_id]
                is_late = is_cancelled or not is_same
                assert row.status == ("closed" if is_late else "reported")
                continue
            if self.button.is_of_another_shop(row.order_id) and not is_cancelled:
                assert (row.status, row.reason) == ("failed", "taken")
                continue
            assert row.status == ("cancelled" if is_cancelled else "reported")


def make_ready(attempts, clock):
    for attempt in attempts:
        prepare(attempt, clock=clock)
    return call


def call(attempts, clock):
    for attempt in attempts:
        perform(attempt, clock=clock)
        # A row that kills its workers must not be called about for ever.
        is_last = attempt.row.attempts > len(SCHEDULE) + 1
        assert not (is_last and attempt.calls)
    return write_down


def write_down(attempts, clock):
    def rows():
        found = ButtonOrder.objects.filter(pk__in=[item.row.pk for item in attempts])
        return {row["id"]: row for row in found.values()}

    before = rows()
    assert list(record_all(attempts)) == attempts
    for pk, after in rows().items():
        [attempt] = [item for item in attempts if item.row.pk == pk]
        outcome = attempt.verdict.result
        is_late = before[pk]["lease_token"] != attempt.row.lease_token
        if is_late and outcome not in SUCCESSES:
            # A success in the same batch may have resumed the account.
            assert after | {"next_attempt_at": None} == before[pk] | {
                "next_attempt_at": None
            }
        elif outcome in (Result.PAUSE, Result.RELEASE):
            assert after["attempts"] in (0, before[pk]["attempts"] - 1)


@override_settings(
    BUTTON_ORDERS=button_settings(
        RETRY_SCHEDULE=SCHEDULE, LEASE_SECONDS=LEASE_SECONDS, CONCURRENCY=1
    )
)
class StateMachineTests(TestCase):
    @responses.activate
    def test_any_sequence(self):
        run_state_machine_as_test(
            ShopMachine,
            settings=settings(
                max_examples=EXAMPLES or 40,
                stateful_step_count=50,
                deadline=None,
                derandomize=not EXAMPLES,
                database=None,
                phases=[Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
