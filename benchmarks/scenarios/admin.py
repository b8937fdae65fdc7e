"""
The admin's pages with a million orders and five million submissions.

The targets are 200 ms of server time for the list, and 300 ms for the panel.
"""

from __future__ import annotations

import statistics
from datetime import datetime, timezone
from typing import Any

from benchmarks.bases import Base
from benchmarks.bench import Bench
from benchmarks.results import Results
from benchmarks.stock import PAYLOAD, copy
from django_button_orders.models import ButtonOrder, Submission

ORDERS = 1_000_000
SUBMISSIONS_EACH = 5
# The days over which the submissions are spread.
DAYS = 60
ROUNDS = 20
LIST_MS, PANEL_MS = 200, 300
MEDIAN, MOST = "median ms", "max ms"
IN_QUERIES, QUERIES = "in queries ms", "queries"

# Of each thousand orders, ten are pending and four have failed.
STATUS = """CASE WHEN n % 1000 < 10 THEN 'pending' WHEN n % 1000 < 14 THEN 'failed'
    WHEN n % 1000 < 30 THEN 'cancelled' WHEN n % 1000 < 35 THEN 'dismissed'
    ELSE 'reported' END"""
REASON = """CASE WHEN n % 1000 < 5 THEN 'unavailable' WHEN n % 1000 < 10 THEN ''
    WHEN n % 1000 < 12 THEN 'refused' WHEN n % 1000 < 13 THEN 'invalid'
    WHEN n % 1000 < 14 THEN 'exhausted' ELSE '' END"""
# Half of the pending orders wait. The others are due, some for long.
NEXT_ATTEMPT = """CASE WHEN n % 1000 < 5 THEN now() + n % 7200 * interval '1 second'
    WHEN n % 1000 < 10 THEN now() - n % 1200 * interval '1 second' END"""
CURRENCY = "(ARRAY['USD', 'USD', 'USD', 'EUR', 'JPY'])[1 + n % 5]"


def measure(bench: Bench, results: Results) -> None:
    orders = ORDERS if not bench.options.quick else 2_000
    orders = bench.options.orders or orders
    base = bench.base("ours", "postgresql")
    base.clear()
    bench.say(f"admin: {orders:,} orders are made")
    stock(base, orders)
    bench.say("admin: its pages are opened")
    rounds = 2 if bench.options.quick else bench.options.rounds or ROUNDS
    found = bench.run(
        "benchmarks.desk",
        str(rounds),
        env={"DATABASE_URL": base.url, "BENCH_INTEGRATION": "ours"},
        seconds=900,
    )
    describe(results, found, orders)


def describe(results: Results, found: dict[str, Any], orders: int) -> None:
    case = f"{orders:,} orders"
    submissions = orders * SUBMISSIONS_EACH
    results.title = f"Admin: {case}, {submissions:,} submissions, server time"
    for name, page in found["pages"].items():
        milliseconds = [1000 * seconds for seconds in page["seconds"]]
        figures = {
            MEDIAN: statistics.median(milliseconds),
            MOST: max(milliseconds),
            IN_QUERIES: 1000 * statistics.median(page["query_seconds"]),
            QUERIES: page["queries"],
        }
        results.add(case, name, **figures)
        bound = PANEL_MS if name == "panel" else LIST_MS
        if name.startswith(("list", "search", "panel")) and "its panel" not in name:
            results.at_most(5, f"admin: {name}", figures[MEDIAN], bound, " ms")
    for name, seconds in found["once"].items():
        results.notes.append(f"{name}: {1000 * seconds:,.0f} ms")


def stock(base: Base, orders: int) -> None:
    """Insert orders in every state, and submissions of the last weeks."""
    # These rows are valid by construction, so constraints are not checked.
    base.execute("SET session_replication_role = replica")
    [row] = base.fill(
        [
            ButtonOrder(
                order_id="SHOP-0", status="reported", next_attempt_at=None, **PAYLOAD
            )
        ]
    )
    copy(
        base,
        row,
        orders - 1,
        order_id="concat('SHOP-', n)",
        btn_ref="concat('fakesrctok-', md5(n::text))",
        customer_order_id="concat('C-', n)",
        customer="jsonb_build_object('email_sha256', md5(n::text) || md5('x'))",
        button_order_id="concat('btnorder-', n)",
        status=STATUS,
        reason=REASON,
        next_attempt_at=NEXT_ATTEMPT,
        currency=CURRENCY,
        total="100 + n::bigint * 7919 % 90000",
        purchase_date="now() - n % 525600 * interval '1 minute'",
        attempts="1 + n % 3",
    )
    count = orders * SUBMISSIONS_EACH
    [submission] = base.fill([example(row)])
    copy(
        base,
        submission,
        count - 1,
        button_order_id=f"{row.pk} + n::bigint * 7919 % {orders}",
        started_at=f"now() - {DAYS} * interval '1 day' * n / {count}",
        duration_ms="20 + (exp(random() * 4) * 12)::int",
        outcome="""CASE WHEN n % 100 < 3 THEN 'will_retry'
            WHEN n % 100 < 4 THEN 'failed' ELSE 'succeeded' END""",
        status_code="""CASE WHEN n % 100 < 3 THEN 503
            WHEN n % 100 < 4 THEN 422 ELSE 200 END""",
    )
    base.execute("SET session_replication_role = origin")
    base.analyze()


def example(row: ButtonOrder) -> Submission:
    return Submission(
        button_order=row,
        operation="create",
        trigger="sweep",
        revision=1,
        started_at=datetime.now(timezone.utc),
        duration_ms=50,
        method="POST",
        url="https://api.usebutton.com/v1/order",
        request_body='{"order_id":"SHOP-0","total":8700,"currency":"USD"}',
        response_body='{"meta":{"status":"ok"},"object":{"button_order_id":"x"}}',
        status_code=200,
        outcome="succeeded",
    )
