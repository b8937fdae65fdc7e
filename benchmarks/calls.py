"""
Compare one call by this package's client with one by a bare session.

``python -m benchmarks.calls --url ...`` lets both call in turn from one thread. It
prints as JSON the CPU time of each, and the number of connections they opened.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import requests

from benchmarks.load import ORDER, TIMEOUT
from django_button_orders.client.api import ButtonClient, create_order

API_KEY = "sk-sandbox"
CALLS = 100
THREADS = 8

Call = Callable[[], object]


class Sides:
    """The two sides: a bare ``requests`` session, and the client."""

    def __init__(self, url: str, certificate: str) -> None:
        if certificate:
            # The certificate of this run replaces the bundle that both sides trust.
            requests.adapters.DEFAULT_CA_BUNDLE_PATH = certificate
        self.url = url
        self.client = ButtonClient(api_key=API_KEY, base_url=url)
        self.session = requests.Session()
        self.session.auth = (API_KEY, "")
        self.control = requests.Session()

    def bare(self) -> None:
        orders = f"{self.url}/v1/order"
        self.session.post(orders, json=ORDER, timeout=TIMEOUT).raise_for_status()

    def ours(self) -> None:
        answer = self.client.send(create_order(ORDER))
        if answer.status_code != 200:
            raise RuntimeError(f"{answer.status_code}: {answer.body}")

    def connections(self) -> int:
        """Return the number of connections opened since the last call."""
        return int(self.control.delete(f"{self.url}/stub").json()["connections"])


def measure(sides: Sides, rounds: int) -> dict[str, Any]:
    calls: dict[str, Call] = {"bare": sides.bare, "ours": sides.ours}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    wall: dict[str, list[float]] = {name: [] for name in calls}
    opened = dict.fromkeys(calls, 0)
    sides.connections()
    for _ in range(rounds):
        for name, call in calls.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            for _ in range(CALLS):
                call()
            cpu[name].append((time.process_time() - cpu_start) / CALLS)
            wall[name].append((time.perf_counter() - start) / CALLS)
            opened[name] += sides.connections()
    return {
        name: {
            "cpu": statistics.median(cpu[name]),
            "wall": statistics.median(wall[name]),
            "calls": rounds * CALLS,
            "connections": opened[name],
        }
        for name in calls
    }


def connections_of_threads(sides: Sides) -> int:
    """Return the number of connections that threads open when they call at once."""
    barrier = Barrier(THREADS)

    def call(_: int) -> None:
        barrier.wait(timeout=30)
        for _ in range(CALLS // THREADS):
            sides.ours()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(call, range(THREADS)))
    return sides.connections()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--certificate", default="", help="whom to trust, for TLS")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    sides = Sides(options.url, options.certificate)
    found = measure(sides, options.rounds)
    per_thread = connections_of_threads(sides) / THREADS
    sys.stdout.write(json.dumps({**found, "connections per thread": per_thread}))


if __name__ == "__main__":
    main()
