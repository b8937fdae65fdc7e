"""Find out what the columns of a CSV file are."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.files.cells import COLUMNS
from django_button_orders.files.forms import UnreadableFileError
from django_button_orders.files.lines import Line, Lines
from django_button_orders.report.columns import OF_LINE_ITEM
from django_button_orders.report.validation import as_line, redact_email

DELIMITERS = ",;\t"
# Excel writes and reads a line such as "sep=;" above the header.
SEP = re.compile(r' *"?sep=(?P<delimiter>[^"\w\n\r])"? *', re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first lines of a table, and in which column is what of ours."""

    lines: Sequence[Line]
    delimiter: str
    width: int
    positions: Mapping[str, int]
    # Columns without a title may only be empty.
    untitled: Sequence[int] = ()


def dialect(delimiter: str) -> dict[str, Any]:
    return {"delimiter": delimiter, "strict": True}


def read_header(
    lines: Lines, *, names: Mapping[str, str], ignore_unknown: bool
) -> Header:
    """
    Read the header of a table.

    ``names`` has the titles of columns by our names. All other columns have our names
    as titles.
    """
    head = [next_line(lines)]
    delimiters = DELIMITERS
    try:
        if match := SEP.fullmatch(head[0].as_text()):
            delimiters = match["delimiter"]
            head.append(next_line(lines))
        text = head[-1].as_text()
    except ValidationError as exc:
        raise unreadable(as_line(exc)) from exc
    delimiter, titles = split(text, delimiters, names.get("order_id", "order_id"))
    columns = find_columns(titles, names)
    check_columns(columns, titles, names, ignore_unknown=ignore_unknown)
    untitled = [at for at, title in enumerate(titles) if not title]
    return Header(
        lines=head,
        delimiter=delimiter,
        width=len(titles),
        positions={name: at for at, column in enumerate(columns) for name in column},
        untitled=() if ignore_unknown else untitled,
    )


def next_line(lines: Lines) -> Line:
    head = next((line for line in lines if line.raw.strip()), None)
    if head is None:
        raise UnreadableFileError("The file is empty.")
    head.close()
    return head


def unreadable(reason: str) -> UnreadableFileError:
    return UnreadableFileError(f"The header of the file cannot be read: {reason}")


def split(text: str, delimiters: str, order_id: str) -> tuple[str, list[str]]:
    """Return the delimiter of a header, and its titles."""
    found: dict[str, list[str]] = {}
    error = ""
    for delimiter in delimiters:
        try:
            titles = next(csv.reader([text], **dialect(delimiter)))
        except csv.Error as exc:
            error = f"{exc}."
        else:
            found[delimiter] = [" ".join(title.split()) for title in titles]
    # The delimiter is the one that finds the ID, or else the most titles.
    rank = {
        each: (bool(find(found[each], order_id)), len(found[each])) for each in found
    }
    best = max(rank, key=rank.__getitem__, default="")
    if error and rank.get(best, (False, 1)) == (False, 1):
        raise unreadable(error)
    return best, found[best]


def as_name(title: str) -> str:
    """Return "order_id" for "Order ID"."""
    return "_".join(title.lower().split())


def find(titles: list[str], wanted: str) -> list[int]:
    """Return where a title stands, in upper or lower case."""
    return [at for at, title in enumerate(titles) if as_name(title) == as_name(wanted)]


def find_columns(titles: list[str], names: Mapping[str, str]) -> list[list[str]]:
    """Return our names of each column. One column may be several of ours."""
    columns: list[list[str]] = [[] for _ in titles]
    for name in COLUMNS:
        title = names.get(name, name)
        exact = [at for at, each in enumerate(titles) if each == title]
        for at in exact if name in names and exact else find(titles, title):
            columns[at].append(name)
    return columns


def check_columns(
    columns: list[list[str]],
    titles: list[str],
    names: Mapping[str, str],
    *,
    ignore_unknown: bool,
) -> None:
    """Raise ``UnreadableFileError`` unless it is clear what each column is."""
    found = [name for column in columns for name in column]
    if missing := [title for name, title in names.items() if name not in found]:
        raise UnreadableFileError(
            f"The file has no column {quote(missing)}. Its columns are {quote(titles)}."
        )
    if "order_id" not in found:
        raise UnreadableFileError(
            "The header has no column order_id. Map a column to it, such as "
            "--map 'order_id=Order number'."
        )
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise UnreadableFileError(
            f"More than one column is mapped to {', '.join(twice)}."
        )
    for title, column in zip(titles, columns, strict=True):
        refuse_both(title, column, names)
    unknown = [
        title
        for title, column in zip(titles, columns, strict=True)
        # A column with one of our names may have been replaced by --map.
        if title and not column and as_name(title) not in COLUMNS
    ]
    if unknown and not ignore_unknown:
        raise UnreadableFileError(
            f"Unknown columns: {', '.join(unknown)}. Map them with --map FIELD=COLUMN, "
            f"or ignore them with --ignore-unknown. Fields: {', '.join(COLUMNS)}."
        )


def refuse_both(title: str, column: list[str], names: Mapping[str, str]) -> None:
    """Refuse a column that --map makes a line's, and its title the order's."""
    of_line = [name for name in column if name in OF_LINE_ITEM and name in names]
    of_order = [name for name in column if name not in {*OF_LINE_ITEM, *names}]
    if of_line and of_order:
        raise UnreadableFileError(
            f"--map uses the column {quote([title])} for {of_line[0]}, but its name is "
            f"that of {of_order[0]}. Also map a column to {of_order[0]}: "
            f"--map '{of_order[0]}=...'."
        )


def quote(titles: Sequence[str]) -> str:
    """Return titles for a message. Without a header, they are a customer's data."""
    return ", ".join(repr(redact_email(title)) for title in titles if title)
