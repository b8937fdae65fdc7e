"""SQLite with the example project's options, without a database server."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.results import Results
from benchmarks.scenarios import burst
from benchmarks.scenarios.backlog import NEAR, OURS, PREFORK, RATE, drain

ORDERS, NAIVE_ORDERS = 5_000, 500
BURST = 1_000
BACKLOG_CASE, BURST_CASE = "backlog, 0 ms", "burst, 0 ms"


def measure(bench: Bench, results: Results) -> None:
    results.title = "SQLite: a backlog, and a shop that sells while workers write"
    for _ in bench.rounds(1):
        for side in (PREFORK, OURS):
            bench.say(f"sqlite, {side.name}")
            count = bench.orders(ORDERS if side.is_ours else NAIVE_ORDERS, quick=100)
            figures = drain(bench, side, count, NEAR, database="sqlite")
            results.add(BACKLOG_CASE, side.name, **figures)
            count = bench.orders(BURST, quick=100)
            sold = burst.sell(bench, side, count, NEAR, database="sqlite")
            results.add(BURST_CASE, side.name, **sold)
    for case in (BACKLOG_CASE, BURST_CASE):
        results.add_pair(case, OURS.name, PREFORK.name)
    ratio = results.ratio(BACKLOG_CASE, OURS.name, PREFORK.name, RATE)
    results.at_least(8, "SQLite, backlog: rate to naive", ratio, 5)
    locked = results.median(BURST_CASE, OURS.name, "errors")
    results.at_most(8, "SQLite: 'database is locked'", locked, 0, "")
