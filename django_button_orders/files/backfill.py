"""Add due rows for the orders of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.files.forms import (
    UnreadableFileError,
    copy_to_disk,
    open_plain,
)
from django_button_orders.files.jsonl import read_jsonl
from django_button_orders.files.lines import Entry, Lines, RejectWriter
from django_button_orders.files.reports import NO_CONVENTIONS, Conventions
from django_button_orders.files.tables import OrderIds, Table
from django_button_orders.models import PAYLOAD_FIELDS
from django_button_orders.models.clock import read_now
from django_button_orders.operations.batches import LARGEST_BATCH, Batch, first_errors
from django_button_orders.report.objects import OrderReport

COLUMNS = ("account", "order_id", *PAYLOAD_FIELDS)


@dataclass(kw_only=True)
class FileBackfill:
    """
    A run through the orders of a file that adds due rows for those without one.

    It holds one batch of ``stream`` in memory. A table is read twice, so a stream that
    cannot seek is copied to disk first. ``names`` has the titles of a table's columns
    by our names. The lines of rejected orders are written to
    ``rejects``, and their errors are passed to ``complain``.
    """

    stream: BinaryIO
    using: str
    format: str = ""
    encoding: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    ignore_unknown: bool = False
    conventions: Conventions = NO_CONVENTIONS
    rejects: BinaryIO | None = None
    complain: Callable[[str], object] = lambda error: None
    account: str = DEFAULT_ACCOUNT
    limit: int | None = None
    batch_size: int = 1000
    dry_run: bool = False
    is_stopped: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.batch_size = min(self.batch_size, LARGEST_BATCH)
        self.seen = 0
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []

    def run(self) -> Iterator[Batch]:
        """
        Add the missing rows, and yield each batch after it is committed.

        Raises ``UnreadableFileError`` before it writes any row.
        """
        # All rows are due since now, so they are older than the rows of new orders, for
        # which each claim has reserved room.
        shared = {"next_attempt_at": read_now(self.using)}
        with ExitStack() as stack:
            entries = self.open_file(stack)
            # The first reading of a table may have taken a while.
            is_more = not self.is_stopped()
            while is_more and self.left != 0:
                batch = Batch(using=self.using, columns=COLUMNS, shared=shared)
                is_more = self.fill(batch, entries)
                if batch.seen:
                    self.write(batch)
                    yield batch

    @property
    def left(self) -> int | None:
        return None if self.limit is None else self.limit - self.seen

    def fill(self, batch: Batch, entries: Iterator[Entry]) -> bool:
        """Add entries to a batch, and return whether the file may have more."""
        for entry in entries:
            self.seen += 1
            batch.seen += 1
            if entry.report is None:
                self.reject(entry, batch)
            else:
                batch.rows.append(row_of(entry.report, self.account))
            if batch.seen == self.batch_size or self.left == 0:
                return True
        return False

    def reject(self, entry: Entry, batch: Batch) -> None:
        batch.counts["invalid"] += 1
        batch.errors += entry.errors
        self.reject_writer.add(entry.lines)
        for error in entry.errors:
            self.complain(error)

    def write(self, batch: Batch) -> None:
        if self.dry_run:
            batch.dry_run()
        else:
            batch.write()
        self.counts += batch.counts
        self.errors = first_errors(self.errors + batch.errors)

    def open_file(self, stack: ExitStack) -> Iterator[Entry]:
        """Open the file as JSON lines or as a table. Raises ``UnreadableFileError``."""
        plain = open_plain(self.stream, stack, encoding=self.encoding)
        self.stream, self.form = plain.stream, plain.form
        if (self.format or guess_format(plain.start)) == "csv":
            return self.read_table(stack)
        if self.names or self.ignore_unknown:
            raise UnreadableFileError(
                "--map and --ignore-unknown work with CSV, not with JSON."
            )
        self.reject_writer = RejectWriter(self.rejects, form=self.form)
        return read_jsonl(Lines(self.stream), self.conventions)

    def read_table(self, stack: ExitStack) -> Iterator[Entry]:
        if not self.stream.seekable():
            self.stream = copy_to_disk(self.stream, stack)
        ids = OrderIds(self.open_table(), is_stopped=self.is_stopped)
        stack.callback(ids.close)
        table = self.open_table()
        self.reject_writer = RejectWriter(self.rejects, table.head, self.form)
        return table.entries(ids)

    def open_table(self) -> Table:
        self.stream.seek(0)
        return Table(
            Lines(self.stream),
            names=self.names,
            ignore_unknown=self.ignore_unknown,
            conventions=self.conventions,
        )


def guess_format(start: bytes) -> str:
    """Return the format of a file that begins so."""
    if start.startswith(b"["):
        raise UnreadableFileError(
            "The file is one JSON array. Write one object on each line: jq -c '.[]'."
        )
    if start.splitlines()[0].strip() == b"{":
        raise UnreadableFileError(
            "The file has JSON objects of several lines. Write one object on each "
            "line: jq -c '.'."
        )
    return "jsonl" if start.startswith(b"{") else "csv"


def row_of(report: OrderReport, account: str) -> tuple[Any, ...]:
    values = report.as_fields()
    return (account, report.order_id, *(values[name] for name in PAYLOAD_FIELDS))
