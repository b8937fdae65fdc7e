"""Workers that are killed, frozen, told to end, or have a wrong clock."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import transaction

from django_button_orders.models.clock import from_now
from tests.faults.lab import ALIAS, POOL_SIZE
from tests.faults.processes import wait_for
from tests.faults.test_button import ALWAYS
from tests.faults.utils import LEASE_LOST, assert_agreement

pytestmark = pytest.mark.faults

REPORTED = re.compile(r"Order \S+: (reported|cancelled)")


def test_killed_again_and_again(setting, make_lab, state):
    """12 kills over 1,200 orders, in the middle of requests."""
    lab = make_lab(setting)
    lab.open(workers=2)
    lab.start_seller(600)
    lab.start_seller(600)
    for kill in range(12):
        # The other worker goes on.
        lab.wait_for_reports(90 * kill)
        time.sleep(lab.rng.uniform(0, 0.3))
        lab.kill_worker(lab.workers[0])
        lab.start_worker(wait=False)
    assert lab.held
    lab.wait_for_quiet()

    assert_agreement(lab, state, kills=12, held=len(lab.held))


@pytest.mark.once_on("postgresql")
def test_killed_children(setting, make_lab, state):
    """Processes of a prefork pool are killed, as when memory runs out."""
    lab = make_lab(setting, pool="prefork")
    lab.open(workers=1)
    lab.start_seller(400)
    kills = 0
    for kill in range(15):
        lab.wait_for_reports(25 * kill)
        kills += kill_a_child(lab)
    assert kills
    assert lab.held
    lab.wait_for_quiet()

    assert_agreement(lab, state, kills=kills)


def kill_a_child(lab):
    """Kill a process of a worker's pool. Returns False if the pool has none now."""
    children = lab.rng.choice(lab.workers).children()
    if not children:
        return False
    with suppress(ProcessLookupError):
        os.kill(lab.rng.choice(children), signal.SIGKILL)
    lab.add_held()
    return True


@pytest.mark.once_on("mariadb")
def test_frozen_past_its_lease(setting, make_lab, state):
    """
    A worker freezes during calls, another one claims its rows, and it thaws.

    Its late answers are successes in one round, and failures in the other.
    """
    lab = make_lab(setting, DEADLINE=4, LEASE_SECONDS=10)
    lab.open(workers=1)
    for answer in ({}, {"status": 503}):
        lab.start_seller(60, pace=0.15)
        frozen = lab.workers.pop()
        lab.button.misbehave(times=ALWAYS, delay=1.5, **answer)
        tokens = freeze_in_a_call(lab, frozen)
        lab.button.behave()
        lab.start_worker()
        held = lab.rows.filter(lease_token__in=tokens)
        wait_for("the takeover", lambda: held.count() < len(tokens), 300)  # noqa: B023 - called here
        frozen.send_all(signal.SIGCONT)
        wait_for("the late", lambda: LEASE_LOST in frozen.output(), 120)  # noqa: B023 - called here
        frozen.stop()
    lab.wait_for_quiet()

    lost = lab.outputs().count(LEASE_LOST)
    assert_agreement(lab, state, freezes=2, leases_lost=lost)


def freeze_in_a_call(lab, worker):
    """Freeze the only worker, and return the tokens of its leases."""
    for _ in range(50):
        wait_for("calls", lab.rows.in_flight().exists, 120)
        time.sleep(0.5)
        worker.send_all(signal.SIGSTOP)
        # The list has a token for each row: the rows of a batch share theirs.
        tokens = list(lab.rows.in_flight().values_list("lease_token", flat=True))
        if tokens and not are_locked(lab.rows.pending()):
            return tokens
        # The worker was in a transaction, so nobody could claim the rows it locks.
        worker.send_all(signal.SIGCONT)
    raise AssertionError("It was never in the middle of a call.")


def are_locked(rows):
    with transaction.atomic(using=ALIAS):
        free = set(rows.select_for_update(skip_locked=True).values_list("pk"))
        return free != set(rows.values_list("pk"))


@pytest.mark.once_on("postgresql")
def test_told_to_end_during_a_batch(setting, make_lab, state):
    """A worker that is told to end leaves no row with a lease."""
    lab = make_lab(setting, LEASE_SECONDS=600, latency=1)
    lab.open(workers=0, beat=False)
    lab.start_seller(500)
    lab.wait_for_sellers()
    lab.start_beat()
    ends = []
    for _ in range(3):
        worker = start_and_wait_for_calls(lab)
        start = time.monotonic()
        assert worker.stop(signal.SIGTERM) == 0
        ends.append(round(time.monotonic() - start, 1))
        assert not lab.rows.in_flight().exists()
        assert_ended_early(lab)
    lab.start_worker()
    lab.wait_for_quiet()

    assert_agreement(lab, state, seconds_to_end=ends)


