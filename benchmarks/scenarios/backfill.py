"""Backfill a shop's history: from its model, once more, and from a file."""

from __future__ import annotations

import json
from pathlib import Path

from django.utils import timezone
from shop.models import Order

from benchmarks.bases import Base
from benchmarks.bench import Bench
from benchmarks.commands import Done, run_command
from benchmarks.results import Results, divide
from benchmarks.stock import copy
from django_button_orders.models import ButtonOrder

ORDERS, QUICK_ORDERS = 1_000_000, 10_000
COMMAND = "button_orders_backfill"
RATE, SECONDS, CPU, PEAK = "orders/s", "seconds", "CPU seconds", "peak MiB"
# The targets: seconds for a million orders, and memory.
AIMS = {"postgresql": 60, "sqlite": 120}
PEAK_MIB = 150
NUMBER = {"mysql": "concat('OLD-', n)"}


def measure(bench: Bench, results: Results) -> None:
    count = bench.history(ORDERS, quick=QUICK_ORDERS)
    results.title = f"Backfill: {count:,} orders become due rows"
    for kind in AIMS:
        base = bench.base("ours", kind)
        bench.say(f"backfill, {kind}: {count:,} orders are made")
        stock_history(base, count)
        for case in ("from the model", "once more"):
            bench.say(f"backfill, {kind}, {case}")
            done = run_command(base, COMMAND, "--noinput")
            add(results, case, kind, done, count)
        due = ButtonOrder.objects.using(base.alias).due().count()
        if due != count:
            raise RuntimeError(f"{due} rows are due, and not {count}.")
        from_files(bench, base, kind, results)
        seconds = results.median("from the model", kind, SECONDS)
        peak = results.median("from the model", kind, PEAK)
        scaled = divide(seconds, count / ORDERS)
        what = f"backfill of a million, {kind}"
        results.at_most(
            1, what, None if bench.options.quick else scaled, AIMS[kind], "s"
        )
        results.at_most(1, f"{what}: memory", peak, PEAK_MIB, " MiB")


def from_files(bench: Bench, base: Base, kind: str, results: Results) -> None:
    count = bench.history(ORDERS, quick=QUICK_ORDERS) // 5
    for name, write in (("JSON lines", write_jsonl), ("CSV", write_csv)):
        bench.say(f"backfill, {kind}, {count:,} orders of a file of {name}")
        base.clear()
        path = bench.folder / "orders"
        write(path, count)
        done = run_command(base, COMMAND, "--from-file", str(path))
        add(results, f"{count:,} of {name}", kind, done, count)
        path.unlink()


def add(results: Results, case: str, kind: str, done: Done, count: int) -> None:
    figures = {
        RATE: divide(count, done.seconds),
        SECONDS: done.seconds,
        CPU: done.cpu_seconds,
        PEAK: done.peak_mib,
    }
    results.add(case, kind, **figures)


def stock_history(base: Base, count: int) -> None:
    """Insert ``count`` paid orders without rows."""
    base.clear()
    [order] = base.fill(
        [
            Order(
                number="OLD-0",
                status=Order.Status.PAID,
                email="customer@example.com",
                placed_at=timezone.now(),
            )
        ]
    )
    number = NUMBER.get(base.connection.vendor, "'OLD-' || n")
    copy(base, order, count - 1, number=number)
    base.analyze()


def write_jsonl(path: Path, count: int) -> None:
    with path.open("w") as file:
        for number in range(count):
            order = {
                "order_id": f"FILE-{number}",
                "total": 8700,
                "currency": "USD",
                "purchase_date": "2026-11-01T12:00:00Z",
                "btn_ref": f"fakesrctok-{number}",
                "customer": {"id": f"u{number}", "email": f"u{number}@example.com"},
                "line_items": [
                    {"identifier": "MUG-1", "quantity": 2, "total": 3000},
                    {"identifier": "TEA-9", "quantity": 2, "total": 5700},
                ],
            }
            file.write(f"{json.dumps(order)}\n")


def write_csv(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.write(
            "order_id,total,currency,purchase_date,btn_ref,customer_id,customer_email,"
            "line_item_identifier,line_item_quantity,line_item_total\n"
        )
        for number in range(count):
            order = (
                f"FILE-{number},8700,USD,2026-11-01T12:00:00Z,fakesrctok-{number},"
                f"u{number},u{number}@example.com"
            )
            file.write(f"{order},MUG-1,2,3000\n{order},TEA-9,2,5700\n")
