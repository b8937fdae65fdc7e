"""
A shop saves orders one after another, while workers report them.

A rate counts from the first save to the last order's arrival at Button.
"""

from __future__ import annotations

from itertools import product

from benchmarks import usage
from benchmarks.bench import Bench
from benchmarks.results import Results, divide
from benchmarks.scenarios.backlog import (
    CPU,
    FAR,
    NEAR,
    RATE,
    SIDES,
    Case,
    Side,
    compare,
    to_best_naive,
    to_cheapest_naive,
)

ORDERS, NAIVE_ORDERS = 5_000, 1_000
# Both sides watch lines, so naive publishes three messages for an order of two lines.
LINES = (0, 2)


def measure(bench: Bench, results: Results) -> None:
    results.title = (
        f"Burst: {bench.orders(ORDERS):,} orders ({bench.orders(NAIVE_ORDERS):,} of"
        " naive) saved one after another; requests and the like for each"
    )
    for _ in bench.rounds(1):
        for case, lines in product((NEAR, FAR), LINES):
            for side in SIDES:
                name = name_of(case, lines)
                bench.say(f"burst, {name}, {side.name}")
                count = bench.orders(ORDERS if side.is_ours else NAIVE_ORDERS)
                figures = sell(bench, side, count, case, lines=lines)
                results.add(name, side.name, **figures)
    for (case, bound), lines in product(((FAR, 6), (NEAR, 4)), LINES):
        name = name_of(case, lines)
        compare(results, name)
        what, best = f"burst, {name}", to_best_naive(results, name)
        results.at_least(2, f"{what}: rate to naive's best pool", best, bound)
        what = f"{what}: CPU per order to naive's cheaper pool"
        results.at_most(2, what, to_cheapest_naive(results, name), 1 / 3)


def name_of(case: Case, lines: int) -> str:
    return f"{case.name}, {lines} lines" if lines else f"{case.name}, orders alone"


def sell(
    bench: Bench,
    side: Side,
    count: int,
    case: Case,
    *,
    lines: int = 2,
    database: str = "",
) -> dict[str, float | None]:
    """Sell ``count`` orders, wait until all are reported, and return the figures."""
    base = bench.base(side.integration, database)
    base.clear()
    base.analyze()
    with case.system(bench, side, database) as system:
        worker = system.start_worker(pool=side.pool, concurrency=side.concurrency)
        shop = system.start_shop()
        messages = bench.messages()
        cpu = system.cpu_seconds()
        with usage.watched([worker.pid]) as memory:
            sold = shop.ask(do="sell", orders=count, lines=lines)
            system.wait_for_orders(count)
            system.wait_for_rows(count)
        seen = system.button.counts()
        return {
            RATE: divide(count, seen["last_new_at"] - sold["first_at"]),
            "saved/s": divide(count, sold["last_at"] - sold["first_at"]),
            CPU: (system.cpu_seconds() - cpu) / count * 1e6,
            "connections": seen["connections"],
            "requests": seen["requests"] / count,
            "peak MiB": memory.peak,
            "messages": divide(messages.count(), count),
            "errors": float(len(sold["errors"]) + system.complaints("locked")),
        }
