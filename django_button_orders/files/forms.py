"""
Read files of other forms as plain ones, which are UTF-8 with a line feed at each end.

Excel and shops write UTF-16, code pages and the line ends of old Macs, and files are
compressed. A copy on disk has the same text in plain form. Rejected lines are written
in the form of the file again.
"""

from __future__ import annotations

import codecs
import gzip
import re
import shutil
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, NamedTuple

UTF8 = "utf-8"
BLOCK = 1 << 16
GZIP = b"\x1f\x8b"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# How files begin that have no lines, and what to do with them.
COMPRESSED = "The file is compressed, but not with gzip. Decompress it."
SAVE_AS_CSV = "Save the sheet as CSV."
OTHERS = {
    b"PK\x03\x04": f"The file is a ZIP archive, or a workbook (.xlsx). {SAVE_AS_CSV}",
    b"\xd0\xcf\x11\xe0": f"The file is a workbook (.xls). {SAVE_AS_CSV}",
    b"%PDF": "The file is a PDF. Export the orders as CSV.",
    b"BZh": COMPRESSED,
    b"\xfd7zXZ": COMPRESSED,
    b"\x28\xb5\x2f\xfd": COMPRESSED,
}
MARKUP = f"The file is HTML or XML, not CSV. {SAVE_AS_CSV}"
NAME_ENCODING = "Set the encoding of the file, such as --encoding cp1252."


class UnreadableFileError(Exception):
    """The file cannot be read at all. The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The encoding of a file, and what ends its lines if that is no line feed."""

    encoding: str = UTF8
    line_end: str = "\n"

    def encoder(self) -> Callable[[bytes], bytes]:
        """Return a function that gives plain lines the form of the file again."""
        if self == PLAIN:
            return bytes
        decode = codecs.getincrementaldecoder(UTF8)().decode
        encode = codecs.getincrementalencoder(self.encoding)().encode
        return lambda raw: encode(decode(raw).replace("\n", self.line_end))


PLAIN = Form()


class Plain(NamedTuple):
    """A plain file, the form that it had, and its first bytes that are no spaces."""

    stream: BinaryIO
    form: Form
    start: bytes


class Rejoined(RawIOBase):
    """A stream of which the first bytes have been read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self.head = head
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.head[: len(buffer)] or read_some(self.stream, len(buffer))
        self.head = self.head[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def open_plain(stream: BinaryIO, stack: ExitStack, *, encoding: str = "") -> Plain:
    """
    Return a file as a plain one.

    Raises ``UnreadableFileError`` if the file is empty, no text, or of another encoding
    than ``encoding``, which is UTF-8 by default, or what a byte order mark says.
    """
    stream, head = read_head(stream)
    if head.startswith(GZIP):
        stream, head = read_head(decompress(stream, stack))
    for magic, message in OTHERS.items():
        if head.startswith(magic):
            raise UnreadableFileError(message)
    form = find_form(head, encoding)
    if form != PLAIN:
        stream, head = read_head(convert(stream, form, stack))
    start = without_marks(head).lstrip()
    if not start:
        raise UnreadableFileError("The file is empty.")
    if start.startswith(b"<"):
        raise UnreadableFileError(MARKUP)
    return Plain(stream, form, start)


def without_marks(raw: bytes) -> bytes:
    """Return a file's first line without byte order marks. Some have two."""
    while raw.startswith(codecs.BOM_UTF8):
        raw = raw.removeprefix(codecs.BOM_UTF8)
    return raw


def read_head(stream: BinaryIO) -> tuple[BinaryIO, bytes]:
    """Return a stream's first lines, and the stream with these still to be read."""
    head = b""
    while not re.search(rb"\S[^\n]*\n", head) and len(head) < BLOCK:
        piece = read_some(stream, BLOCK)
        if not piece:
            break
        head += piece
    if stream.seekable():
        stream.seek(0)
        return stream, head
    return BufferedReader(Rejoined(head, stream)), head


def read_some(stream: BinaryIO, size: int) -> bytes:
    """Return what a pipe has already, rather than wait for more."""
    piece: bytes = stream.read1(size)  # type: ignore[attr-defined]  # all buffers have it
    return piece


def find_form(head: bytes, encoding: str) -> Form:
    encoding = codecs.lookup(encoding or guess_encoding(head)).name
    try:
        text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    except UnicodeError as exc:
        # UTF-16 that is named needs a byte order mark, and IDNA is for host names.
        raise not_valid(encoding) from exc
    ends = re.search(r"[\r\n]+(?=.)", text, re.DOTALL)
    # Windows ends lines with both. Old Macs had a carriage return alone.
    is_mac = ends is not None and "\n" not in ends[0]
    return Form(encoding=encoding, line_end="\r" if is_mac else "\n")


def guess_encoding(head: bytes) -> str:
    # The first two bytes of its mark may be those of UTF-16.
    if head.startswith(UTF32):
        return "utf-32"
    if head.startswith(UTF16):
        return "utf-16"
    # Without a byte order mark, every other byte of a header is null.
    if b"\0" in head[:2]:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    return UTF8


def decompress(stream: BinaryIO, stack: ExitStack) -> BinaryIO:
    try:
        with gzip.GzipFile(fileobj=stream) as file:
            return copy_to_disk(file, stack)  # type: ignore[arg-type]  # it has read()
    except (EOFError, OSError, zlib.error) as exc:
        raise UnreadableFileError(f"The file is damaged: {exc}.") from exc


def convert(stream: BinaryIO, form: Form, stack: ExitStack) -> BinaryIO:
    """Return a plain copy of a file."""
    copy = open_copy(stack)
    decode = codecs.getincrementaldecoder(form.encoding)().decode
    try:
        while block := stream.read(BLOCK):
            copy.write(decode(block).replace(form.line_end, "\n").encode())
        copy.write(decode(b"", final=True).encode())
    except UnicodeError as exc:
        raise not_valid(form.encoding) from exc
    copy.seek(0)
    return copy


def not_valid(encoding: str) -> UnreadableFileError:
    return UnreadableFileError(f"The file is not valid {encoding}. {NAME_ENCODING}")


def copy_to_disk(stream: IO[bytes], stack: ExitStack) -> BinaryIO:
    """Return a copy of a stream that can be read only once."""
    copy = open_copy(stack)
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy


def open_copy(stack: ExitStack) -> BinaryIO:
    copy: BinaryIO = TemporaryFile()  # noqa: SIM115 - closed by the stack
    return stack.enter_context(copy)
