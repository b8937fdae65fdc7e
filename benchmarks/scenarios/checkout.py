"""
What saving an order costs the shop, beyond the save itself.

No workers run. Shops with each integration save in turn, some orders at a time, so
that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import socket
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.bench import Bench
from benchmarks.results import Results, percentile
from benchmarks.system import Shop
from tests.faults.servers import MissingServerError, RabbitMQ

ORDERS = 1_500
SEGMENT = 100
MEDIAN, P99, CPU = "median µs", "p99 µs", "CPU µs"
ADDED, ADDED_CPU = "added µs", "added CPU µs"


def measure(bench: Bench) -> Results:
    count = bench.orders(ORDERS, quick=100)
    results = Results(f"Checkout: {count:,} orders saved by each shop, in turn")
    for _ in bench.rounds(1):
        bench.say("checkout, what a save costs")
        measure_cost(bench, results, count)
        bench.say("checkout, faults of the broker")
        measure_faults(bench, results, count)
        if not bench.options.quick:
            bench.say("checkout, RabbitMQ in memory alarm")
            measure_alarm(bench, results, count)
    set_targets(results)
    return results


def measure_cost(bench: Bench, results: Results, count: int) -> None:
    with ExitStack() as stack:
        shops = {
            name: open_shop(bench, stack, name) for name in ("plain", "naive", "ours")
        }
        figures = in_turn(shops, count)
    plain = dict(figures["plain"])
    for name, found in figures.items():
        # Two medians of one round belong together, so they are subtracted here.
        for metric, added in ((MEDIAN, ADDED), (CPU, ADDED_CPU)):
            found[added] = found[metric] - plain[metric]
        results.add("broker up", name, **found)
    results.add_pair("broker up", "ours", "naive")


def measure_faults(bench: Bench, results: Results, count: int) -> None:
    scheme = bench.broker.url.partition(":")[0]
    with ExitStack() as stack:
        shops = {"healthy": open_shop(bench, stack, "ours")}
        for fault in (refused, hung, dropping):
            url = f"{scheme}://127.0.0.1:{stack.enter_context(fault())}"
            shops[fault.__name__] = open_shop(bench, stack, "ours", url)
        for name, figures in in_turn(shops, count).items():
            results.add(scheme, name, **figures)


def measure_alarm(bench: Bench, results: Results, count: int) -> None:
    with ExitStack() as stack:
        shops = {}
        for name in ("healthy", "memory alarm"):
            server = RabbitMQ(bench.folder / f"rabbitmq-{name.replace(' ', '-')}")
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
        for name, figures in in_turn(shops, count).items():
            results.add("amqp", name, **figures)


def open_shop(
    bench: Bench, stack: ExitStack, integration: str, broker_url: str = ""
) -> Shop:
    system = stack.enter_context(bench.system(integration, broker_url=broker_url))
    shop = system.start_shop()
    # Connections are made, and prepared statements, before anything counts.
    shop.ask(do="sell", orders=20)
    return shop


def in_turn(shops: dict[str, Shop], count: int) -> dict[str, dict[str, float]]:
    """Let the shops sell in turn, and return the figures of each."""
    sold: dict[str, list[Any]] = {name: [] for name in shops}
    for _ in range(max(1, count // SEGMENT)):
        for name, shop in shops.items():
            sold[name].append(shop.ask(do="sell", orders=SEGMENT))
    return {name: figures_of(segments) for name, segments in sold.items()}


def figures_of(segments: list[Any]) -> dict[str, float]:
    seconds = [value for segment in segments for value in segment["seconds"]]
    cpu = [segment["cpu"] / len(segment["seconds"]) for segment in segments]
    return {
        MEDIAN: statistics.median(seconds) * 1e6,
        P99: percentile(seconds, 99) * 1e6,
        "longest µs": max(seconds) * 1e6,
        CPU: statistics.median(cpu) * 1e6,
        "exceptions": float(sum(len(segment["errors"]) for segment in segments)),
    }


def set_targets(results: Results) -> None:
    for name, metric in (("time", ADDED), ("CPU", ADDED_CPU)):
        ratio = results.ratio("broker up", "ours", "naive", metric)
        results.at_most(3, f"checkout: {name} added to a save, to naive's", ratio, 0.6)
    for case, side in list(results.rounds):
        if case == "broker up" or side == "healthy":
            continue
        results.add_pair(case, side, "healthy")
        ratio = results.ratio(case, side, "healthy", P99)
        results.at_most(3, f"checkout, {case} {side}: p99 to healthy", ratio, 1.2)
        exceptions = results.median(case, side, "exceptions")
        results.at_most(3, f"checkout, {case} {side}: exceptions", exceptions, 0, "")


# Brokers that fail, each as a port


@contextmanager
def refused() -> Iterator[int]:
    """Nobody listens there, and nobody else is given the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@contextmanager
def hung() -> Iterator[int]:
    """Connections come about, and are never answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def dropping() -> Iterator[int]:
    """No connection comes about: the queue of those that wait is full."""
    with ExitStack() as stack:
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        stack.enter_context(listener)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
