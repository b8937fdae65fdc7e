"""What every command can do: explain itself, ask, stop, show progress, sum up."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from textwrap import fill
from typing import Any, TextIO

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    OutputWrapper,
    SystemCheckError,
)
from django.db import InterfaceError, OperationalError
from tqdm import tqdm

from django_button_orders.management.exit_statuses import (
    CTRL_C,
    SIGNAL,
    exit_statuses_of,
)
from django_button_orders.models.databases import MissingTablesError
from django_button_orders.printable import printable

# What people read where the name of a count would be odd. Programs read the names.
LABELS = {
    "retry": "to be retried",
    "pause": "waiting for the API key",
    "release": "not attempted",
    "tried": "attempted",
    # Kinds of differences.
    "active": "cancelled only here",
    "deleted": "cancelled only at Button",
    "token": "without the current token",
}
# The words of the summaries that are others for one order.
SINGULARS = {
    "agree": "agrees",
    "bodies": "body",
    "orders": "order",
    "reports": "report",
    "rows": "row",
    "submissions": "submission",
}
UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
HELP_WIDTH = 79
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class ButtonOrdersCommand(BaseCommand):
    """A command with examples in its help and a summary of one line at its end."""

    examples = ""

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command. Ctrl-C before it listens for that ends it in silence."""
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt:
            sys.exit(CTRL_C)
        except BrokenPipeError:
            # The argparse of Python 3.10 prints the help without our ``Output``.
            if not {"-h", "--help"} & set(argv):
                raise
        finally:
            flush_outputs()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. Turn errors of the database into ``CommandError``."""
        try:
            return super().execute(*args, **options)
        except SystemCheckError:
            # It has several lines, and those of the system checks.
            raise
        except CommandError as exc:
            exc.args = (printable(str(exc)),)
            raise
        except MissingTablesError as exc:
            raise CommandError(str(exc)) from exc
        except (OperationalError, InterfaceError) as exc:
            what = printable(" ".join(str(exc).split()))
            raise CommandError(
                f"The database failed: {what.rstrip('.')}. "
                "Finished work is kept. Run the command again."
            ) from exc

    # Django sets them when the command is made, and again when it is called.

    @property
    def stdout(self) -> Output:
        return self._stdout

    @stdout.setter
    def stdout(self, output: OutputWrapper) -> None:
        self._stdout = Output(output)

    @property
    def stderr(self) -> Output:
        return self._stderr

    @stderr.setter
    def stderr(self, output: OutputWrapper) -> None:
        self._stderr = Output(output)

    def print_lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        # Raw, because the lines of the epilog are to stay as they are.
        parser = super().create_parser(
            prog_name,
            subcommand,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"examples:\n{self.examples}\n{self.describe_exit_statuses()}",
            **kwargs,
        )
        parser.description = fill(self.help, HELP_WIDTH)
        return parser

    def describe_exit_statuses(self) -> str:
        """Return the lines of ``--help`` about the exit statuses of this command."""
        name = type(self).__module__.rpartition(".")[2]
        lines = [
            fill(
                meaning,
                HELP_WIDTH,
                initial_indent=f"  {status:<5}",
                subsequent_indent=" " * 7,
            )
            for status, meaning in exit_statuses_of(name).items()
        ]
        return "\n".join(["exit statuses:", *lines])

    def add_format(
        self,
        parser: CommandParser,
        *,
        help: str = "the format of the summary (default: %(default)s)",
    ) -> None:
        parser.add_argument(
            "--format", choices=["text", "json"], default="text", help=help
        )

    def add_noinput(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="do not ask for confirmation on a terminal",
        )

    def confirm(self, question: Callable[[], str], *, interactive: bool) -> None:
        """Ask on a terminal. Raise ``CommandError`` unless the answer is yes."""
        if not interactive or not sys.stdin.isatty():
            return
        # Programs read the standard output, so the question goes to standard error.
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
        """Print counts as one line of text, without those that are 0, or as JSON."""
        stream = stream or self.stdout
        if format_ == "json":
            stream.write(json.dumps(summary), str)
            return
        counts = ", ".join(
            count_of(name, value)
            for name, value in summary.items()
            if isinstance(value, int) and not isinstance(value, bool) and value
        )
        if not counts:
            is_dry = summary.get("dry_run")
            text = "Dry run: nothing to do" if is_dry else "Nothing to do"
        elif summary.get("dry_run"):
            text = f"Dry run, nothing was changed. Without --dry-run: {counts}"
        else:
            text = counts
        stream.write(f"{text}.", str)


def count_of(name: str, number: int) -> str:
    """Return a count of a summary in words, such as "1 body emptied"."""
    label = LABELS.get(name, name.replace("_", " "))
    first, *rest = label.split()
    if number == 1:
        first = SINGULARS.get(first, first)
    return " ".join([f"{number}", first, *rest])


def in_words(seconds: float) -> str:
    """Return a length of time in the largest unit of which it has at least 1."""
    whole = max(round(seconds), 1)
    # Almost an hour is one hour, rather than 60 minutes.
    size, unit = next(item for item in UNITS if whole >= 0.98 * item[0])
    return counted(round(whole / size), unit)


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, such as "1 order" or "1,200 orders"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def where_reasons(number: int) -> str:
    """Return a sentence that says where the reasons for a number of errors are."""
    return "The reason is above." if number == 1 else "The reasons are above."


class Output(OutputWrapper):
    """
    An output of which each write is one line, whatever others have put into it.

    ``raw`` is the file below, for what is no message. If the reader of a pipe ends
    first, as ``head`` does, the rest of the output is discarded, so that the command
    finishes its work.
    """

    is_closed = False

    def __init__(self, output: OutputWrapper) -> None:
        self.raw: Any = getattr(output, "_out")  # noqa: B009 - typed as a method
        super().__init__(self.raw, output.ending)
        self.style_func = output.style_func

    def write(  # type: ignore[override]  # as OutputWrapper does
        self, msg: str = "", style_func: Any = None, ending: str | None = None
    ) -> None:
        if not self.is_closed:
            with self.unless_closed():
                super().write(printable(msg), style_func, ending)

    def flush(self) -> None:
        if not self.is_closed:
            with self.unless_closed():
                super().flush()

    @contextmanager
    def unless_closed(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self.is_closed = True


def flush_outputs() -> None:
    """Print what the buffers hold, unless the reader of a pipe has ended."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            discard(stream)


