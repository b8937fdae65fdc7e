"""The arguments of ``button_orders_backfill``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from django_button_orders.files.cells import COLUMNS
from django_button_orders.files.numbers import SEPARATORS
from django_button_orders.files.reports import Conventions
from django_button_orders.management.options.values import (
    add_host_orders,
    positive,
    rate,
    refuse_empty_time,
    refuse_unknown_account,
    refuse_unknown_database,
)
from django_button_orders.report.validation import clean_currency

# It has a day and a month that no format takes for each other.
SAMPLE = datetime(2026, 11, 23, 8, 30, tzinfo=timezone.utc)
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
    group = parser.add_argument_group("orders of the registered models")
    add_host_orders(group)


def add_file_options(parser: CommandParser) -> None:
    group = parser.add_argument_group("orders of a file")
    group.add_argument(
        "--from-file",
        metavar="FILE",
        help="read orders from this file; - is standard input. The file is CSV with "
        "one row per line item, with the rows of an order together, or JSON Lines "
        "with Button's field names. It may be compressed with gzip",
    )
    group.add_argument(
        "--input-format",
        choices=["csv", "jsonl"],
        help="the format of the file (default: jsonl if it begins with a brace, else "
        "csv)",
    )
    group.add_argument(
        "--map",
        action="append",
        type=pair,
        default=[],
        metavar="FIELD=COLUMN",
        help="read a field from this column of the CSV file, even if another column "
        "has the name of the field; repeat the option for more. Fields: "
        f"{', '.join(COLUMNS)}",
    )
    group.add_argument(
        "--ignore-unknown",
        action="store_true",
        help="ignore columns of the CSV file that are not fields",
    )
    add_conventions(group)
    group.add_argument(
        "--account",
        help="the account of these orders: a key of ACCOUNTS (default: default)",
    )
    group.add_argument(
        "--rejects",
        metavar="FILE",
        help="write the lines of rejected orders to this file unchanged, so that you "
        "can correct and read them again",
    )


def add_conventions(group: argparse._ArgumentGroup) -> None:
    """Add the options that tell what the file does not say itself."""
    group.add_argument(
        "--encoding",
        type=encoding,
        help="the encoding of the file, such as cp1252 (default: what a byte order "
        "mark says, or UTF-8)",
    )
    group.add_argument(
        "--decimals",
        action="store_true",
        help="read amounts as decimals such as 12.34, 1,234.50 or $12.50, not as "
        "integers of minor units (1234 is 12.34 USD). A total_as_decimal in "
        "the file takes precedence",
    )
    group.add_argument(
        "--decimal-separator",
        choices=SEPARATORS,
        default="",
        metavar="CHARACTER",
        help="the decimal separator, . or , in files with amounts such as 7.000; "
        "implies --decimals",
    )
    group.add_argument(
        "--currency",
        type=currency,
        help="the currency of orders without one in the file, such as USD",
    )
    group.add_argument(
        "--time-zone",
        type=time_zone,
        metavar="ZONE",
        help="the time zone of dates without one in the file, such as Europe/Berlin or "
        "UTC",
    )
    group.add_argument(
        "--date-format",
        type=date_format,
        default="",
        metavar="FORMAT",
        help="the strptime format of all dates, if they are not ISO 8601, such as "
        "%%d/%%m/%%Y %%H:%%M",
    )


def add_run_options(parser: CommandParser) -> None:
    group = parser.add_argument_group("how to run")
    group.add_argument("--limit", type=positive, metavar="N", help="at most N orders")
    group.add_argument(
        "--batch-size",
        type=positive,
        default=1000,
        help="orders read and stored in one transaction (default: %(default)s)",
    )
    group.add_argument(
        "--rate",
        type=rate,
        metavar="N",
        help="create at most N Button orders per second; with --now, report at most N",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="continue an interrupted run with the same --model, --since and --until; "
        "if there is none, start from the beginning",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="only count; change nothing"
    )
    group.add_argument(
        "--now",
        action="store_true",
        help="report the orders in this process, instead of by the workers",
    )
    group.add_argument(
        "--noinput",
        "--no-input",
        action="store_false",
        dest="interactive",
        help="do not ask for confirmation on a terminal",
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
            f"'{text}' is not FIELD=COLUMN. Fields: {', '.join(COLUMNS)}"
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


def date_format(text: str) -> str:
    """Parse a format of ``strptime``, which has to read what it has written."""
    try:
        datetime.strptime(SAMPLE.strftime(text), text)
    except (ValueError, re.error) as exc:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a format of strptime such as '%d/%m/%Y %H:%M'"
        ) from exc
    return text


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
            raise CommandError(f"{' and '.join(names)} cannot be combined.")
    ours = [name for name, _ in options["map"]]
    if twice := sorted({name for name in ours if ours.count(name) > 1}):
        raise CommandError(f"--map has more than one column for {', '.join(twice)}.")
    for name in FILE_OPTIONS:
        if is_given(name, options) and not options["from_file"]:
            raise CommandError(f"{name} needs --from-file.")
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
        raise CommandError("--rejects and --from-file must be different files.")
    if path.exists() and not path.is_file():
        # A pipe or a device cannot be created anew.
        return stack.enter_context(path.open("wb"))
    # An earlier file goes, because others may be able to read it or have a link to it.
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return stack.enter_context(os.fdopen(number, "wb"))
