"""
How many bytes an order takes: its row, the record of its call, and a token kept for it.

An order has two lines, a token, and a hash of the customer's address.

Orders are reported to a sandbox, and the tables are packed before they are measured.
"""

from __future__ import annotations

from typing import Any

from benchmarks.bases import Base
from benchmarks.bench import Bench
from benchmarks.results import Results
from benchmarks.stock import stock_due
from django_button_orders.models import AttributionToken, ButtonOrder, Submission
from django_button_orders.testing import run_sandbox

DATABASES = ("postgresql", "mariadb")
# With many more, InnoDB gives each index a megabyte at a time, which looks like use.
ORDERS = 5_000
BYTES = "bytes"
ROW, SUBMISSION, EMPTIED = "a row", "a submission", "a submission without its bodies"
KEPT = "an attribution token"
ALL, ALONE, INDEXES = "all", "the table", "the indexes"

# A shop of this size, with the default settings, and one call for each order.
ORDERS_A_YEAR = 10_000_000
KEEP_BODIES_DAYS = 30
GB = 10**9


def measure(bench: Bench, results: Results) -> None:
    count = bench.orders(ORDERS, quick=500)
    results.title = f"Capacity: bytes for each of {count:,} orders that are reported"
    for kind in DATABASES:
        bench.say(f"capacity, {kind}")
        base = bench.base("ours", kind)
        stock_due(base, count)
        with run_sandbox() as sandbox:
            sandbox.report()
        add_sizes(results, base, kind, ROW, ButtonOrder)
        add_sizes(results, base, kind, SUBMISSION, Submission)
        # As the pruning leaves them after KEEP_BODIES_DAYS.
        submissions = Submission.objects.using(base.alias)
        submissions.update(request_body="", response_body="", has_bodies=False)
        add_sizes(results, base, kind, EMPTIED, Submission)
        keep_tokens(base)
        add_sizes(results, base, kind, KEPT, AttributionToken)
        results.notes.append(describe_a_year(results, kind))


def keep_tokens(base: Base) -> None:
    """Keep a token for each order, as ``set_btn_ref`` does."""
    tokens = AttributionToken.objects.using(base.alias)
    tokens.all().delete()
    rows = ButtonOrder.objects.using(base.alias)
    base.fill(
        AttributionToken(source_type_id=kind, source_id=key, btn_ref=token)
        for kind, key, token in rows.values_list(
            "source_type_id", "source_id", "btn_ref"
        )
    )


def add_sizes(
    results: Results, base: Base, kind: str, what: str, model: type[Any]
) -> None:
    """Add the sizes of a table and of each of its indexes, for each row."""
    count = model.objects.using(base.alias).count()
    table, indexes = SIZES[kind](base, model._meta.db_table)
    case, total = f"{kind}, {what}", sum(indexes.values())
    sizes = {ALL: table + total, ALONE: table, INDEXES: total, **indexes}
    for name, size in sizes.items():
        results.add(case, name, **{BYTES: size / count})


def sizes_of_postgresql(base: Base, table: str) -> tuple[int, dict[str, int]]:
    base.execute(f"VACUUM FULL {table}")
    [[size]] = base.execute(f"SELECT pg_table_size('{table}')")
    indexes = base.execute(
        "SELECT indexrelid::regclass::text, pg_relation_size(indexrelid)"  # noqa: S608 - our name
        f" FROM pg_index WHERE indrelid = '{table}'::regclass ORDER BY 2 DESC"
    )
    return size, dict(indexes)


def sizes_of_mariadb(base: Base, table: str) -> tuple[int, dict[str, int]]:
    base.execute(f"OPTIMIZE TABLE {table}")
    base.execute(f"ANALYZE TABLE {table}")
    found = dict(
        base.execute(
            "SELECT index_name, stat_value * @@innodb_page_size"  # noqa: S608 - our name
            " FROM mysql.innodb_index_stats WHERE stat_name ="
            " IF(index_name = 'PRIMARY', 'n_leaf_pages', 'size')"
            f" AND database_name = DATABASE() AND table_name = '{table}'"
            " ORDER BY 2 DESC"
        )
    )
    # The rows are in the primary key, of which only the pages in use count. For other
    # indexes, MariaDB does not know those.
    return int(found.pop("PRIMARY")), {name: int(size) for name, size in found.items()}


SIZES = {"postgresql": sizes_of_postgresql, "mariadb": sizes_of_mariadb}


def describe_a_year(results: Results, kind: str) -> str:
    row, full, emptied = (
        results.median(f"{kind}, {what}", ALL, BYTES) or 0.0
        for what in (ROW, SUBMISSION, EMPTIED)
    )
    share = KEEP_BODIES_DAYS / 365
    call = share * full + (1 - share) * emptied
    sizes = (row, call, row + full)
    rows, calls, unpruned = (f"{ORDERS_A_YEAR * size / GB:.1f} GB" for size in sizes)
    return (
        f"{kind}: {ORDERS_A_YEAR:,} orders a year are {rows} of rows, and {calls} of"
        f" submissions; without pruning, {unpruned} together"
    )
