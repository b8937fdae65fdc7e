"""
One order at a time on an idle system, from its commit to its reported row.

Both systems run at the same time, and sell in turn.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.results import Results, percentile
from benchmarks.system import Shop

ORDERS, WARM_UP = 200, 5
# The pause between orders, after which both systems are idle.
PAUSE_SECONDS = 0.05
MEDIAN, P99 = "median ms", "p99 ms"
CASE = "0 ms"


def measure(bench: Bench, results: Results) -> None:
    count = bench.orders(ORDERS, quick=20)
    results.title = f"Latency: {count} orders, one at a time, commit to reported row"
    for _ in bench.rounds(1):
        bench.say("latency")
        with ExitStack() as stack:
            shops = {side: open_shop(bench, stack, side) for side in ("naive", "ours")}
            for side, seconds in follow(shops, count).items():
                figures = {
                    MEDIAN: statistics.median(seconds) * 1e3,
                    P99: percentile(seconds, 99) * 1e3,
                    "longest ms": max(seconds) * 1e3,
                }
                results.add(CASE, side, **figures)
    results.add_pair(CASE, "ours", "naive")
    ratio = results.ratio(CASE, "ours", "naive", MEDIAN)
    results.at_most(4, "latency: median to naive's", ratio, 1.5)
    results.at_most(4, "latency: p99", results.median(CASE, "ours", P99), 100, " ms")


def open_shop(bench: Bench, stack: ExitStack, integration: str) -> Shop:
    bench.base(integration).clear()
    system = stack.enter_context(bench.system(integration))
    system.start_worker()
    return system.start_shop()


def follow(shops: dict[str, Shop], count: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {side: [] for side in shops}
    for _ in range(WARM_UP + count):
        for side, shop in shops.items():
            seconds[side].append(shop.ask(do="follow")["seconds"])
            time.sleep(PAUSE_SECONDS)
    return {side: values[WARM_UP:] for side, values in seconds.items()}
