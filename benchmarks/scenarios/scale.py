"""
Compare a short backlog with a million due rows, and one worker with four.

A rate is that of the middle of a run. Rows that are due "at once" are due at the same
microsecond, as after a retry of all.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks import usage
from benchmarks.bench import Bench
from benchmarks.results import Results, divide
from benchmarks.stock import stock_direct

FEW, MANY = 10_000, 1_000_000
SECONDS = 15.0
LATENCY = 0.05
RATE, PEAK, GROWTH = "orders/s", "peak MiB", "growth of memory"


def measure(bench: Bench, results: Results) -> None:
    few = bench.orders(FEW, quick=1_000)
    many = bench.orders(MANY, quick=20_000)
    results.title = f"Scale: at most {bench.seconds(SECONDS):g} seconds, 50 ms"
    for _ in bench.rounds(1):
        for case in (Case(few), Case(many), Case(many, at_once=True)):
            for processes in (1, 4) if case.waiting == few else (4,):
                bench.say(f"scale, {case}, {processes} processes")
                figures, memory = drain(bench, case, processes)
                results.add(str(case), side_of(processes), **figures)
                course = ", ".join(map(str, memory.course()))
                results.notes.append(f"{case}, {processes} processes, MiB: {course}")
    set_targets(results, few, many)


class Case(NamedTuple):
    waiting: int
    at_once: bool = False

    def __str__(self) -> str:
        return f"{self.waiting:,} due{' at once' if self.at_once else ''}"


def side_of(processes: int) -> str:
    return f"ours, {processes} process{'es' if processes > 1 else ''}"


def drain(
    bench: Bench, case: Case, processes: int
) -> tuple[dict[str, float | None], usage.Memory]:
    """Drain a backlog for a while, and return the figures."""
    base = bench.base("ours")
    base.clear()
    stock_direct(base, case.waiting, prefix="DUE", at_once=case.at_once)
    base.analyze()
    with bench.system("ours", latency=LATENCY) as system:
        base.reset_statements()
        worker = system.start_worker(concurrency=processes)
        cpu = system.cpu_seconds()
        with usage.watched([worker.pid]) as memory:
            system.sweep()
            system.wait_for_orders(1)
            until = time.monotonic() + bench.seconds(SECONDS)
            system.wait_for_orders(case.waiting, until=until)
        cpu = system.cpu_seconds() - cpu
        _, milliseconds = base.statements()
        arrivals = system.button.arrivals()
    figures = {
        RATE: steady_rate(arrivals),
        "CPU µs": cpu / len(arrivals) * 1e6,
        "database ms": divide(milliseconds, len(arrivals)),
        PEAK: memory.peak,
        GROWTH: memory.growth,
    }
    return figures, memory


def steady_rate(arrivals: list[float]) -> float | None:
    first, last = int(len(arrivals) * 0.1), int(len(arrivals) * 0.8)
    return divide(last - first, arrivals[last] - arrivals[first])


def set_targets(results: Results, few: int, many: int) -> None:
    one, four = side_of(1), side_of(4)
    start = str(Case(few))
    for case in (Case(many), Case(many, at_once=True)):
        for metric, bound in ((RATE, 0.85), (PEAK, 1.1)):
            ratio = divide(
                results.median(str(case), four, metric),
                results.median(start, four, metric),
            )
            what = f"scale: {metric} with {case} to {start}"
            judge = results.at_least if metric == RATE else results.at_most
            judge(6, what, ratio, bound)
    growth = results.median(str(Case(many)), four, GROWTH)
    results.at_most(6, f"scale: {GROWTH} with {Case(many)}", growth, 1.05)
    results.add_pair(start, four, one)
    ratio = results.ratio(start, four, one, RATE)
    results.at_least(6, "scale, 50 ms: rate of 4 processes to 1", ratio, 3.2)
