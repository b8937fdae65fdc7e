from __future__ import annotations

import signal
import subprocess
from itertools import count

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.test import TestCase, override_settings

from django_button_orders.beat import PRUNE
from django_button_orders.management.base import Stop
from django_button_orders.management.loop import Loop
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.outbox.adapters import OrderAdapter, register, unregister
from django_button_orders.tasks.periodic import Job
from tests.management.processes import ProcessTestCase
from tests.operations.test_retention import create, state_of
from tests.shop.models import Page
from tests.utils import button_settings, create_row


class Clock:
    """A clock that stands still until it is waited for: then it moves on."""

    def __init__(self, turns):
        self.now = 0.0
        self.turns = turns
        self.stop = Stop()
        self.stop.wait = self.wait

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        self.turns -= 1
        if not self.turns:
            self.stop.set()


class Away:
    """A database that does not answer, and counts how often it is asked."""

    def __init__(self, error=OperationalError, verb="", spares=None):
        self.error = error
        self.spares = spares
        self.verb = verb
        self.is_away = True
        self.asked = 0

    def __call__(self, execute, sql, params, many, context):
        is_spared = self.spares is not None and self.spares in sql
        if not self.is_away or is_spared or not sql.startswith(self.verb):
            return execute(sql, params, many, context)
        self.asked += 1
        raise self.error("It went away from jane@shop.test.")


@override_settings(BUTTON_ORDERS=button_settings())
class LoopTests(TestCase):
    databases = {"default", "archive"}

    def run_loop(self, turns, interval=5):
        clock = Clock(turns)
        loop = Loop(
            stop=clock.stop, interval=interval, narrow=lambda rows: rows, clock=clock
        )
        loop.run()
        return clock

    def test_waits_when_there_is_nothing_to_do(self):
        assert self.run_loop(turns=3).now == 15

    def test_database_that_is_away(self):
        """It is asked ever more seldom, and told of once a minute."""
        for error in (OperationalError, InterfaceError, DatabaseError):
            away = Away(error)
            with (
                self.subTest(error=error),
                connection.execute_wrapper(away),
                self.assertLogs("django_button_orders", "WARNING") as logs,
            ):
                assert self.run_loop(turns=60).now == 300

            # At 0, 5, 15 and 35 seconds, and then every 30.
            assert away.asked == 4 + 8
            # The first at once.
            assert len(logs.output) == 1 + 4
            assert f"Database default failed: {error.__name__}" in logs.output[0]
            assert "jane" not in "".join(logs.output)

    def test_database_that_comes_back(self):
        away = Away()
        turns = count()
        clock = Clock(turns=8)

        def wait(seconds):
            away.is_away = next(turns) < 3
            Clock.wait(clock, seconds)

        clock.stop.wait = wait
        create(400)
        loop = Loop(stop=clock.stop, interval=5, narrow=lambda rows: rows, clock=clock)
        with (
            connection.execute_wrapper(away),
            self.assertLogs("django_button_orders", "WARNING") as logs,
        ):
            loop.run()

        assert len(logs.output) == 2
        assert "Database default answers again." in logs.output[1]
        assert not Submission.objects.exists()

    def test_others_go_on(self):
        old = create(400, using="archive")
        with (
            connection.execute_wrapper(Away()),
            self.assertLogs("django_button_orders", "ERROR"),
        ):
            self.run_loop(turns=1)

        assert not Submission.objects.using("archive").filter(pk=old.pk).exists()

    def test_prunes_once_a_day(self):
        made = []
        clock = Clock(turns=1 + 25)

        def wait(seconds):
            made.append(create(31 + len(made)))
            Clock.wait(clock, seconds)

        clock.stop.wait = wait
        first = create(30.5)
        Loop(
            stop=clock.stop, interval=3600, narrow=lambda rows: rows, clock=clock
        ).run()

        states = [state_of(item) for item in (first, *made)]
        assert states == ["emptied"] * 25 + ["whole"] * 2

    def test_pruning_that_is_refused(self):
        """By a database user who may not, say. Orders are reported all the same."""
        old = create(400)
        away = Away(DatabaseError, verb="DELETE", spares="submissionhour")
        with (
            connection.execute_wrapper(away),
            self.assertLogs("django_button_orders", "ERROR") as logs,
        ):
            self.run_loop(turns=3, interval=1800)

        refused = [line for line in logs.output if "default: pruning failed: " in line]
        assert len(refused) == 2
        assert state_of(old) == "whole"

    def test_job_that_takes_long(self):
        """It is stopped for a sweep, and goes on at once."""
        clock = Clock(turns=1)
        slices = []

        def run(alias, is_stopped):
            if alias == "archive":
                return True
            slices.append(clock.now)
            while not is_stopped() and clock.now < 5:
                clock.now += 1
            return clock.now == 5

        job = Job(
            key=PRUNE.key,
            seconds=PRUNE.seconds,
            title="the job",
            slice_seconds=2,
            run=run,
        )
        Loop(
            stop=clock.stop,
            interval=60,
            narrow=lambda rows: rows,
            jobs=(job,),
            clock=clock,
        ).run()

        assert slices == [0, 2, 4]
        assert clock.now == 5 + 60

    def test_adapter_with_a_bug(self):
        """What goes wrong in a comparison keeps nothing else from being done."""
        old = create(400)
        adapter = type("BrokenAdapter", (OrderAdapter,), {"get_queryset": broken})
        register(Page)(adapter)
        self.addCleanup(unregister, Page)
        with self.assertLogs("django_button_orders", "ERROR") as logs:
            self.run_loop(turns=3)

        # Once, and not each time around.
        [line] = [line for line in logs.output if "default: the comparison" in line]
        assert "ZeroDivisionError" in line
        assert state_of(old) == "deleted"


