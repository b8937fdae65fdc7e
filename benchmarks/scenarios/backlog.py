"""
Four processes drain a backlog of due orders.

A rate counts from the first arrival at Button to the last one, or to the last recorded
row. The limit is the number of connections divided by the round trip. CPU is that of
all worker processes, and memory that of the largest one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from benchmarks import usage
from benchmarks.bench import Bench
from benchmarks.results import Results, divide
from benchmarks.stock import stock_due, stock_reports
from benchmarks.system import CONCURRENCY, Button, System

ORDERS, NAIVE_ORDERS = 20_000, 1_000
PROCESSES = 4
RATE, RECORDED, CPU = "orders/s", "recorded/s", "CPU µs"
SHARE = "of the limit"
LIMIT = "limit: raw sockets 4 x 64"


class Case(NamedTuple):
    """Latency and encryption of the fake Button, and our ``CONCURRENCY``."""

    name: str
    latency: float = 0.0
    tls: bool = False
    concurrency: int = CONCURRENCY

    def system(
        self, bench: Bench, side: Side, database: str = ""
    ) -> AbstractContextManager[System]:
        certificate = self.certificate(bench)
        return bench.system(
            side.integration,
            database=database,
            latency=self.latency,
            certificate=certificate,
            button_orders={"CONCURRENCY": self.concurrency},
        )

    def certificate(self, bench: Bench) -> str:
        return bench.certificate if self.tls or bench.options.tls else ""


NEAR, FAR = Case("0 ms"), Case("50 ms", 0.05)
# So few connections that not the CPU is the limit, but the round trip.
FEW = Case("50 ms, 32 connections", 0.05, concurrency=8)
CASES = (
    NEAR,
    FAR,
    FEW,
    Case("0 ms, TLS", tls=True),
    Case("50 ms, TLS", 0.05, tls=True),
)


class Side(NamedTuple):
    """An integration, and the pool of its workers."""

    name: str
    integration: str
    orders: int
    pool: str = "prefork"
    concurrency: int = PROCESSES
    workers: int = 1

    @property
    def is_ours(self) -> bool:
        return self.integration == "ours"


# Naive is slow, and its rate does not depend on the number of orders.
OURS = Side("ours", "ours", ORDERS)
PREFORK = Side("naive prefork 4", "naive", NAIVE_ORDERS)
THREADS = Side("naive threads 32", "naive", NAIVE_ORDERS, "threads", 32)
# A pool of threads is one process, so four workers. Shown without a target.
FOUR = Side("naive threads 4 x 8", "naive", NAIVE_ORDERS, "threads", 8, workers=4)
SIDES = (PREFORK, THREADS, OURS)


def measure(bench: Bench, results: Results) -> None:
    results.title = (
        f"Backlog: {bench.orders(ORDERS):,} due orders ({bench.orders(NAIVE_ORDERS):,}"
        " of naive), 4 processes; statements and the like for each order"
    )
    for _ in bench.rounds(3):
        for case in CASES:
            for side in sides_of(case):
                bench.say(f"backlog, {case.name}, {side.name}")
                figures = drain(bench, side, bench.orders(side.orders), case)
                results.add(case.name, side.name, **figures)
    for case in CASES:
        if case is FEW:
            continue
        compare(results, case.name)
        add_limits(bench, results, case)
    set_targets(results)


def sides_of(case: Case) -> tuple[Side, ...]:
    """Return the sides that a case compares."""
    if case is FEW:
        return (OURS,)
    return (PREFORK, OURS) if case.tls else (*SIDES, FOUR)


def drain(
    bench: Bench, side: Side, count: int, case: Case, *, database: str = ""
) -> dict[str, float | None]:
    """Drain a backlog, and return the figures."""
    base = bench.base(side.integration, database)
    pks: list[int] = []
    if side.is_ours:
        stock_due(base, count)
    else:
        pks = stock_reports(base, count)
    with case.system(bench, side, database) as system:
        round_trip = system.button.round_trip()
        system.button.reset()
        base.reset_statements()
        messages = bench.messages()
        # The messages of a backlog are in the queue before the workers start.
        system.publish(pks)
        for _ in range(side.workers):
            system.start_worker(pool=side.pool, concurrency=side.concurrency)
        cpu = system.cpu_seconds()
        with usage.watched(system.pids) as memory:
            system.sweep()
            system.wait_for_orders(count)
            system.wait_for_rows(count)
        figures = figures_of(system, count, system.cpu_seconds() - cpu, round_trip)
        published = messages.count()
        statements, milliseconds = base.statements()
    return {
        **figures,
        "peak MiB": memory.peak,
        "statements": divide(statements, count),
        "database ms": divide(milliseconds, count),
        "messages": divide(published, count),
    }


def figures_of(
    system: System, count: int, cpu: float, round_trip: float
) -> dict[str, float | None]:
    seen = system.button.counts()
    rate = divide(seen["orders"] - 1, seen["last_new_at"] - seen["first_at"])
    recorded_at = system.last_recorded_at()
    recorded = recorded_at and divide(count, recorded_at - seen["first_at"])
    return {
        RATE: rate,
        RECORDED: recorded,
        CPU: cpu / count * 1e6,
        SHARE: divide(rate, divide(seen["peak_open"], round_trip)),
        "connections": seen["connections"],
        "requests": seen["requests"] / count,
    }


def add_limits(bench: Bench, results: Results, case: Case) -> None:
    """Measure the same calls without a database, and the fake Button's limit."""
    bench.say(f"backlog, {case.name}, without a database")
    certificate, seconds = case.certificate(bench), str(bench.seconds(3))
    button = Button(bench.folder, latency=case.latency, certificate=certificate)
    shared = ("--url", button.url, "--certificate", certificate, "--seconds", seconds)
    try:
        for kind, name, connections in (
            ("sessions", "bare sessions 4 x 1", 1),
            ("sessions", f"bare sessions 4 x {CONCURRENCY}", CONCURRENCY),
            ("raw", LIMIT, 64),
        ):
            found = load(bench, *shared, kind=kind, connections=connections)
            figures = {RATE: found["rate"], CPU: found["cpu"] * 1e6}
            results.add(case.name, name, **figures)
    finally:
        button.stop()
    if not case.latency:
        # The ratio shows that the fake Button is not the limit.
        results.add_pair(case.name, LIMIT, OURS.name)


