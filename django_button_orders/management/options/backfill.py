"""The arguments of ``button_orders_backfill``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from django_button_orders.files.cells import COLUMNS
from django_button_orders.files.numbers import SEPARATORS
from django_button_orders.files.reports import Conventions
from django_button_orders.management.options.values import (
    moment,
    positive,
    rate,
    refuse_empty_time,
    refuse_unknown_account,
    refuse_unknown_database,
)
from django_button_orders.report.validation import clean_currency

CONTRADICTIONS = (
    ("--dry-run", "--now"),
    ("--resume", "--order-id"),
    # A second run ignores the orders that have a row, so it simply reads the file anew.
    ("--from-file", "--resume"),
    *(
        ("--from-file", name)
        for name in ("--model", "--since", "--until", "--order-id")
    ),
)
FILE_OPTIONS = (
    "--input-format",
    "--encoding",
    "--map",
    "--ignore-unknown",
    "--decimals",
    "--decimal-separator",
    "--currency",
    "--time-zone",
    "--date-format",
    "--account",
    "--rejects",
)


def add_selection(parser: CommandParser) -> None:
    group = parser.add_argument_group("which orders of the registered models")
    group.add_argument(
        "--model",
        metavar="APP.MODEL",
        help="only this registered model (default: all of them)",
    )
    group.add_argument(
        "--since", type=moment, help="only orders from this date or time on"
    )
    group.add_argument(
        "--until", type=moment, help="only orders before this date or time"
    )
    group.add_argument(
        "--order-id",
        action="append",
        default=[],
        dest="order_ids",
        metavar="ID",
        help="only the order with this id; can be given more than once",
    )


def add_file_options(parser: CommandParser) -> None:
    group = parser.add_argument_group("or the orders of a file")
    group.add_argument(
        "--from-file",
        metavar="FILE",
        help="JSON lines with Button's field names, or CSV with a row for each line "
        "item, the rows of an order together; may be compressed with gzip; - is "
        "standard input",
    )
    group.add_argument(
        "--input-format",
        choices=["csv", "jsonl"],
        help="what the file is (default: JSON lines if it begins with a brace)",
    )
    group.add_argument(
        "--map",
        action="append",
        type=pair,
        default=[],
        metavar="OURS=THEIRS",
        help="what a column is called in the header of the CSV file, which wins over a "
        "column that has our name; can be given more than once. Ours are "
        f"{', '.join(COLUMNS)}",
    )
    group.add_argument(
        "--ignore-unknown",
        action="store_true",
        help="leave columns of the CSV file out whose names are not known",
    )
    add_conventions(group)
    group.add_argument(
        "--account", help="of these orders: a key of ACCOUNTS (default: default)"
    )
    group.add_argument(
        "--rejects",
        metavar="FILE",
        help="write the lines of refused orders to this file, as they are, to be "
        "mended and read again",
    )


def add_conventions(group: argparse._ArgumentGroup) -> None:
    """Add the options that tell what the file does not say itself."""
    group.add_argument(
        "--encoding",
        type=encoding,
        help="such as cp1252 (default: UTF-8, or UTF-16 if the file begins so)",
    )
    group.add_argument(
        "--decimals",
        action="store_true",
        help="amounts are decimals such as 12.34, 1,234.50 or $12.50, and not integers "
        "of minor units (1234 is 12.34 USD); total_as_decimal in the file wins",
    )
    group.add_argument(
        "--decimal-separator",
        choices=SEPARATORS,
        default="",
        metavar="CHARACTER",
        help="what stands before the decimals, . or , for files with amounts such as "
        "7.000; implies --decimals",
    )
    group.add_argument(
        "--currency",
        type=currency,
        help="of orders for which the file has none, such as USD",
    )
    group.add_argument(
        "--time-zone",
        type=time_zone,
        metavar="ZONE",
        help="of dates for which the file has none, such as Europe/Berlin or UTC",
    )
    group.add_argument(
        "--date-format",
        default="",
        metavar="FORMAT",
        help="of all dates, if they are not ISO 8601, in the directives of strptime: "
        "%%d/%%m/%%Y %%H:%%M",
    )


def add_run_options(parser: CommandParser) -> None:
    group = parser.add_argument_group("how many, how fast, and where")
    group.add_argument("--limit", type=positive, help="at most so many orders")
    group.add_argument(
        "--batch-size",
        type=positive,
        default=1000,
        help="orders read and rows written at once (default: %(default)s)",
    )
    group.add_argument(
        "--rate",
        type=rate,
        metavar="N",
        help="make at most N rows per second; with --now, report at most N",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on where a run with the same --model, --since and --until was "
        "interrupted; from the start, if none was",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="only count, change nothing"
    )
    group.add_argument(
        "--now",
        action="store_true",
        help="report the orders in this process instead of leaving them to the workers",
    )
    group.add_argument(
        "--noinput",
        "--no-input",
        action="store_false",
        dest="interactive",
        help="do not ask for confirmation, as is done on a terminal",
    )
    group.add_argument(
        "--database",
        help="the database of the orders (default: the one of their model)",
    )


def pair(text: str) -> tuple[str, str]:
    """Parse "order_id=Order number" into our name and a column's name in the file."""
    ours, _, theirs = text.partition("=")
    if ours not in COLUMNS or not theirs.strip():
        raise argparse.ArgumentTypeError(
            f"'{text}' is not OURS=THEIRS; ours are {', '.join(COLUMNS)}"
        )
    return ours, " ".join(theirs.split())