def broken(adapter):
    return 1 // 0


# On a busy machine, a Button that is slow must not look like one that hangs.
PATIENT = {"TIMEOUT": (60, 300), "DEADLINE": 300, "LEASE_SECONDS": 400}


class LoopProcessTests(ProcessTestCase):
    def setUp(self):
        super().setUp()
        self.command = self.arguments("button_orders_report", "--loop")

    def start_slow(self, *, rows, latency):
        """Start it with more to do than it can begin, and wait until it sends."""
        self.sandbox.latency = latency
        self.button_orders.update(CONCURRENCY=4, BATCH_SIZE=8, **PATIENT)
        with override_settings(BUTTON_ORDERS=button_settings()):
            for number in range(rows):
                create_row(order_id=f"{number}")
        self.publish()
        process = self.start_logged(*self.command)
        self.wait_for("the first orders", lambda: self.sandbox.orders)
        return process

    def test_told_to_end_while_button_is_slow(self):
        """What is in flight is finished, the rest given back, and nothing lost."""
        process = self.start_slow(rows=60, latency=2)

        assert process.stop(signal.SIGTERM) == 0, process.output()

        self.refresh()
        reported = ButtonOrder.objects.filter(status="reported")
        assert {row.order_id for row in reported} == self.sandbox.orders.keys()
        assert len(self.sandbox.requests) == len(reported) < 60
        assert not ButtonOrder.objects.filter(lease_token__isnull=False).exists()
        left = ButtonOrder.objects.due().filter(attempts=0, unanswered=0)
        assert len(left) + len(reported) == 60
        assert f"{len(reported)} reported" in process.output().splitlines()[-1]

    def test_second_signal(self):
        """It ends at once, as leases expire by themselves."""
        process = self.start_slow(rows=8, latency=4)
        self.sandbox.latency = 600

        self.wait_for("calls in flight", lambda: len(self.sandbox.requests) >= 4)
        process.send(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            # It waits for those in flight.
            process.wait(1)
        process.send(signal.SIGTERM)

        assert process.wait(30) == -signal.SIGTERM

    def test_told_to_end_while_it_waits(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number):
                with override_settings(BUTTON_ORDERS=button_settings()):
                    create(400 + number)
                self.publish()
                process = self.start_logged(*self.command, "--interval", "3600")
                # It does so at once, when it has reported what is due.
                self.wait_for("the pruning", self.is_pruned)

                process.send(number)

                assert process.wait(30) == 0
                assert process.output().endswith("Nothing to do.\n")

    def is_pruned(self):
        self.refresh()
        return not Submission.objects.exists()
