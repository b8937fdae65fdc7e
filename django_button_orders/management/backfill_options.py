"""What ``button_orders_backfill`` can be told."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from django_button_orders.conf import account_names
from django_button_orders.files.cells import COLUMNS
from django_button_orders.management.base import (
    moment,
    positive,
    rate,
    refuse_empty_time,
)

CONTRADICTIONS = (
    ("--dry-run", "--now"),
    ("--resume", "--order-id"),
    # What is there is left alone, so a file is just read again.
    ("--from-file", "--resume"),
    *(
        ("--from-file", name)
        for name in ("--model", "--since", "--until", "--order-id")
    ),
)
FOR_FILES = ("--input-format", "--map", "--ignore-unknown", "--account", "--rejects")


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


def add_file(parser: CommandParser) -> None:
    group = parser.add_argument_group("or the orders of a file")
    group.add_argument(
        "--from-file",
        metavar="FILE",
        help="JSON lines with Button's field names, or CSV with a row for each line "
        "item, the rows of an order together; UTF-8, amounts in minor units (1234 "
        "is 12.34 USD); - is standard input",
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
        help="what a column is called in the header of the CSV file; can be given "
        f"more than once. Ours are {', '.join(COLUMNS)}",
    )
    group.add_argument(
        "--ignore-unknown",
        action="store_true",
        help="leave columns of the CSV file out whose names are not known",
    )
    group.add_argument(
        "--account", help="of these orders: a key of ACCOUNTS (default: default)"
    )
    group.add_argument(
        "--rejects",
        metavar="FILE",
        help="write the lines of refused orders to this file, as they are, to be "
        "mended and read again",
    )


def add_manner(parser: CommandParser) -> None:
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
    """Parse "order_id=Order number" into what is theirs and what is ours."""
    ours, _, theirs = text.partition("=")
    if ours not in COLUMNS or not theirs:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not OURS=THEIRS; ours are {', '.join(COLUMNS)}"
        )
    return theirs, ours


def refuse_contradictions(options: Mapping[str, Any]) -> None:
    """Raise ``CommandError`` instead of guessing what is meant."""
    for pair in CONTRADICTIONS:
        if all(is_given(name, options) for name in pair):
            raise CommandError(f"Choose one of {' and '.join(pair)}.")
    for name in FOR_FILES:
        if is_given(name, options) and not options["from_file"]:
            raise CommandError(f"{name} is about files: it needs --from-file.")
    alias, account = options["database"], options["account"]
    if alias is not None and alias not in connections:
        raise CommandError(f"'{alias}' is not a database of the settings.")
    if account is not None and account not in account_names():
        raise CommandError(f"'{account}' is not an account of the settings.")
    refuse_empty_time(options["since"], options["until"])


def is_given(option: str, options: Mapping[str, Any]) -> bool:
    name = option.strip("-").replace("-", "_")
    return bool(options["order_ids" if name == "order_id" else name])
