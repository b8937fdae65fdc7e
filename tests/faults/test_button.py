"""A Button that is down, slow, or fails for some, and a key that is revoked."""

from __future__ import annotations

import signal
import time

import pytest

from django_button_orders.models import PausedAccount, Submission
from tests.faults.lab import ALIAS, POOL_SIZE
from tests.faults.processes import wait_for
from tests.faults.utils import CONCURRENCY, assert_agreement

pytestmark = pytest.mark.faults

ALWAYS = 10**9
FAR_AHEAD = 3600
WAYS = {
    "unavailable": {"status": 503},
    "limited": {"status": 429, "headers": {"Retry-After": "2"}},
    "applied-then-error": {"status": 500, "apply": True},
    "applied-then-dropped": {"drop": "after"},
    "dropped": {"drop": "before"},
    "hanging": {"delay": 8, "status": 504},
    "page-of-a-proxy": {
        "status": 200,
        "body": "<html>",
        "content_type": "text/html",
        "apply": False,
    },
}
FAILURES = {503, 429, 500, 504, None}


def statuses(lab):
    return [call["status"] for call in lab.button.requests()]


@pytest.mark.once_on("mariadb")
def test_down_for_a_while(setting, make_lab, state):
    """Button fails in each way, one after another."""
    lab = make_lab(setting)
    lab.open()
    lab.start_seller(300, pace=0.06)
    lab.wait_for_sales()
    for way in WAYS.values():
        lab.button.misbehave(times=ALWAYS, **way)
        wait_for("calls", lab.rows.in_flight().exists, 120)
        time.sleep(3)
        lab.button.behave()
        time.sleep(0.3)
    lab.wait_for_quiet()

    assert set(statuses(lab)) >= FAILURES
    assert_agreement(lab, state, ways=len(WAYS))


@pytest.mark.once_on("postgresql")
def test_fails_for_a_random_tenth(setting, make_lab, state):
    lab = make_lab(setting)
    lab.open()
    for way in WAYS.values():
        lab.button.misbehave(times=ALWAYS, chance=0.1 / len(WAYS), **way)
    lab.start_seller(400)
    lab.wait_for_sellers()
    time.sleep(5)
    lab.button.behave()
    lab.wait_for_quiet()

    failed = sum(status in FAILURES for status in statuses(lab))
    assert failed
    assert_agreement(lab, state, ways=len(WAYS), failed=failed)


@pytest.mark.once_on("postgresql")
def test_fails_half_of_the_time(setting, make_lab, state):
    """Button fails at random, and all orders arrive while it still does."""
    lab = make_lab(setting)
    lab.open()
    lab.button.misbehave(times=ALWAYS, chance=0.3, **WAYS["limited"])
    lab.button.misbehave(times=ALWAYS, chance=0.3, **WAYS["unavailable"])
    lab.start_seller(150)
    lab.wait_for_quiet()

    assert set(statuses(lab)) >= {429, 503}
    assert_agreement(lab, state)


@pytest.mark.once_on("mariadb")
def test_network_to_it(setting, make_lab, state):
    """The network refuses connections, swallows packets, and resets connections."""
    lab = make_lab(setting, gates=("button",))
    gate = lab.gates["button"]
    lab.open()
    lab.start_seller(250, pace=0.06)
    lab.wait_for_sales()
    unanswered = Submission.objects.using(ALIAS).filter(status_code__isnull=True)
    for hurt in (gate.shut, gate.swallow):
        before = unanswered.count()
        hurt()
        # Longer than a call may take.
        time.sleep(7)
        gate.open()
        assert lab.is_selling()
        wait_for("its record", lambda: unanswered.count() > before, 60)  # noqa: B023 - called here
    for _ in range(30):
        time.sleep(0.2)
        gate.cut()
    lab.wait_for_quiet()

    assert_agreement(lab, state, ways=3, unanswered=unanswered.count())


@pytest.mark.once_on("mariadb")
def test_freezes(setting, make_lab, state):
    """
    A frozen Button reads old requests after it thaws, when their calls have ended.

    So a worker may ask for an order before Button reads the create. The worker then
    sends a second create, which Button refuses. Orders are not changed here: Button
    decides which of two late updates it reads last, and the app promises nothing.
    """
    lab = make_lab(setting)
    lab.open()
    sandbox = lab.processes[0]
    lab.start_seller(300, pace=0.03, changes=False)
    lab.wait_for_sales()
    for _ in range(2):
        time.sleep(1)
        assert lab.is_selling()
        sandbox.send_all(signal.SIGSTOP)
        # Longer than a call may take.
        time.sleep(7)
        sandbox.send_all(signal.SIGCONT)
    lab.wait_for_quiet()

    in_flight = 2 * POOL_SIZE * CONCURRENCY
    assert_agreement(lab, state, freezes=2, second_creates=2 * in_flight)


@pytest.mark.once_on("postgresql")
def test_key_is_revoked_and_restored(setting, make_lab, state):
    """Button refuses the key in the middle of 600 orders; the account pauses."""
    lab = make_lab(setting)
    lab.open()
    lab.start_seller(600)
    lab.wait_for_reports(120)
    lab.button.misbehave(times=ALWAYS, status=401)
    paused = PausedAccount.objects.using(ALIAS)
    wait_for("the pause", paused.exists, 120)
    # Calls in flight end, and no new ones begin.
    lab.set_probe(FAR_AHEAD)
    lab.wait_for_silence()
    lab.set_probe(FAR_AHEAD)
    calls = lab.button.calls()
    lab.wait_for_sellers()
    assert lab.wait_for_silence() == calls
    assert lab.rows.pending().exists()
    # The probe is refused too: the pause goes on, and the attempt does not count.
    lab.set_probe(0)
    wait_for("the probe", lambda: lab.button.calls() > calls, 120)
    assert lab.wait_for_silence() == calls + 1
    assert paused.exists()
    assert not attempts_used_up(lab)
    lab.button.behave()
    lab.set_probe(0)
    lab.wait_for_quiet()

    assert not paused.exists()
    refused = statuses(lab).count(401)
    assert refused
    assert_agreement(lab, state, refused=refused)


def attempts_used_up(lab):
    """Return the orders that have lost an attempt to the refused key."""
    # An attempt with an unanswered call counts, for another reason than the key.
    unanswered = Submission.objects.using(ALIAS).filter(status_code__isnull=True)
    used = lab.rows.pending().filter(attempts__gt=0)
    others = used.exclude(pk__in=unanswered.values("button_order"))
    return list(others.values_list("order_id", "attempts", "reason", "last_error"))
