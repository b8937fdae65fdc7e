"""
The same faults for this package and for what shops write by hand.

``make losses`` prints what each of them loses. See ``benchmarks/naive``. This package
must lose nothing; what is lost by hand is chance, so nothing is asserted of it.
"""

from __future__ import annotations

import os
import time

import pytest

from django_button_orders.models import ButtonOrder
from tests.faults.lab import execute
from tests.faults.processes import wait_for
from tests.faults.test_broker import REPORT_ORDER, deliver_many_times, lose_everything
from tests.faults.test_workers import kill_a_child
from tests.faults.utils import assert_agreement

pytestmark = [pytest.mark.faults, pytest.mark.losses]

# CI sells a few, to see that the comparison still runs.
ORDERS = int(os.environ.get("LOSSES_ORDERS", "500"))
TASKS = {"naive": "benchmarks.naive.tasks.report_to_button", "ours": REPORT_ORDER}


@pytest.fixture(params=["naive", "ours"])
def integration(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def print_losses(lab, state, **facts):
    """Print the losses. Assert that this package has none."""
    lab.wait_for_quiet()
    steps = lab.steps()
    state(
        **facts,
        failed_saves=sum(bool(step["error"]) for step in steps),
        slowest_save=max(step["seconds"] for step in steps),
    )
    if not lab.naive:
        assert_agreement(lab, state, lost=0)
        return
    found = lab.compare()
    state(orders=found.sold, lost=len(found.lost), set_back=len(found.set_back))


def test_workers_are_killed(setting, integration, make_lab, state):
    """Both workers are killed 5 times, and start again at once."""
    lab = make_lab(setting, naive=integration == "naive")
    lab.open()
    lab.start_seller(ORDERS)
    for kill in range(5):
        lab.wait_for_reports(int(ORDERS * (0.1 + 0.16 * kill)))
        for worker in list(lab.workers):
            lab.kill_worker(worker)
        for _ in range(2):
            lab.start_worker(wait=False)
    print_losses(lab, state, integration=integration, kills=10)


def test_children_are_killed(setting, integration, make_lab, state):
    """15 processes of a prefork pool are killed."""
    lab = make_lab(setting, naive=integration == "naive", pool="prefork")
    lab.open(workers=1)
    lab.start_seller(ORDERS)
    for kill in range(15):
        lab.wait_for_reports(int(ORDERS * 0.05 * kill))
        kill_a_child(lab)
    print_losses(lab, state, integration=integration, kills=15)


def test_messages_come_many_times(setting, integration, make_lab, state):
    """Three messages are delivered 1,000 times more each."""
    lab = make_lab(setting, naive=integration == "naive")
    lab.open()
    lab.start_seller(20)
    lab.wait_for_quiet()
    table = "shop_order" if lab.naive else ButtonOrder._meta.db_table
    found = execute(lab.database_url, f"SELECT id FROM {table} ORDER BY id")
    before = lab.button.calls()
    deliver_many_times(lab, TASKS[integration], [pk for (pk,) in found[:3]])
    calls = lab.wait_for_silence() - before
    print_losses(lab, state, integration=integration, calls_for_them=calls)


def test_web_processes_are_killed(setting, integration, make_lab, state):
    """30 web processes are killed while they sell as fast as they can."""
    lab = make_lab(setting, naive=integration == "naive")
    lab.open()
    for _ in range(30):
        lab.kill_a_seller()
    print_losses(lab, state, integration=integration, kills=30)


def test_broker_loses_everything(setting, own, integration, make_lab, state):
    """The broker loses its messages once, when half of the orders are reported."""
    broker = own(setting.broker)
    naive = integration == "naive"
    lab = make_lab(setting, broker_url=broker.url, naive=naive)
    lab.open(workers=1)
    lab.start_seller(ORDERS)
    wait_for("half of them", lambda: lab.received() > ORDERS / 2, 120)
    lose_everything(lab, setting, broker)
    print_losses(lab, state, integration=integration)


@pytest.mark.parametrize("way", ["refuses", "swallows"])
def test_broker_is_away(setting, way, integration, make_lab, state):
    """The broker is away for 20 seconds, while the shop sells."""
    lab = make_lab(setting, gates=("broker",), naive=integration == "naive")
    lab.open()
    lab.start_seller(ORDERS, pace=0.05)
    time.sleep(3)
    gate = lab.gates["broker"]
    gate.shut() if way == "refuses" else gate.swallow()
    time.sleep(20)
    gate.open()
    print_losses(lab, state, integration=integration, way=way)