@pytest.mark.once_on("postgresql")
def test_time_limit_that_is_shorter_than_a_sweep(setting, make_lab, state):
    """A project sets one for its other tasks: no sweep of a backlog is killed."""
    lab = make_lab(setting, pool="prefork", CONCURRENCY=2, latency=0.2)
    lab.open(workers=0, beat=False)
    lab.start_seller(100, changes=False)
    lab.wait_for_sellers()
    lab.start_worker(FAULTS_TIME_LIMIT="2")
    lab.start_beat()
    lab.wait_for_quiet()

    # Each call of a worker that was killed would have no record.
    assert_agreement(lab, state)


@pytest.mark.once_on("mariadb")
def test_told_to_end_at_once(setting, make_lab, state):
    """A cold shutdown interrupts calls, and releases the rows without a call."""
    lab = make_lab(setting, latency=1)
    lab.open(workers=0, beat=False)
    lab.start_seller(500)
    lab.wait_for_sellers()
    lab.start_beat()
    for _ in range(3):
        worker = start_and_wait_for_calls(lab)
        worker.stop(signal.SIGQUIT)
        lab.add_held()
        # Each process or thread of the pool may leave one row.
        assert lab.rows.in_flight().count() <= POOL_SIZE
        assert_ended_early(lab)
    lab.start_worker()
    lab.wait_for_quiet()

    assert_agreement(lab, state)


def start_and_wait_for_calls(lab):
    worker = lab.start_worker()
    lab.workers.remove(worker)
    lab.wait_for_calls(20)
    return worker


def assert_ended_early(lab):
    """Assert that calls have ended although rows are pending."""
    lab.wait_for_silence(2)
    assert lab.rows.pending().exists()


@pytest.fixture(scope="session")
def skew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library that gives a process a wrong clock."""
    compiler = shutil.which("cc")
    assert compiler, "Install a C compiler: apt-get install gcc"
    library = tmp_path_factory.mktemp("skew") / "skew.so"
    source = Path(__file__).with_name("skew.c")
    arguments = [compiler, "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(arguments, check=True)
    return library


@pytest.mark.once_on("postgresql")
def test_wrong_clock(setting, skew, make_lab, state):
    """
    Sweeps and workers whose clocks are ten minutes fast or slow do no harm.

    They respect the leases of others, and report neither early nor late.
    """
    # Small batches, so that each process gets some of the orders.
    shares = {"BATCH_SIZE": 4, "CONCURRENCY": 2}
    lab = make_lab(setting, DEADLINE=4, LEASE_SECONDS=20, latency=1, **shares)
    lab.open(workers=0, beat=False)
    lab.start_seller(100)
    lab.wait_for_sellers()
    lab.rows.update(next_attempt_at=from_now(300))
    early = list(lab.rows.order_by("pk").values_list("pk", flat=True)[:10])
    arguments = ("manage.py", "button_orders_report", "--loop", "--interval", "1")
    sweeps, wrong = [], {"LD_PRELOAD": str(skew)}
    for seconds in ("600", "-600"):
        wrong["CLOCK_SKEW_SECONDS"] = seconds
        sweeps.append(lab.start("sweep", *arguments, **wrong))
        lab.start_worker(wait=False, **wrong)
    for worker in lab.workers:
        lab.wait_for_worker(worker)
    lab.start_beat()
    # Each process sweeps at least once in this time.
    time.sleep(4)
    assert lab.button.calls() == 0
    others = lab.rows.exclude(pk__in=early)
    others.update(next_attempt_at=from_now(0))
    # New orders ring for the workers: with a fast clock, messages of beat have expired.
    lab.start_seller(20, pace=0.1)
    wrong_ones = list(lab.workers)
    wait_for("a wrong one", lambda: any(map(has_reported, wrong_ones)), 120)
    # The worker with the right clock starts last: it might report all the orders.
    lab.start_worker()
    lab.wait_for_sellers()
    wait_for("the others", lambda: not others.pending().exists(), 300)

    assert lab.rows.filter(pk__in=early).pending().count() == len(early)
    assert [sweep.stop() for sweep in sweeps] == [0, 0]
    for sweep in sweeps:
        assert re.search(r"[1-9]\d* (reported|cancelled)", sweep.output())
    assert LEASE_LOST not in lab.outputs()
    lab.rows.filter(pk__in=early).update(next_attempt_at=from_now(0))
    lab.wait_for_quiet()
    assert_agreement(lab, state, seconds_wrong=600)


def has_reported(worker):
    return REPORTED.search(worker.output())


@pytest.mark.once_on("mariadb")
def test_none_for_a_long_time_then_one(setting, make_lab, state):
    lab = make_lab(setting)
    lab.open(workers=0)
    lab.start_seller(200)
    lab.wait_for_sellers()
    assert lab.received() == 0
    lab.start_worker()
    lab.wait_for_quiet()

    assert_agreement(lab, state)