def discard(stream: TextIO) -> None:
    """Send a stream's output to nowhere. Python flushes its buffer at its exit."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


# Stopping


class Stop:
    """A request to end the command once the work that has begun is finished."""

    def __init__(self) -> None:
        self.is_set = False
        self.number = 0
        # An Event would not do. A signal's handler runs in the main thread, which may
        # hold the Event's lock as it waits, so that set() would wait for ever.
        self.wakeups: SimpleQueue[None] = SimpleQueue()

    def set(self, number: int = signal.SIGTERM) -> None:
        self.is_set, self.number = True, number
        self.wakeups.put(None)

    @property
    def exit_status(self) -> int:
        """Return the exit status that a shell gives a process ended by the signal."""
        return SIGNAL + self.number

    def wait(self, seconds: float) -> None:
        """Wait for some seconds, or until the command is told to stop."""
        if self.is_set:
            # The one wake-up may have been used by an earlier wait.
            return
        with suppress(Empty):
            self.wakeups.get(timeout=seconds)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """
    Yield a ``Stop`` that the first SIGTERM or Ctrl-C sets.

    The second signal ends the process at once, even if it waits for a database or a
    name server.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        # Python delivers signals to the main thread only.
        yield stop
        return

    def handle(number: int, frame: object) -> None:
        for other in STOP_SIGNALS:
            signal.signal(other, signal.SIG_DFL)
        stop.set(number)

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in STOP_SIGNALS:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# Progress


class Terminal:
    """A file for tqdm that writes to a command's output without styling it."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def write(self, text: str) -> None:
        self.output.raw.write(text)

    def flush(self) -> None:
        self.output.flush()

    def isatty(self) -> bool:
        return bool(self.output.isatty())


def progress_bar(
    output: Output,
    title: str,
    total: int | None,
    *,
    unit: str = " orders",
    is_shown: bool = True,
) -> tqdm[Any]:
    """Return a bar with the rate and the time left. It is shown on terminals only."""
    return tqdm(
        desc=title,
        total=total,
        unit=unit,
        # A bar is redrawn in place, which logs and pipes cannot show.
        disable=not (is_shown and output.isatty()),
        dynamic_ncols=True,
        file=Terminal(output),
    )
