"""Many processes work on the same rows at once, on every database."""

from __future__ import annotations

import time

import pytest

from tests.faults.processes import wait_for
from tests.faults.utils import LEASE_LOST, assert_agreement

pytestmark = pytest.mark.faults


def test_sweeps_workers_and_an_operator(setting, make_lab, state):
    """Two sweeps, five workers, and Retry pressed again and again."""
    meet(setting, make_lab, state)


@pytest.mark.once_on("mariadb")
def test_sweeps_workers_and_an_operator_on_sqlite(setting, make_lab, state, tmp_path):
    meet(setting, make_lab, state, f"sqlite:///{tmp_path / 'shop.sqlite3'}")


def meet(setting, make_lab, state, database_url=""):
    urls = {"database_url": database_url} if database_url else {}
    # Where all writers wait for one another, a record may take its time.
    lab = make_lab(setting, RETRY_SCHEDULE=(1,), LEASE_SECONDS=90, **urls)
    lab.open(workers=0, beat=False)
    # Everything fails once or twice, so that there is something to retry.
    lab.button.misbehave(times=700, status=503)
    command = ("manage.py", "button_orders_report", "--loop", "--interval", "1")
    sweeps = [lab.start("sweep", *command) for _ in range(2)]
    for _ in range(5):
        lab.start_worker(wait=False)
    lab.start_beat()
    operator = lab.start("operator", "-m", "tests.faults.retries")
    lab.start_seller(250)
    lab.wait_for_sellers()
    lab.button.behave()
    open_rows = lab.rows.exclude(status__in=["reported", "cancelled"])
    wait_for("all to be settled", lambda: not open_rows.exists(), 300)

    assert operator.is_running
    operator.kill()
    assert [sweep.stop() for sweep in sweeps] == [0, 0]
    assert any(call["status"] == 503 for call in lab.button.requests())
    assert LEASE_LOST not in lab.outputs()
    assert "database is locked" not in lab.outputs()
    kind = database_url.partition(":")[0] or setting.database
    assert_agreement(lab, state, database=kind)


@pytest.mark.once_on("mariadb")
def test_backfill_that_is_killed(setting, make_lab, state):
    """A backfill is killed and run again, while the shop sells."""
    lab = make_lab(setting)
    lab.open()
    lab.manage("make_old_orders", "1500")
    lab.start_seller(200, pace=0.03)
    old = lab.rows.filter(order_id__startswith="OLD-")
    made = []
    for _ in range(5):
        # In small steps, so that there is something left for the next.
        backfill = lab.start(
            "backfill", "manage.py", "button_orders_backfill", "--batch-size", "5"
        )
        wait_for_rows(old, backfill)
        time.sleep(lab.rng.uniform(0, 0.05))
        backfill.kill()
        made.append(old.count())
    assert 0 < made[0] < 1500
    lab.manage("button_orders_backfill")
    lab.wait_for_quiet()

    assert_agreement(lab, state, kills=5, made=made)


def wait_for_rows(rows, backfill):
    before = rows.count()
    wait_for(
        "its rows",
        lambda: rows.count() > before or not backfill.is_running,
        120,
        every=0.02,
    )
