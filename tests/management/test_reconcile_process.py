"""The command as an operator starts it: a process that is interrupted, or piped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import connections

from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.sandbox import Sandbox
from tests.faults.lab import alias_for
from tests.shop.models import Order
from tests.utils import LONG_AGO, PURCHASED

COUNT = 40
EVERY_ID = {f"{number}" for number in range(COUNT)}
PATIENCE_SECONDS = 60


class Lab:
    """A database that processes can share, and a Button that they can reach."""

    def __init__(self, url, alias, sandbox):
        self.url = url
        self.alias = alias
        self.sandbox = sandbox
        self.processes = []
        self.rows = ButtonOrder.objects.using(alias)

    def start(self, *arguments):
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "django", "button_orders_reconcile", *arguments],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "DATABASE_URL": self.url,
                "ARCHIVE_DATABASE_URL": "sqlite://:memory:",
                "TESTS_BUTTON_URL": self.sandbox.url,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        return out, err, process.returncode

    def run_and_signal(self, number, *arguments):
        """Send a signal once a quarter of the orders was asked about."""

        def listen(request):
            if len(self.sandbox.requests) == COUNT // 4:
                process.send_signal(number)

        process = self.start("button", "--rate", "40", *arguments)
        self.sandbox.listener = listen
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        self.sandbox.listener = lambda request: None
        return out, err, process.returncode

    def report(self):
        """Have rows that Button has acknowledged."""
        for number in range(COUNT):
            values = {"total": 7000, "currency": "USD", "purchase_date": PURCHASED}
            row = ButtonOrder(
                order_id=f"{number}",
                status="reported",
                reported_revision=1,
                reported_at=LONG_AGO,
                next_attempt_at=None,
                **values,
            )
            row.reported_digest = row.desired_digest()
            self.rows.bulk_create([row])
            self.sandbox.store.create(row.as_report().as_payload())

    def asked(self):
        return [item.order_id for item in self.sandbox.requests]


@pytest.fixture
def database(transactional_db, tmp_path, django_db_blocker):
    """Yield the URL of a database that processes can share, and our alias for it."""
    if connections["default"].vendor == "sqlite":
        url = f"sqlite:///{tmp_path / 'shop.sqlite3'}"
        with django_db_blocker.unblock(), alias_for(url, "processes") as alias:
            call_command("migrate", database=alias, verbosity=0)
            yield url, alias
        return
    config = connections["default"].settings_dict
    scheme = os.environ["DATABASE_URL"].partition(":")[0]
    login = quote(config["USER"])
    if config["PASSWORD"]:
        login += f":{quote(config['PASSWORD'])}"
    place = f"{config['HOST']}:{config['PORT']}/{config['NAME']}"
    yield f"{scheme}://{login}@{place}", "default"


@pytest.fixture
def lab(database):
    with Sandbox(api_key="sk-tests") as sandbox:
        lab = Lab(*database, sandbox)
        yield lab
        for process in lab.processes:
            process.kill()
            process.communicate()


def test_interrupted_and_resumed(lab):
    lab.report()

    out, err, status = lab.run_and_signal(signal.SIGTERM, "--format", "json")

    assert status == 1
    assert "Interrupted. With --resume, it goes on" in err
    assert COUNT // 4 <= json.loads(out)["agree"] < COUNT

    assert lab.run("button", "--resume") == (f"{COUNT} agree.\n", "", 0)
    # No gap, and nothing twice.
    assert sorted(lab.asked()) == sorted(EVERY_ID)
    calls = Submission.objects.using(lab.alias).filter(trigger="reconcile")
    assert calls.count() == COUNT


def test_killed_and_resumed(lab):
    lab.report()

    _, _, status = lab.run_and_signal(signal.SIGKILL, "--batch-size", "4")
    assert status == -signal.SIGKILL

    assert lab.run("button", "--resume") == (f"{COUNT} agree.\n", "", 0)
    assert set(lab.asked()) == EVERY_ID
    # What is done again is at most the batch that it was at.
    assert len(lab.asked()) - COUNT <= 4


def test_piped(lab):
    orders = Order.objects.using(lab.alias)
    orders.bulk_create(Order(number=f"{number}") for number in range(3))

    out, err, status = lab.run("shop")

    assert sorted(out.splitlines()) == [
        "0: The order has no row.",
        "1: The order has no row.",
        "2: The order has no row.",
        "3 missing.",
    ]
    assert err == "CommandError: 3 differences are not fixed.\n"
    assert status == 1

    out, err, status = lab.run("shop", "--fix")

    assert out.endswith("3 missing, 3 fixed.\n")
    assert (err, status) == ("", 0)
    assert lab.rows.due().count() == 3


def test_interrupted_while_it_waits_for_button(lab):
    lab.report()
    lab.sandbox.misbehave(times=1000, status=429, headers={"Retry-After": "200"})

    def listen(request):
        if len(lab.sandbox.requests) == 1:
            process.send_signal(signal.SIGINT)

    process = lab.start("button")
    lab.sandbox.listener = listen
    _, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert "Interrupted." in err
