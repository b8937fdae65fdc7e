"""What the commands share: how they take moments, and how they end."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Outcomes of attempts that leave something to do.
UNFINISHED = ("retry", "pause", "release")


class ButtonOrdersCommand(BaseCommand):
    """A command with examples in its help and a summary of one line at its end."""

    examples = ""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except (OperationalError, InterfaceError) as exc:
            raise CommandError(
                f"The database does not answer, or not as it should: {exc} "
                "What was done until then is kept. Run the command again."
            ) from exc

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        return super().create_parser(
            prog_name,
            subcommand,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"examples:\n{self.examples}",
            **kwargs,
        )

    def add_format(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format",
            choices=["text", "json"],
            default="text",
            help="how to print the summary (default: %(default)s)",
        )

    def summarize(self, summary: Mapping[str, Any], format_: str) -> None:
        if format_ == "json":
            self.stdout.write(json.dumps(summary))
            return
        counts = [
            f"{value} {name.replace('_', ' ')}"
            for name, value in summary.items()
            if isinstance(value, int) and not isinstance(value, bool) and value
        ]
        self.stdout.write(f"{', '.join(counts) or 'Nothing to do'}.")


def moment(text: str) -> datetime:
    """Parse an ISO 8601 date or date and time, by default in the current zone."""
    try:
        parsed = parse_datetime(text)
        day = parse_date(text) if parsed is None else None
    except ValueError:
        parsed = day = None
    if day is not None:
        parsed = datetime.combine(day, time.min)
    if parsed is None:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a date such as 2026-11-23 or 2026-11-23T08:00Z"
        )
    return timezone.make_aware(parsed) if timezone.is_naive(parsed) else parsed


def seconds(text: str) -> float:
    """Parse a length of time such as 90, 90s, 15m, 2h or 1d."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a time such as 90s, 15m, 2h or 1d"
        )
    return int(match[1]) * UNITS[match[2]]


def positive(text: str) -> int:
    """Parse an integer above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer above 0")
    return int(text)


def rate(text: str) -> float:
    """Parse a number per second above 0, such as 20 or 0.5."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def fail_unless_done(outcomes: Counter[str]) -> None:
    """Raise ``CommandError`` when some orders were not settled."""
    failed = outcomes["failed"]
    unfinished = sum(outcomes[name] for name in UNFINISHED)
    if failed or unfinished:
        raise CommandError(
            f"{failed} failed and need a person, {unfinished} will be tried again. "
            "The admin shows the reasons."
        )
