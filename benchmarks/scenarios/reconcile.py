"""
Compare the shop with the rows, and the rows with Button.

The target is flat memory: five times as many orders may take a tenth more.
"""

from __future__ import annotations

from benchmarks.bases import Base
from benchmarks.bench import Bench
from benchmarks.commands import Done, run_command
from benchmarks.results import Results, divide
from benchmarks.stock import PAYLOAD, stock_orders
from benchmarks.system import Button
from django_button_orders.delivery.desired import find_desired
from django_button_orders.models import ButtonOrder
from django_button_orders.models.keyset import Keyset
from django_button_orders.outbox.adapters import HostOrders

ORDERS, QUICK_ORDERS = 100_000, 1_000
ASKED, LATENCY_SECONDS = 10_000, 0.05
COMMAND = "button_orders_reconcile"
RATE, SECONDS, CPU, PEAK = "orders/s", "seconds", "CPU seconds", "peak MiB"
MISSING, AGREEING, FEW, BUTTON = "missing", "agreeing", "a fifth", "Button"
PAGE = 500


def measure(bench: Bench, results: Results) -> None:
    count = bench.orders(ORDERS, quick=QUICK_ORDERS)
    results.title = f"Reconcile: {count:,} orders"
    for kind in ("postgresql", "sqlite"):
        base = bench.base("ours", kind)
        for case, orders in ((FEW, count // 5), (AGREEING, count)):
            bench.say(f"reconcile, {kind}: {orders:,} orders are made")
            stock_orders(base, orders)
            bench.say(f"reconcile, {kind}, {MISSING}")
            done = run_command(base, COMMAND, "shop", "--fix")
            expect(done, fixed=orders)
            if case != FEW:
                add(results, MISSING, kind, done, orders)
            acknowledge_all(base)
            bench.say(f"reconcile, {kind}, {case}")
            done = run_command(base, COMMAND, "shop")
            expect(done, agree=orders)
            add(results, case, kind, done, orders)
        ratio = divide(
            results.median(AGREEING, kind, PEAK), results.median(FEW, kind, PEAK)
        )
        results.at_most(1, f"reconcile, {kind}: memory, five times as many", ratio, 1.1)
        with_button(bench, base, kind, results)


def with_button(bench: Bench, base: Base, kind: str, results: Results) -> None:
    """Compare the rows with a Button that answers in some milliseconds."""
    count = bench.orders(ASKED, quick=QUICK_ORDERS // 2)
    base.clear()
    # The fake Button shows orders without lines, so the rows have none.
    known = {**PAYLOAD, "line_items": []}
    state = {"status": "reported", "reported_revision": 1, "next_attempt_at": None}
    base.fill(
        ButtonOrder(order_id=f"ASKED-{at}", **known, **state) for at in range(count)
    )
    button = Button(bench.folder, latency=LATENCY_SECONDS, certificate="")
    try:
        bench.say(f"reconcile, {kind}, {BUTTON}")
        done = run_command(base, COMMAND, "button", BASE_URL=button.url)
    finally:
        button.stop()
    expect(done, agree=count)
    add(results, f"{count:,} at {BUTTON}", kind, done, count)


def acknowledge_all(base: Base) -> None:
    """Make all rows as if Button had acknowledged them."""
    rows = ButtonOrder.objects.using(base.alias)
    keyset, position = Keyset(objects=rows), ""
    while page := keyset.page(position, PAGE):
        hosts = HostOrders(page)
        for row in page:
            row.reported_digest = find_desired(row, hosts).digest
        rows.bulk_update(page, ["reported_digest"], PAGE)
        position = keyset.position_of(page[-1])
    rows.update(status="reported", reported_revision=1, next_attempt_at=None)
    base.analyze()


def expect(done: Done, **counts: int) -> None:
    found = {name: done.summary[name] for name in counts}
    if found != counts:
        raise RuntimeError(f"{COMMAND} found {found}, and not {counts}.")


def add(results: Results, case: str, kind: str, done: Done, count: int) -> None:
    figures = {
        RATE: divide(count, done.seconds),
        SECONDS: done.seconds,
        CPU: done.cpu_seconds,
        PEAK: done.peak_mib,
    }
    results.add(case, kind, **figures)