def load(bench: Bench, *shared: str, kind: str, connections: int) -> dict[str, Any]:
    arguments = ("--kind", kind, "--connections", str(connections), *shared)
    return bench.run("benchmarks.load", *arguments, "--processes", str(PROCESSES))


def compare(results: Results, case: str) -> None:
    results.add_pair(case, OURS.name, PREFORK.name)
    results.add_pair(case, OURS.name, THREADS.name)
    results.add_pair(case, OURS.name, FOUR.name)


def to_best_naive(results: Results, case: str) -> float | None:
    """Return the ratio of our rate to that of naive's faster pool."""
    sides = (PREFORK, THREADS)
    ratios = [results.ratio(case, OURS.name, side.name, RATE) for side in sides]
    return min((ratio for ratio in ratios if ratio is not None), default=None)


def to_cheapest_naive(results: Results, case: str) -> float | None:
    """Return the ratio of our CPU time to that of naive's cheaper pool."""
    sides = (PREFORK, THREADS)
    ratios = [results.ratio(case, OURS.name, side.name, CPU) for side in sides]
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def set_targets(results: Results) -> None:
    for case, side, bound in (
        (FAR, PREFORK, 25),
        (FAR, THREADS, 9),
        (NEAR, PREFORK, 8),
    ):
        what = f"backlog, {case.name}: rate to {side.name}"
        ratio = results.ratio(case.name, OURS.name, side.name, RATE)
        results.at_least(1, what, ratio, bound)
    what = f"backlog, {FEW.name}: of connections/round trip"
    results.at_least(1, what, results.median(FEW.name, OURS.name, SHARE), 0.95, "")
    for case, most in ((FAR, 1 / 7), (NEAR, 1 / 6)):
        what = f"backlog, {case.name}: CPU per order to {PREFORK.name}"
        ratio = results.ratio(case.name, OURS.name, PREFORK.name, CPU)
        results.at_most(1, what, ratio, most)
