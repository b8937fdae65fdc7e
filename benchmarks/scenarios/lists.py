"""
A thousand finished rows for each row that is due, or that must be pruned.

The target is that the database takes at most half as long again.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from benchmarks.bench import Bench
from benchmarks.results import Results, divide
from benchmarks.stock import copy, stock_direct
from benchmarks.system import PATIENCE_SECONDS, System, wait_until
from django_button_orders.models import ButtonOrder, Snapshot, Submission

DUE = 1_000
FACTOR = 1_000
# There are fewer submissions for each row than in a shop.
SUBMISSIONS = 200_000
PRUNE = "django_button_orders.prune_submissions"
RATE, DATABASE, PRUNED = "orders/s", "database ms", "prune ms"
ALONE, AMONG = "due rows alone", "among finished rows"


def measure(bench: Bench, results: Results) -> None:
    due = bench.orders(DUE, quick=50)
    case = f"{due:,} due"
    finished = due * FACTOR
    results.title = f"Lists: {due:,} due rows, and {finished:,} that are finished"
    for _ in bench.rounds(1):
        for side in (ALONE, AMONG):
            bench.say(f"lists, {side}")
            others = finished if side == AMONG else 0
            results.add(case, side, **drain(bench, due, others))
    results.add_pair(case, AMONG, ALONE)
    for metric, what in ((DATABASE, "claim and record"), (PRUNED, "prune")):
        ratio = results.ratio(case, AMONG, ALONE, metric)
        results.at_most(7, f"lists: {what} among finished rows", ratio, 1.5)


def drain(bench: Bench, due: int, finished: int) -> dict[str, float | None]:
    base = bench.base("ours")
    base.clear()
    stock_direct(base, due, prefix="DUE")
    if finished:
        values = {"status": "reported", "next_attempt_at": None}
        stock_direct(base, finished, prefix="DONE", reported_revision=1, **values)
    with bench.system("ours", latency=0.05) as system:
        old = min(due, SUBMISSIONS // FACTOR)
        stock_submissions(system, old, min(finished, SUBMISSIONS))
        keep_snapshot(system)
        base.analyze()
        base.reset_statements()
        system.start_worker()
        system.sweep()
        system.wait_for_orders(due)
        system.wait_for_rows(due + finished)
        _, milliseconds = base.statements()
        seen = system.button.counts()
        return {
            RATE: divide(seen["orders"] - 1, seen["last_new_at"] - seen["first_at"]),
            DATABASE: divide(milliseconds, due),
            PRUNED: prune(system) * 1000,
        }


def keep_snapshot(system: System) -> None:
    """
    Postpone the count of the admin's figures, which a sweep makes now and then.

    In a shop it takes at most a hundredth of the time, and here it would disturb.
    """
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    snapshots = Snapshot.objects.using(system.base.alias)
    snapshots.update_or_create(pk=1, defaults={"next_at": later})


def stock_submissions(system: System, old: int, others: int) -> None:
    """Insert old submissions to prune, and others to keep."""
    base = system.base
    row = ButtonOrder.objects.using(base.alias).order_by("pk")[:1].get()
    now = datetime.now(timezone.utc)
    for count, age in ((old, timedelta(days=500)), (others, timedelta(minutes=5))):
        if count:
            [submission] = base.fill(
                [
                    Submission(
                        button_order=row,
                        operation="create",
                        trigger="save",
                        revision=1,
                        started_at=now - age,
                        duration_ms=50,
                        method="POST",
                        url="https://api.usebutton.com/v1/order",
                        status_code=200,
                        outcome="succeeded",
                    )
                ]
            )
            copy(base, submission, count - 1)


def prune(system: System) -> float:
    """Prune the old submissions, and return the seconds."""
    limit = datetime.now(timezone.utc) - timedelta(days=400)
    old = Submission.objects.using(system.base.alias).filter(started_at__lt=limit)
    start = time.monotonic()
    system.celery.send_task(PRUNE)
    wait_until("pruning", lambda: not old.exists(), PATIENCE_SECONDS)
    return time.monotonic() - start
