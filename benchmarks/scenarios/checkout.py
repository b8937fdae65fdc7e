"""
Measure what an integration adds to the time of a save.

No workers run. Shops with and without an integration save a few orders each in turn.
The cost of a save is its difference to the saves of the plain shop just before it,
because the speed of a shared machine may change several times in a second.
"""

from __future__ import annotations

import socket
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks.bench import Bench
from benchmarks.results import Results, percentile
from benchmarks.system import Shop
from tests.faults.gate import dropping_port
from tests.faults.servers import MissingServerError, RabbitMQ, unused_folder

ORDERS = 1_500
TURN = 10
CASES = {"an order": 0, "an order with 2 lines": 2}
MEDIAN, P99, CPU = "median µs", "p99 µs", "CPU µs"
ADDED, ADDED_CPU = "added µs", "added CPU µs"


def measure(bench: Bench, results: Results) -> None:
    count = bench.orders(ORDERS, quick=100)
    results.title = f"Checkout: {count:,} orders saved by each shop, in turn"
    for _ in bench.rounds(1):
        bench.say("checkout, what a save costs")
        measure_cost(bench, results, count)
        bench.say("checkout, faults of the broker")
        measure_faults(bench, results, count)
        if not bench.options.quick:
            bench.say("checkout, RabbitMQ in memory alarm")
            measure_alarm(bench, results, count)
    set_targets(results)


def measure_cost(bench: Bench, results: Results, count: int) -> None:
    for case, lines in CASES.items():
        with ExitStack() as stack:
            names = ("plain", "naive", "ours")
            shops = {name: open_shop(bench, stack, name) for name in names}
            sales = in_turn(shops, count, lines)
        plain = sales["plain"]
        for name, sale in sales.items():
            added = {
                ADDED: sale.median_added(plain) * 1e6,
                ADDED_CPU: (sale.cpu - plain.cpu) * 1e6,
            }
            results.add(case, name, **sale.figures(), **added)
        results.add_pair(case, "ours", "naive")


def measure_faults(bench: Bench, results: Results, count: int) -> None:
    scheme = bench.broker.url.partition(":")[0]
    with ExitStack() as stack:
        shops = {"healthy": open_shop(bench, stack, "ours")}
        for name, fault in FAULTS.items():
            url = f"{scheme}://127.0.0.1:{stack.enter_context(fault())}"
            shops[name] = open_shop(bench, stack, "ours", url)
        for name, sale in in_turn(shops, count).items():
            results.add(scheme, name, **sale.figures())


def measure_alarm(bench: Bench, results: Results, count: int) -> None:
    with ExitStack() as stack:
        shops = {}
        for name in ("healthy", "memory alarm"):
            server = RabbitMQ(unused_folder(bench.folder, "rabbitmq"))
            try:
                server.install()
                stack.callback(server.stop)
                server.start()
            except MissingServerError as exc:
                results.notes.append(f"Without RabbitMQ: {exc}")
                return
            if name != "healthy":
                server.control("set_vm_memory_high_watermark", "absolute", "1")
            shops[name] = open_shop(bench, stack, "ours", server.url)
        for name, sale in in_turn(shops, count).items():
            results.add("amqp", name, **sale.figures())


def open_shop(
    bench: Bench, stack: ExitStack, integration: str, broker_url: str = ""
) -> Shop:
    system = stack.enter_context(bench.system(integration, broker_url=broker_url))
    shop = system.start_shop()
    # The first saves connect and prepare statements, and do not count.
    shop.ask(do="sell", orders=20)
    return shop


@dataclass
class Sale:
    """The times of one shop's saves, turn by turn."""

    turns: list[list[float]] = field(default_factory=list)
    errors: int = 0
    # CPU seconds for each order, publishing included.
    cpu: float = 0.0

    def median_added(self, plain: Sale) -> float:
        """Return by how many seconds each save was slower than another shop's."""
        return statistics.median(
            statistics.median(turn) - statistics.median(other)
            for turn, other in zip(self.turns, plain.turns, strict=True)
        )

    def figures(self) -> dict[str, float]:
        seconds = [value for turn in self.turns for value in turn]
        return {
            MEDIAN: statistics.median(seconds) * 1e6,
            P99: percentile(seconds, 99) * 1e6,
            "longest µs": max(seconds) * 1e6,
            CPU: self.cpu * 1e6,
            "exceptions": float(self.errors),
        }


def in_turn(shops: dict[str, Shop], count: int, lines: int = 2) -> dict[str, Sale]:
    """Let the shops save orders in turn."""
    turns = max(1, count // TURN)
    sales = {name: Sale() for name in shops}
    before = {name: shop.ask(do="rest")["cpu"] for name, shop in shops.items()}
    for _ in range(turns):
        for name, shop in shops.items():
            sold = shop.ask(do="sell", orders=TURN, lines=lines)
            sales[name].turns.append(sold["seconds"])
            sales[name].errors += len(sold["errors"])
    for name, shop in shops.items():
        cpu = shop.ask(do="rest")["cpu"] - before[name]
        sales[name].cpu = cpu / (turns * TURN)
    return sales


def set_targets(results: Results) -> None:
    for case in CASES:
        for name, metric in (("time", ADDED), ("CPU", ADDED_CPU)):
            ratio = results.ratio(case, "ours", "naive", metric)
            results.at_most(3, f"checkout, {case}: {name} added to naive's", ratio, 0.6)
    for case, side in list(results.rounds):
        if case in CASES or side == "healthy":
            continue
        results.add_pair(case, side, "healthy")
        ratio = results.ratio(case, side, "healthy", P99)
        results.at_most(3, f"checkout, {case} {side}: p99 to healthy", ratio, 1.2)
        exceptions = results.median(case, side, "exceptions")
        results.at_most(3, f"checkout, {case} {side}: exceptions", exceptions, 0, "")


# Ports of brokers that fail


@contextmanager
def refused() -> Iterator[int]:
    """Reserve a port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@contextmanager
def hung() -> Iterator[int]:
    """Open a port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield int(listener.getsockname()[1])


FAULTS = {"refused": refused, "hung": hung, "dropping": dropping_port}
