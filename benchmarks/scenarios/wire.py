"""Compare one call by the client with one by a kept bare session."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.results import Results
from benchmarks.system import Button

ROUNDS = 20
CPU = "CPU µs"


def measure(bench: Bench, results: Results) -> None:
    results.title = "Wire: one call after another, from one thread"
    rounds = 3 if bench.options.quick else ROUNDS
    per_thread = {}
    for _ in bench.rounds(1):
        for case, certificate in (("plain", ""), ("TLS", bench.certificate)):
            bench.say(f"wire, {case}")
            button = Button(bench.folder, latency=0, certificate=certificate)
            arguments = ("--url", button.url, "--certificate", certificate)
            try:
                found = bench.run(
                    "benchmarks.calls", *arguments, "--rounds", str(rounds)
                )
            finally:
                button.stop()
            per_thread[case] = found.pop("connections per thread")
            for name, figures in found.items():
                side = "bare session" if name == "bare" else name
                results.add(
                    case,
                    side,
                    **{
                        "calls/s": 1 / figures["wall"],
                        CPU: figures["cpu"] * 1e6,
                        "calls": figures["calls"],
                        "connections": figures["connections"],
                    },
                )
    for case in ("plain", "TLS"):
        results.add_pair(case, "ours", "bare session")
    ratio = results.ratio("TLS", "ours", "bare session", CPU)
    results.at_most(5, "wire, TLS: CPU of a report to a bare session's", ratio, 1.1)
    opened = results.median("TLS", "ours", "connections")
    results.at_most(5, "wire, TLS: handshakes of one thread", opened, 1, "")
    results.at_most(5, "wire, TLS: handshakes of each of 8", per_thread["TLS"], 1, "")
