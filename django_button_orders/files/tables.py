"""
Read orders from CSV files with a row for each line item, such as Button's batch files.

The rows of an order must follow each other. Each repeats the order's values, or the
first row alone has them.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile

from django.core.exceptions import ValidationError

from django_button_orders.files.cells import build_values
from django_button_orders.files.headers import dialect, read_header
from django_button_orders.files.lines import Entry, Line, Lines
from django_button_orders.files.reports import (
    NO_CONVENTIONS,
    Conventions,
    build_report,
)
from django_button_orders.report.columns import OF_LINE_ITEM

# Without this limit, one open quote would take the rest of the file.
MOST_LINES_OF_A_ROW = 100
MOST_ROWS_OF_AN_ORDER = 10_000
# Without an ID, a row with these may be another order.
OF_AN_ORDER = {"total", "purchase_date"}
SCATTERED = (
    "the rows of this order are not together, or are more than "
    f"{MOST_ROWS_OF_AN_ORDER:,}. Sort the file by order."
)


@dataclass(kw_only=True)
class Row:
    """A row of the table. A quoted cell may have line breaks, so it has lines."""

    lines: list[Line]
    order_id: str
    cells: dict[str, str] = field(default_factory=dict)
    error: ValidationError | None = None

    @property
    def continues_order(self) -> bool:
        """
        Return whether the row belongs to the order above it.

        It has no ID then, but a line item, and is no order by itself. A row that cannot
        be read may be one of these.
        """
        if self.order_id or self.error is not None:
            return not self.order_id
        is_line = not OF_LINE_ITEM.keys().isdisjoint(self.cells)
        return is_line and not self.cells.keys() >= OF_AN_ORDER


class Table:
    """Reads the orders of a CSV file with a header."""

    def __init__(
        self,
        lines: Lines,
        *,
        names: Mapping[str, str],
        ignore_unknown: bool,
        conventions: Conventions = NO_CONVENTIONS,
    ) -> None:
        self.lines = lines
        self.header = read_header(lines, names=names, ignore_unknown=ignore_unknown)
        self.conventions = conventions

    @property
    def head(self) -> Sequence[Line]:
        return self.header.lines

    def entries(self, ids: OrderIds) -> Iterator[Entry]:
        """Yield an entry for each order."""
        for rows in self.orders():
            entry = Entry(lines=[line for row in rows for line in row.lines])
            for row in rows:
                if row.error is not None:
                    entry.reject(row.lines[0].number, row.error)
            if not entry.errors and ids.is_scattered(rows[0].order_id):
                entry.reject(entry.lines[0].number, SCATTERED)
            if not entry.errors:
                self.build(entry, rows)
            yield entry

    def build(self, entry: Entry, rows: list[Row]) -> None:
        try:
            values = build_values([row.cells for row in rows], self.conventions)
            entry.report = build_report(values, self.conventions)
        except ValidationError as exc:
            entry.reject(entry.lines[0].number, exc)

    def orders(self) -> Iterator[list[Row]]:
        """Yield the rows of each order."""
        rows: list[Row] = []
        for row in self.rows():
            is_same = bool(rows) and row.order_id == rows[0].order_id != ""
            if rows and not (is_same and len(rows) < MOST_ROWS_OF_AN_ORDER):
                yield rows
                rows = []
            rows.append(row)
        if rows:
            yield rows

    def rows(self) -> Iterator[Row]:
        order_id = ""
        while (record := self.next_record()) is not None:
            lines, values, error = record
            if error or any(value.strip() for value in values):
                row = self.make_row(lines, values, error)
                if row.continues_order:
                    row.order_id = order_id
                order_id = row.order_id
                yield row

    def next_record(
        self,
    ) -> tuple[list[Line], list[str], ValidationError | None] | None:
        """Return the lines of the next row with its values or its error, or None."""
        taken: list[Line] = []
        try:
            values = next(
                csv.reader(self.read_lines(taken), **dialect(self.header.delimiter)),
                None,
            )
        except csv.Error as exc:
            # Only the first line may be wrong, so the others are read again.
            self.lines.put_back(taken[1:])
            return taken[:1], [], ValidationError(f"This is not CSV: {exc}.")
        except ValidationError as exc:
            self.lines.put_back(taken[1:])
            return taken[:1], [], exc
        return None if values is None else (taken, values, None)

    def read_lines(self, taken: list[Line]) -> Iterator[str]:
        for line in self.lines:
            taken.append(line)
            if len(taken) > MOST_LINES_OF_A_ROW:
                raise ValidationError("A quote is not closed.")
            # A line's end is part of a quoted text.
            yield line.as_text() + "\n"

    def make_row(
        self, lines: list[Line], values: list[str], error: ValidationError | None
    ) -> Row:
        header = self.header
        values = [value.strip() for value in values]
        # Some programs write a delimiter at the end of each row.
        while len(values) > header.width and not values[-1]:
            values.pop()
        if error is None and len(values) != header.width:
            error = ValidationError(
                "The number of values differs: %(row)d in the row, %(header)d in the "
                "header.",
                params={"row": len(values), "header": header.width},
            )
        if error is None and any(values[at] for at in header.untitled):
            error = ValidationError("The row has a value in a column without a title.")
        if error is not None:
            return Row(lines=lines, order_id=self.guess_order_id(lines[0]), error=error)
        cells = {
            name: values[at] for name, at in header.positions.items() if values[at]
        }
        return Row(lines=lines, order_id=cells.get("order_id", ""), cells=cells)

    def guess_order_id(self, line: Line) -> str:
        """Return the probable order ID of a row that cannot be read."""
        cells = line.raw.decode(errors="replace").split(self.header.delimiter)
        at = self.header.positions["order_id"]
        return cells[at].strip().strip('"').strip() if at < len(cells) else ""


class OrderIds:
    """
    Finds orders whose rows are in more than one place of a file.

    The order IDs are in a temporary SQLite database on disk, because millions of them
    may not fit into memory.
    """

    def __init__(
        self, table: Table, *, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.connection = sqlite3.connect("", isolation_level=None)

        def goes_on(order_id: str) -> bool:
            return not is_stopped()

        with closing(self.connection.cursor()) as cursor:
            cursor.execute("PRAGMA journal_mode=OFF")
            cursor.execute(
                "CREATE TABLE seen (id TEXT PRIMARY KEY, places INTEGER) WITHOUT ROWID"
            )
            cursor.execute("BEGIN")
            cursor.executemany(
                "INSERT INTO seen VALUES (?, 1) "
                "ON CONFLICT (id) DO UPDATE SET places = places + 1",
                ((order_id,) for order_id in takewhile(goes_on, ids_of(table))),
            )

    def is_scattered(self, order_id: str) -> bool:
        query = "SELECT places FROM seen WHERE id = ?"
        found = self.connection.execute(query, (order_id,)).fetchone()
        return order_id != "" and found is not None and found[0] > 1

    def close(self) -> None:
        self.connection.close()


def ids_of(table: Table) -> Iterator[str]:
    for rows in table.orders():
        yield rows[0].order_id
        for row in rows:
            for line in row.lines:
                line.close()
