"""Brokers that lose everything, are down, or hang, while the shop keeps selling."""

from __future__ import annotations

import subprocess
import time
from urllib.parse import urlsplit

import kombu
import pytest

from django_button_orders.beat import REPORT_ORDER
from tests.faults.gate import dropping_port
from tests.faults.lab import with_port
from tests.faults.processes import wait_for
from tests.faults.utils import assert_agreement, assert_sacred

pytestmark = pytest.mark.faults


def test_loses_everything(setting, own, make_lab, state):
    """Redis without persistence is killed, RabbitMQ's queue purged: 5 times."""
    broker = own(setting.broker)
    lab = make_lab(setting, broker_url=broker.url)
    lab.open()
    lab.start_seller(600)
    pending = []
    for loss in range(5):
        lab.wait_for_sales(60 + 80 * loss)
        assert lab.is_selling()
        pending.append(lab.rows.pending().count())
        lose_everything(lab, setting, broker)
    assert any(pending)
    lab.wait_for_quiet()

    assert_sacred(lab)
    assert_agreement(lab, state, losses=5, pending=pending)


def lose_everything(lab, setting, broker):
    if setting.broker == "redis":
        broker.kill()
        broker.start()
        return
    with kombu.Connection(lab.env["CELERY_BROKER_URL"]) as connection:
        channel = connection.channel()
        channel.queue_purge(lab.env["FAULTS_QUEUE"])


@pytest.mark.once_on("postgresql")
def test_down_for_a_minute(setting, make_lab, state):
    lab = make_lab(setting, gates=("broker",))
    lab.open()
    lab.start_seller(480, pace=0.08)
    lab.wait_for_sales()
    lab.gates["broker"].shut()
    before = lab.sold()
    time.sleep(60)
    assert lab.sold() > before + 100
    assert lab.is_selling()
    lab.gates["broker"].open()
    lab.wait_for_quiet()

    assert_sacred(lab)
    assert_agreement(lab, state, seconds_down=60)


@pytest.mark.once_on("mariadb")
def test_swallows_packets(setting, make_lab, state):
    """The broker accepts connections and never answers, in both doorbell modes."""
    lab = make_lab(setting, gates=("broker",))
    lab.open()
    thread = lab.start_seller(130, pace=0.1)
    inline = lab.start_seller(130, pace=0.1, DOORBELL="inline")
    for seller in (thread, inline):
        lab.wait_for_sales(1, seller)
    lab.gates["broker"].swallow()
    before = [lab.sold(seller) for seller in (thread, inline)]
    time.sleep(20)
    for seller, sold in zip((thread, inline), before, strict=True):
        assert lab.sold(seller) > sold + 10
    lab.gates["broker"].open()
    lab.wait_for_quiet()

    assert_sacred(lab, thread)
    # An inline ring may wait up to a second for the broker.
    assert_sacred(lab, inline, extra=1)
    assert_agreement(lab, state, seconds_swallowing=20)


def test_takes_nothing_in(setting, own, make_lab, state):
    """Redis is out of memory, then read-only; RabbitMQ raises its memory alarm."""
    broker = own(setting.broker)
    lab = make_lab(setting, broker_url=broker.url)
    lab.open()
    seller = lab.start_seller(300, pace=0.05)
    lab.wait_for_sales()
    before = lab.sold()
    if setting.broker == "redis":
        redis_command(broker, "CONFIG", "SET", "maxmemory", "1")
        time.sleep(6)
        redis_command(broker, "CONFIG", "SET", "maxmemory", "0")
        redis_command(broker, "REPLICAOF", "127.0.0.1", "1")
        time.sleep(6)
        redis_command(broker, "REPLICAOF", "NO", "ONE")
        assert "did not accept a message" in seller.output()
    else:
        broker.control("set_vm_memory_high_watermark", "0.0000001")
        time.sleep(12)
        broker.control("set_vm_memory_high_watermark", "0.6")
    assert lab.sold() > before + 20
    lab.wait_for_quiet()

    assert_sacred(lab)
    assert_agreement(lab, state)


def redis_command(broker, *arguments):
    port = str(urlsplit(broker.url).port)
    subprocess.run(
        [broker.find("redis-cli"), "-p", port, *arguments], check=True, timeout=60
    )


@pytest.mark.once_on("mariadb")
def test_delivers_everything_many_times(setting, make_lab, state):
    """Three messages are delivered 1,000 times more each, and cause no call."""
    lab = make_lab(setting)
    lab.open()
    lab.start_seller(20)
    lab.wait_for_quiet()
    calls = lab.button.calls()
    pks = list(lab.rows.values_list("pk", flat=True)[:3])
    rings = deliver_many_times(lab, REPORT_ORDER, pks)

    assert lab.button.calls() == calls
    assert_agreement(lab, state, rings=rings)


def deliver_many_times(lab, task, pks):
    """Publish a task 1,000 times for each order, and wait until all have run."""
    before, rings = runs_of(lab, task), 1000 * len(pks)
    lab.run("-m", "tests.faults.ring", task, *map(str, pks), "--times", "1000")
    wait_for("them all", lambda: runs_of(lab, task) >= before + rings, 300, every=2)
    return rings


def runs_of(lab, task):
    return sum(
        task in line and "succeeded" in line
        for worker in lab.workers
        for line in worker.output().splitlines()
    )


@pytest.mark.once_on("postgresql")
def test_without_any(setting, make_lab, state):
    """
    No broker, no worker, no beat: a command alone delivers.

    One broker refuses connections, another does not even do that.
    """
    lab = make_lab(setting, gates=("broker",))
    lab.gates["broker"].shut()
    lab.open(workers=0, beat=False)
    command = ("manage.py", "button_orders_report", "--loop", "--interval", "1")
    loop = lab.start("report", *command)
    with dropping_port() as port:
        url = with_port(lab.env["CELERY_BROKER_URL"], port)
        lab.start_seller(100, pace=0.02)
        lab.start_seller(100, pace=0.02, env={"CELERY_BROKER_URL": url})
        lab.wait_for_quiet()

    assert loop.stop() == 0
    assert_sacred(lab)
    assert_agreement(lab, state)


@pytest.mark.once_on("mariadb")
def test_beat_is_dead(setting, make_lab, state):
    """The messages are lost and beat is dead: one run of the command delivers all."""
    lab = make_lab(setting, DOORBELL="none")
    lab.open(workers=1, beat=False)
    lab.start_seller(150)
    lab.wait_for_sellers()
    assert lab.received() == 0
    lab.manage("button_orders_report")

    assert not lab.rows.pending().exists()
    assert_agreement(lab, state)
