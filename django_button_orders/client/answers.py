"""Read the answers of Button: their size is bounded, and nothing in them is trusted."""

from __future__ import annotations

import json
import re
import time
import zlib
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

from django_button_orders.printable import printable

CHUNK_BYTES = 16384
LONGEST_QUOTE = 300
# The end of a text that was cut, back to what separates words, also in JSON and HTML.
CUT_WORD = re.compile(r"[^\s\"',;:=&<>{}\[\]()]*\Z")
ERROR_ENVELOPE = re.compile(r'"meta"\s*:\s*\{[^{}]*"status"\s*:\s*"error"')
# The escapes of surrogates, of which a text may have only one half.
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
utc = timezone.utc


class Headers(Protocol):
    """The headers of a response. Names are compared without regard to case."""

    def get(self, name: str, default: str, /) -> str: ...


class RawBody(Protocol):
    """The body of a response, as urllib3 gives it."""

    @property
    def connection(self) -> object: ...

    @property
    def length_remaining(self) -> int | None: ...

    def read1(self, amt: int, *, decode_content: bool) -> bytes: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """
    An answer of Button, of any status.

    ``body`` is its text without the API key, cut at ``max_response_bytes``. ``data`` is
    the body as a JSON object, or None if it is cut or is no JSON object.
    ``is_legible`` is false if the body could not be decompressed. ``retry_after`` is
    the number of seconds that Button asks to wait.
    """

    status_code: int
    body: str = ""
    data: dict[str, Any] | None = None
    is_html: bool = False
    is_json: bool = False
    is_legible: bool = True
    retry_after: float | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def is_ok(self) -> bool:
        """
        Whether Button accepted the request.

        The ``meta`` object of a JSON answer has to say so. Button's documentation also
        lists 202 and plain text as answers, but a page of HTML comes from a proxy. An
        answer that was cut is accepted unless its beginning says "error".
        """
        if not self.is_success or self.is_html or not self.is_legible:
            return False
        if self.data is not None:
            meta = self.data.get("meta")
            return isinstance(meta, dict) and meta.get("status") == "ok"
        return not self.is_json and not ERROR_ENVELOPE.search(self.body)

    @property
    def order(self) -> dict[str, Any]:
        """The order in the answer, or an empty dict if there is none."""
        found = (self.data or {}).get("object")
        return found if isinstance(found, dict) else {}

    @property
    def message(self) -> str:
        """Button's message about an error, or an empty string."""
        error = (self.data or {}).get("error")
        message = error.get("message") if isinstance(error, dict) else error
        return message if isinstance(message, str) else ""

    @property
    def words(self) -> str:
        """
        What Button said, as one line: its message, or else the beginning of the body.

        An answer that is no JSON, or has no envelope, may still say what is wrong.
        """
        return printable(in_one_line(self.message) or shorten(in_one_line(self.body)))


class Body(NamedTuple):
    """The beginning of a body: at most as many bytes as were asked for."""

    data: bytes
    is_complete: bool
    is_legible: bool = True
    may_be_cut: bool = False


def read_body(raw: RawBody, headers: Headers, limit: int) -> Body:
    """
    Return at most ``limit`` bytes of the body.

    It is decompressed here, because a few bytes can decompress to gigabytes.
    """
    ends_with_connection = has_no_length(raw, headers)
    read = bytearray()
    # Only read1() stays within its bounds for a chunk with a negative size.
    while len(read) <= limit:
        data = raw.read1(CHUNK_BYTES, decode_content=False)
        if not data:
            break
        read += data
    is_complete = len(read) <= limit
    body = Body(
        data=bytes(read[:limit]),
        is_complete=is_complete,
        may_be_cut=is_complete and ends_with_connection,
    )
    if headers.get("Content-Encoding", "").lower() in ("", "identity"):
        return body
    return decompress(body, limit)


def has_no_length(raw: RawBody, headers: Headers) -> bool:
    """Return whether only the end of the connection will end a body."""
    # The answers of libraries such as ``responses`` have no connection.
    if raw.connection is None or raw.length_remaining is not None:
        return False
    return headers.get("Transfer-Encoding", "").lower() != "chunked"


def decompress(body: Body, limit: int) -> Body:
    """Return a body decompressed, up to ``limit`` bytes."""
    # 47 lets zlib find out whether it is gzip or deflate. No compression was asked
    # for, so a body that is compressed in another way need not be legible.
    decompressor = zlib.decompressobj(47)
    try:
        data = decompressor.decompress(body.data, limit + 1)
    except zlib.error:
        return body._replace(data=b"", is_complete=False, is_legible=False)
    is_complete = body.is_complete and decompressor.eof and len(data) <= limit
    return body._replace(data=data[:limit], is_complete=is_complete)


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def shorten(line: str) -> str:
    """Return the beginning of a line. A word that would be cut is left out."""
    if len(line) <= LONGEST_QUOTE:
        return line
    # Secrets and customers' data are recognized by whole words only.
    return f"{CUT_WORD.sub('', line[:LONGEST_QUOTE])}…"


def parse_object(body: str) -> dict[str, Any] | None:
    """
    Return the JSON object in a text, or None.

    JSON can spell half of a surrogate pair, which no page or terminal can show. It
    becomes a question mark.
    """
    try:
        data = json.loads(body.removeprefix("\ufeff"))
        if SURROGATE.search(body):
            text = json.dumps(data, ensure_ascii=False)
            data = json.loads(text.encode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def parse_retry_after(headers: Headers) -> float | None:
    """
    Return the number of seconds that an answer asks to wait, or None.

    ``Retry-After`` is a number of seconds or a date. Button documents
    ``X-Button-Limit-Reset-Seconds`` for another of its APIs. The longer time counts.
    """
    reset = headers.get("X-Button-Limit-Reset-Seconds", "")
    retry_after = headers.get("Retry-After", "")
    if not reset and not retry_after:
        return None
    asked = [
        parse_seconds(reset),
        parse_seconds(retry_after),
        parse_date(retry_after, headers.get("Date", "")),
    ]
    known = [seconds for seconds in asked if seconds is not None]
    return max(known) if known else None


def parse_seconds(text: str) -> float | None:
    """Return a number of seconds, or None if the text is no whole number."""
    text = text.strip()
    if not (text.isascii() and text.isdigit()):
        return None
    return float(text[:12])


def parse_date(text: str, now_text: str) -> float | None:
    """Return the seconds until a date, counted from the date in ``now_text``."""
    then = parse_timestamp(text)
    if then is None:
        return None
    # Button's clock counts if the answer has its time, because ours may be wrong.
    now = parse_timestamp(now_text)
    return max(then - (time.time() if now is None else now), 0.0)


def parse_timestamp(text: str) -> float | None:
    """Return a date of HTTP in seconds since 1970, or None."""
    if not text:
        return None
    try:
        parsed = parsedate_to_datetime(text)
        # Dates in HTTP are always in GMT, even if they do not name a time zone.
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=utc)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
