"""Read a file line by line, and write the lines of rejected orders as they were."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

from django.core.exceptions import ValidationError

from django_button_orders.files.forms import (
    BLOCK,
    NAME_ENCODING,
    PLAIN,
    Form,
    without_marks,
)
from django_button_orders.report.objects import OrderReport
from django_button_orders.report.validation import as_line, make_storable

# A longer line is no order, and is not held in memory.
LONGEST_LINE = 1 << 20


class Line(NamedTuple):
    """A line of the file with its number, as bytes."""

    number: int
    raw: bytes
    # A line that is too long has its end here, on disk.
    rest: BinaryIO | None = None

    def as_text(self) -> str:
        """Return the line without its end. Raises ``ValidationError``."""
        if self.rest is not None:
            raise ValidationError("The line is longer than 1 MiB.", code="long")
        if b"\0" in self.raw:
            raise ValidationError("The line has a null character.", code="null")
        try:
            return self.raw.decode().rstrip("\r\n")
        except UnicodeDecodeError as exc:
            raise ValidationError(
                f"The line is not valid UTF-8. {NAME_ENCODING}", code="utf8"
            ) from exc

    def close(self) -> None:
        if self.rest is not None:
            self.rest.close()


@dataclass(kw_only=True)
class Entry:
    """An order of the file: its lines, and either its report or its errors."""

    lines: list[Line]
    report: OrderReport | None = None
    # Each error begins with the number of its line.
    errors: list[str] = field(default_factory=list)

    def reject(self, number: int, error: ValidationError | str) -> None:
        text = as_line(error) if isinstance(error, ValidationError) else error
        self.errors.append(make_storable(f"line {number}: {text}"))


class Lines:
    """Iterates over the lines of a binary stream, and holds one at a time."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.number = 0
        self.waiting: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        if self.waiting:
            return self.waiting.popleft()
        raw = self.stream.readline(LONGEST_LINE)
        if not raw:
            raise StopIteration
        self.number += 1
        is_whole = len(raw) < LONGEST_LINE or raw.endswith(b"\n")
        rest = None if is_whole else self.store_rest()
        return Line(self.number, without_marks(raw) if self.number == 1 else raw, rest)

    def put_back(self, lines: list[Line]) -> None:
        self.waiting.extendleft(reversed(lines))

    def store_rest(self) -> BinaryIO:
        """Store the rest of a long line on disk, to write it if it is rejected."""
        rest: BinaryIO = TemporaryFile()  # noqa: SIM115 - goes with the line
        piece = b"-"
        while piece and not piece.endswith(b"\n"):
            piece = self.stream.readline(LONGEST_LINE)
            rest.write(piece)
        rest.seek(0)
        return rest


class RejectWriter:
    """Writes the lines of rejected orders unchanged, so that they can be corrected."""

    def __init__(
        self, stream: BinaryIO | None, head: Sequence[Line] = (), form: Form = PLAIN
    ) -> None:
        self.stream = stream
        # The header of a table comes first: rows are useless without it.
        self.head = head
        self.encode = form.encoder()

    def add(self, lines: list[Line]) -> None:
        for line in (*self.head, *lines):
            if self.stream is not None:
                self.write(line, self.stream)
            line.close()
        self.head = ()

    def write(self, line: Line, stream: BinaryIO) -> None:
        stream.write(self.encode(line.raw))
        if line.rest is not None:
            while piece := line.rest.read(BLOCK):
                stream.write(self.encode(piece))
        elif not line.raw.endswith(b"\n"):
            # The last line of the file may come before others here.
            stream.write(self.encode(b"\n"))
