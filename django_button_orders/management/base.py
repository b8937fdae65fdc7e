"""What the commands share: how they take moments, and how they end."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
)
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from django_button_orders.management.held_back import HeldBack, describe
from django_button_orders.models.databases import MissingTablesError

# Outcomes of attempts that leave something to do.
UNFINISHED = ("retry", "pause", "release")
AGE = re.compile(r"([0-9]{1,8})([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
OLDEST = timedelta(days=36_500)


class ButtonOrdersCommand(BaseCommand):
    """A command with examples in its help and a summary of one line at its end."""

    examples = ""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except MissingTablesError as exc:
            raise CommandError(str(exc)) from exc
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

    def add_noinput(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="ask nothing, also on a terminal",
        )

    def confirm(self, question: Callable[[], str], *, interactive: bool) -> None:
        """Ask on a terminal. Raise ``CommandError`` unless the answer is yes."""
        if not interactive or not sys.stdin.isatty():
            return
        # Standard output is for what the command has to say to other programs.
        self.stderr.write(f"{question()} [y/N] ", str, ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.")

    def summarize(
        self,
        summary: Mapping[str, Any],
        format_: str,
        *,
        stream: OutputWrapper | None = None,
    ) -> None:
        stream = stream or self.stdout
        if format_ == "json":
            stream.write(json.dumps(summary), str)
            return
        counts = [
            f"{value} {name.replace('_', ' ')}"
            for name, value in summary.items()
            if isinstance(value, int) and not isinstance(value, bool) and value
        ]
        stream.write(f"{', '.join(counts) or 'Nothing to do'}.", str)


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


def age(text: str) -> timedelta:
    """Parse how long ago something was, such as 15m, 3h or 2d."""
    match = AGE.fullmatch(text.strip())
    found = timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None
    if not found or found > OLDEST:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not an age such as 45s, 15m, 3h, 2d or 1w"
        )
    return found


def seconds(text: str) -> float:
    """Parse a length of time such as 90, 90s, 15m, 2h or 1d."""
    if text.isdecimal() or (text.endswith("s") and text[:-1].isdecimal()):
        # None at all, too.
        return float(text.removesuffix("s"))
    return age(text).total_seconds()


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


def refuse_empty_time(since: datetime | None, until: datetime | None) -> None:
    """Raise ``CommandError`` for a time in which nothing can be."""
    if since and until and since >= until:
        raise CommandError("--since must be before --until.")


def fail_unless_done(outcomes: Counter[str], held_back: HeldBack) -> None:
    """Raise ``CommandError`` when some orders were not settled."""
    complaints = []
    failed = outcomes["failed"]
    unfinished = sum(outcomes[name] for name in UNFINISHED)
    if failed or unfinished:
        complaints.append(
            f"{failed} failed and need a person, {unfinished} will be tried again. "
            "The admin shows the reasons."
        )
    if held_back:
        complaints.append(describe(held_back))
    if complaints:
        raise CommandError(" ".join(complaints))


def printable(text: str) -> str:
    """Return a text that can do nothing to a terminal: some of it came from afar."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