def encoding(text: str) -> str:
    """Parse the name of an encoding that Python knows."""
    try:
        "".encode(text)
    except LookupError as exc:
        raise argparse.ArgumentTypeError(f"'{text}' is not an encoding") from exc
    return text


def currency(text: str) -> str:
    """Parse the code of a currency."""
    try:
        return clean_currency(text)
    except ValidationError as exc:
        raise argparse.ArgumentTypeError(" ".join(exc.messages)) from exc


def time_zone(text: str) -> ZoneInfo:
    """Parse the name of a time zone."""
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError) as exc:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a time zone such as Europe/Berlin or UTC"
        ) from exc


def conventions_of(options: argparse.Namespace) -> Conventions:
    return Conventions(
        decimals=options.decimals,
        decimal_separator=options.decimal_separator,
        currency=options.currency or "",
        zone=options.time_zone,
        date_format=options.date_format,
    )


def refuse_contradictions(options: Mapping[str, Any]) -> None:
    """Raise ``CommandError`` for options that do not go together."""
    for names in CONTRADICTIONS:
        if all(is_given(name, options) for name in names):
            raise CommandError(f"Choose one of {' and '.join(names)}.")
    ours = [name for name, _ in options["map"]]
    if twice := sorted({name for name in ours if ours.count(name) > 1}):
        raise CommandError(f"Name one column for {', '.join(twice)}: see --map.")
    for name in FILE_OPTIONS:
        if is_given(name, options) and not options["from_file"]:
            raise CommandError(f"{name} is about files: it needs --from-file.")
    refuse_unknown_database(options["database"])
    refuse_unknown_account(options["account"])
    refuse_empty_time(options["since"], options["until"])


def is_given(option: str, options: Mapping[str, Any]) -> bool:
    name = option.strip("-").replace("-", "_")
    return bool(options["order_ids" if name == "order_id" else name])


def open_input(name: str) -> AbstractContextManager[BinaryIO]:
    """Open the file of ``--from-file``; "-" is standard input. Raises ``OSError``."""
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    return Path(name).open("rb")


def open_rejects(
    name: str | None, source: BinaryIO, stack: ExitStack
) -> BinaryIO | None:
    """
    Open the file of ``--rejects``. Only its owner may read it, because the lines
    have customers' data. Raises ``OSError``.
    """
    if name is None:
        return None
    path = Path(name)
    if path.exists() and os.path.samestat(path.stat(), os.fstat(source.fileno())):
        raise CommandError("Choose another file for --rejects than for --from-file.")
    if path.exists() and not path.is_file():
        # A pipe or a device cannot be created anew.
        return stack.enter_context(path.open("wb"))
    # An earlier file goes, because others may be able to read it or have a link to it.
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return stack.enter_context(os.fdopen(number, "wb"))
