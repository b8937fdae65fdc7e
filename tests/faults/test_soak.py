"""Many orders and many faults, chosen at random by the seed: ``make soak``."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest

from tests.faults.lab import execute
from tests.faults.test_broker import lose_everything, redis_command
from tests.faults.test_button import ALWAYS, WAYS
from tests.faults.test_database import EMPTIED, FULL, RECORD, cut_connections
from tests.faults.test_workers import kill_a_child
from tests.faults.utils import assert_agreement

pytestmark = [pytest.mark.faults, pytest.mark.soak]

ORDERS = int(os.environ.get("SOAK_ORDERS", "20000"))
SELLERS = 4
LEASE_SECONDS = 20


class Faults:
    """The faults to choose from. Each one is over when its method returns."""

    def __init__(self, lab, setting, database, broker):
        self.lab = lab
        self.rng = lab.rng
        self.setting = setting
        self.database = database
        self.broker = broker
        self.counts = Counter()

    def strike(self):
        names = [name for name in dir(self) if name.startswith("fault_")]
        name = self.rng.choice(sorted(names))
        self.counts[name.removeprefix("fault_")] += 1
        getattr(self, name)()
        # Workers that the fault stopped hold their orders until the leases expire.
        self.lab.add_held()
        self.lab.supervise()

    def pause(self, longest=6.0):
        time.sleep(self.rng.uniform(0.5, longest))

    def fault_worker_is_killed(self):
        self.lab.kill_worker(self.rng.choice(self.lab.workers))

    def fault_child_is_killed(self):
        if self.lab.pool == "prefork":
            kill_a_child(self.lab)

    def fault_web_process_is_killed(self):
        self.lab.kill_a_seller()

    def fault_worker_is_told_to_end(self):
        worker = self.rng.choice(self.lab.workers)
        worker.stop(self.rng.choice([signal.SIGTERM, signal.SIGQUIT]))

    def fault_worker_is_frozen(self):
        worker = self.rng.choice(self.lab.workers)
        worker.send_all(signal.SIGSTOP)
        self.pause(longest=1.5 * LEASE_SECONDS)
        worker.send_all(signal.SIGCONT)

    def fault_beat_is_killed(self):
        self.lab.beat.kill()
        self.pause()
        self.lab.start_beat()

    def fault_broker_loses_everything(self):
        lose_everything(self.lab, self.setting, self.broker)

    def fault_broker_refuses(self):
        self.shut("broker")

    def fault_broker_swallows(self):
        self.swallow("broker")

    def fault_broker_is_full(self):
        if self.setting.broker == "redis":
            redis_command(self.broker, "CONFIG", "SET", "maxmemory", "1")
            self.pause()
            redis_command(self.broker, "CONFIG", "SET", "maxmemory", "0")
        else:
            self.broker.control("set_vm_memory_high_watermark", "0.0000001")
            self.pause()
            self.broker.control("set_vm_memory_high_watermark", "0.6")

    def fault_database_restarts(self):
        self.lab.add_held()
        self.database.kill()
        self.pause(longest=2)
        self.database.start()

    def fault_database_is_full(self):
        url = self.lab.database_url
        for statement in FULL[self.setting.database]:
            execute(url, statement.format(table=RECORD))
        self.pause()
        self.lab.add_held()
        execute(url, EMPTIED[self.setting.database].format(table=RECORD))

    def fault_database_cuts_connections(self):
        cut_connections(self.setting, self.lab)

    def fault_database_swallows(self):
        self.swallow("database")

    def fault_button_misbehaves(self):
        way = self.rng.choice(sorted(WAYS))
        self.lab.button.misbehave(times=ALWAYS, **WAYS[way])
        self.pause()
        self.lab.button.behave()

    def fault_button_fails_for_some(self):
        way = self.rng.choice(sorted(WAYS))
        self.lab.button.misbehave(times=ALWAYS, chance=0.3, **WAYS[way])
        self.pause()
        self.lab.button.behave()

    def fault_key_is_revoked(self):
        self.lab.button.misbehave(times=ALWAYS, status=401)
        self.pause()
        self.lab.button.behave()
        # Without this, the account is probed only after five minutes.
        self.lab.set_probe(0)

    def fault_button_refuses(self):
        self.shut("button")

    def fault_button_swallows(self):
        self.swallow("button")

    def fault_connections_to_button_are_cut(self):
        self.lab.gates["button"].cut()

    def shut(self, name):
        self.lab.gates[name].shut()
        self.pause()
        self.lab.gates[name].open()

    def swallow(self, name):
        self.lab.gates[name].swallow()
        self.pause()
        self.lab.add_held()
        self.lab.gates[name].open()


def test_everything_at_once(setting, own, make_lab, state):
    database, broker = own(setting.database), own(setting.broker)
    lab = make_lab(
        setting,
        database_url=database.url,
        broker_url=broker.url,
        gates=("database", "broker", "button"),
        RETRY_SCHEDULE=[1, 2, 3, *[5] * 100],
        LEASE_SECONDS=LEASE_SECONDS,
    )
    lab.open(workers=3)
    for _ in range(SELLERS):
        lab.start_seller(ORDERS // SELLERS, pace=0.05)
    faults = Faults(lab, setting, database, broker)
    while any(seller.is_running for seller in lab.sellers):
        faults.strike()
        time.sleep(lab.rng.uniform(0, 3))
    # An account may still be paused after its fault has ended.
    lab.set_probe(0)
    lab.wait_for_quiet(600 + ORDERS / 20)

    strikes = sum(faults.counts.values())
    assert_agreement(
        lab,
        state,
        faults=strikes,
        kinds=len(faults.counts),
        second_creates=strikes,
        saves_may_fail=True,
    )
