from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta, timezone
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone as django_timezone

from django_button_orders.conf import DEFAULT_ACCOUNT, get_settings
from django_button_orders.files.export import BatchFile
from django_button_orders.management.base import (
    ButtonOrdersCommand,
    Stop,
    counted,
    progress_bar,
    stop_on_signals,
    where_reasons,
)
from django_button_orders.management.options.values import moment, refuse_empty_time
from django_button_orders.models.databases import database_aliases
from django_button_orders.report import columns

STDOUT = "-"


def utc_moment(text: str) -> datetime:
    """Parse a date, or date and time, in UTC, as in Button's guide."""
    with django_timezone.override(timezone.utc):
        return moment(text)


class Command(ButtonOrdersCommand):
    help = (
        "Writes a batch file for Button, for when you cannot use the API. It is CSV "
        "in UTF-8, with one row per line item. A file of new orders has those that "
        "were bought in a period. A file of changes has older orders that were "
        "changed or cancelled in that period. The default period is yesterday, in "
        "UTC. Button publishes only part of the columns: agree on them with Button "
        "before you send a file, and set BUTTON_ORDERS['BATCH_FILE_COLUMNS']. Orders "
        "that cannot be built are listed on standard error with the reason."
    )
    examples = """\
  manage.py button_orders_export --kind new > new.csv
  manage.py button_orders_export --kind new /srv/button/new
  manage.py button_orders_export --kind changes --since 2026-11-01 /srv/button/changes
  manage.py button_orders_export --kind new --since 2026-11-23T08:00Z \\
      --until 2026-11-23T20:00Z --account eu --brand SHOP_EU .
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "output",
            nargs="?",
            default=STDOUT,
            metavar="DIRECTORY",
            help="the directory of the file, which is named as in Button's guide, such "
            "as BRAND_orders_2026-11-24.csv; - (the default) is standard output",
        )
        parser.add_argument(
            "--kind",
            choices=columns.KINDS,
            required=True,
            help="new orders, or changes and cancellations of older orders",
        )
        parser.add_argument(
            "--since",
            type=utc_moment,
            help="start of the period: a date or time in UTC",
        )
        parser.add_argument(
            "--until",
            type=utc_moment,
            help="end of the period: a date or time in UTC (default: now, if --since "
            "is given)",
        )
        parser.add_argument(
            "--account",
            default=DEFAULT_ACCOUNT,
            help="the account of the orders (default: %(default)s)",
        )
        parser.add_argument(
            "--brand",
            help="the brand with which the file name starts "
            "(default: BUTTON_ORDERS['BATCH_FILE_BRAND'])",
        )
        parser.add_argument(
            "--overwrite",
            action="store_true",
            help="replace a file with the same name once the new file is complete",
        )
        self.add_format(parser)

    def handle(self, *, output: str, account: str, format: str, **options: Any) -> None:
        now = datetime.now(timezone.utc)
        since, until = find_interval(options["since"], options["until"], now)
        try:
            batch_file = BatchFile(
                account=account,
                kind=options["kind"],
                since=since,
                until=until,
                complain=self.complain,
            )
        except ImproperlyConfigured as exc:
            raise CommandError(str(exc)) from exc
        with stop_on_signals() as stop:
            if output == STDOUT:
                self.write_to_stdout(batch_file, stop)
            else:
                path = find_path(output, options["brand"], account, now)
                with new_file(path, overwrite=options["overwrite"]) as stream:
                    self.write(batch_file, stream, stop)
        self.print_summary(batch_file, None if output == STDOUT else path, format)

    def write_to_stdout(self, batch_file: BatchFile, stop: Stop) -> None:
        reconfigure = getattr(self.stdout.raw, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", newline="")
        try:
            self.write(batch_file, self.stdout.raw, stop)
            self.stdout.raw.flush()
        except BrokenPipeError as exc:
            raise CommandError(
                "The output was closed before the file was complete."
            ) from exc

    def write(self, batch_file: BatchFile, stream: Any, stop: Stop) -> None:
        """Write the rows of all databases. Raise ``CommandError`` if stopped before."""
        writer = csv.writer(stream)
        writer.writerow(batch_file.header)
        # Among rows on a terminal, nobody could read a bar.
        is_shown = not stream.isatty()
        with progress_bar(
            self.stderr, "Exporting", None, unit=" rows", is_shown=is_shown
        ) as self.bar:
            for alias in database_aliases():
                for rows in batch_file.pages(alias):
                    if stop.is_set:
                        raise CommandError("Interrupted: no complete file was written.")
                    writer.writerows(rows)
                    self.bar.update(len(rows))

    def complain(self, error: str) -> None:
        self.bar.clear()
        self.stderr.write(error)

    def print_summary(
        self, batch_file: BatchFile, path: Path | None, format_: str
    ) -> None:
        counts = batch_file.counts
        summary = {name: counts[name] for name in ("orders", "rows", "failed")}
        # The rows go to standard output, so the summary must not.
        stream = self.stderr if path is None else self.stdout
        if format_ == "text" and not any(summary.values()):
            stream.write("No order is in this period. Only a header was written.")
            return
        self.summarize(
            {"file": str(path) if path else None, **summary}, format_, stream=stream
        )
        if failed := counts["failed"]:
            are = "is" if failed == 1 else "are"
            raise CommandError(
                f"{counted(failed, 'order')} {are} not in the file. "
                f"{where_reasons(failed)}"
            )


def find_interval(
    since: datetime | None, until: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """Return when the file's time begins and ends: without options, yesterday."""
    if since is None and until is not None:
        raise CommandError("--until needs --since.")
    if since is None:
        today = datetime.combine(now.date(), time.min, timezone.utc)
        return today - timedelta(days=1), today
    refuse_empty_time(since, until)
    return since, until or now


def find_path(directory: str, brand: str | None, account: str, now: datetime) -> Path:
    """Return the path of the file, named as in Button's guide."""
    brand = brand or get_settings(account).batch_file_brand
    if brand is None:
        raise CommandError(
            "Set --brand or BUTTON_ORDERS['BATCH_FILE_BRAND']; the file name starts "
            "with it."
        )
    if not columns.is_brand(brand):
        raise CommandError("--brand can have only letters, digits, '-' and '_'.")
    if not Path(directory).is_dir():
        raise CommandError(f"'{directory}' is not a directory.")
    return Path(directory) / f"{brand}_orders_{now.date().isoformat()}.csv"


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[Any]:
    """Yield a temporary file, and give it its name once it is complete."""
    if path.exists() and not overwrite:
        raise CommandError(f"'{path}' already exists. Move it, or use --overwrite.")
    with NamedTemporaryFile(
        "w",
        encoding="utf-8",
        newline="",
        dir=path.parent,
        prefix=f".{path.name}.",
        delete=False,
    ) as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:
            Path(stream.name).unlink()
            raise
    Path(stream.name).replace(path)
