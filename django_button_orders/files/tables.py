"""
Read orders from CSV files with a row for each line item, such as Button's batch files.

The rows of an order must follow each other. Each repeats the order's values.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.files.cells import COLUMNS, build_values
from django_button_orders.files.lines import Entry, Line, Lines, UnreadableFileError
from django_button_orders.files.reports import build_report

DELIMITERS = ",;\t"
# Without this limit, one open quote would take the rest of the file.
MOST_LINES_OF_A_ROW = 100
MOST_ROWS_OF_AN_ORDER = 10_000
SCATTERED = (
    "the rows of this order do not stand together, or are more than "
    f"{MOST_ROWS_OF_AN_ORDER:,}. Sort the file by order."
)


@dataclass(kw_only=True)
class Row:
    """A row of the table. A quoted cell may have line breaks, so it has lines."""

    lines: list[Line]
    order_id: str
    cells: dict[str, str] = field(default_factory=dict)
    error: ValidationError | None = None


class Table:
    """Reads the orders of a CSV file with a header."""

    def __init__(
        self, lines: Lines, *, names: Mapping[str, str], ignore_unknown: bool
    ) -> None:
        self.lines = lines
        self.head, self.delimiter, self.columns = read_header(
            lines, names=names, ignore_unknown=ignore_unknown
        )

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
                build(entry, rows)
            yield entry

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
        while (record := self.next_record()) is not None:
            lines, values, error = record
            if values or error:
                yield self.make_row(lines, values, error)

    def next_record(
        self,
    ) -> tuple[list[Line], list[str], ValidationError | None] | None:
        """Return the lines of the next row with its values or its error, or None."""
        taken: list[Line] = []
        try:
            values = next(
                csv.reader(self.read_lines(taken), **dialect(self.delimiter)), None
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
        if error is None and len(values) != len(self.columns):
            error = ValidationError(
                "The row has %(row)d values, and the header %(header)d.",
                params={"row": len(values), "header": len(self.columns)},
            )
        if error is not None:
            return Row(lines=lines, order_id=self.guess_order_id(lines[0]), error=error)
        pairs = zip(self.columns, values, strict=True)
        cells = {name: value for name, value in pairs if name and value != ""}
        return Row(lines=lines, order_id=cells.get("order_id", ""), cells=cells)

    def guess_order_id(self, line: Line) -> str:
        """Return the probable order ID of a row that cannot be read."""
        cells = line.raw.decode(errors="replace").split(self.delimiter)
        at = self.columns.index("order_id")
        return cells[at].strip(' "\r\n') if at < len(cells) else ""


def build(entry: Entry, rows: list[Row]) -> None:
    try:
        entry.report = build_report(build_values([row.cells for row in rows]))
    except ValidationError as exc:
        entry.reject(entry.lines[0].number, exc)


def dialect(delimiter: str) -> dict[str, Any]:
    return {"delimiter": delimiter, "strict": True}


def read_header(
    lines: Lines, *, names: Mapping[str, str], ignore_unknown: bool
) -> tuple[Line, str, list[str]]:
    """Return the header's line, the delimiter and the names of the columns."""
    head = next((line for line in lines if line.raw.strip()), None)
    if head is None:
        raise UnreadableFileError("The file is empty.")
    head.close()
    try:
        text = head.as_text()
        for delimiter in DELIMITERS:
            theirs = next(csv.reader([text], **dialect(delimiter)))
            columns = [names.get(title, as_name(title)) for title in theirs]
            if "order_id" in columns:
                return head, delimiter, check_columns(columns, theirs, ignore_unknown)
    except (csv.Error, ValidationError) as exc:
        raise UnreadableFileError("The header of the file cannot be read.") from exc
    raise UnreadableFileError(
        "The header of the file has no order_id. Name its column: "
        "--map 'order_id=Order number'."
    )


def as_name(title: str) -> str:
    """Return "order_id" for "Order ID"."""
    return "_".join(title.lower().split())


def check_columns(
    columns: list[str], theirs: list[str], ignore_unknown: bool
) -> list[str]:
    """Return the names of the columns, "" for those to ignore."""
    unknown = [
        title
        for name, title in zip(columns, theirs, strict=True)
        if name not in COLUMNS
    ]
    if unknown and not ignore_unknown:
        raise UnreadableFileError(
            f"These columns are not known: {', '.join(unknown)}. Name what they are "
            f"(--map ours=theirs), or leave them out (--ignore-unknown). Known are: "
            f"{', '.join(COLUMNS)}."
        )
    known = [name if name in COLUMNS else "" for name in columns]
    twice = {name for name in known if name and known.count(name) > 1}
    if twice:
        raise UnreadableFileError(
            f"More than one column is {', '.join(sorted(twice))}."
        )
    return known


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
