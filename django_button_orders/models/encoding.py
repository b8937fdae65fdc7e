"""
Which characters a database can store, and escapes for those that it cannot.

PostgreSQL has one encoding for a whole database. In MySQL our columns store all
characters, see ``fields``, but a project may give its connections another charset.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, OperationalError

UNICODE = "utf-8"
# MySQL's "utf8" has the characters of up to three bytes only.
THREE_BYTES = "utf8mb3"
MYSQL_CODECS = {
    "utf8mb4": UNICODE,
    "utf8mb3": THREE_BYTES,
    "utf8": THREE_BYTES,
    "latin1": "cp1252",
}
FOUR_BYTES = re.compile("[\U00010000-\U0010ffff]")
ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
# MySQL's errors about characters that a column or a connection does not have.
MYSQL_REFUSALS = (1267, 1300, 1366, 3988)


def escape(text: str, connection: Any) -> str:
    """Return a text with an escape, as in Python, for what a database cannot store."""
    text = text.replace("\0", "\\x00")
    if text.isascii():
        return text
    encoding = text_encoding(connection)
    if encoding == THREE_BYTES:
        text = FOUR_BYTES.sub(lambda found: escape_all(found[0]), text)
        encoding = UNICODE
    return text.encode(encoding, "backslashreplace").decode(encoding)


def escape_all(value: Any) -> Any:
    """Return a text, or JSON with texts in it, in ASCII with escapes for the rest."""
    if isinstance(value, str):
        text = value.replace("\0", "\\x00")
        return text.encode("ascii", "backslashreplace").decode()
    return map_texts(escape_all, value)


def escape_json(value: Any, encoding: str) -> Any:
    """Return JSON with escapes in its texts, which ``unescape_json`` can read."""
    if isinstance(value, str):
        text = value.replace("\\", "\\\\")
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return map_texts(lambda item: escape_json(item, encoding), value)


def unescape_json(value: Any) -> Any:
    """Return the JSON that ``escape_json`` was given."""
    if isinstance(value, str):
        return ESCAPE.sub(unescape, value)
    return map_texts(unescape_json, value)


def unescape(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    return chr(int(code, 16)) if code else "\\"


def map_texts(convert: Any, value: Any) -> Any:
    """Return JSON with its keys and items converted. Other values stay."""
    if isinstance(value, list | tuple):
        return [convert(item) for item in value]
    if isinstance(value, dict):
        return {convert(key): convert(item) for key, item in value.items()}
    return value


def text_encoding(connection: Any) -> str:
    """Return the codec for the texts that a connection can store."""
    if connection.vendor == "postgresql":
        name = server_encoding(connection)
        # It stores what it gets, and Django sends UTF-8.
        return UNICODE if name == "SQL_ASCII" else as_codec(name.replace("WIN", "cp"))
    if connection.vendor == "mysql":
        name = connection.settings_dict["OPTIONS"].get("charset", "utf8mb4")
        return MYSQL_CODECS.get(name) or as_codec(name)
    return UNICODE


def json_encoding(connection: Any) -> str:
    """
    Return the codec for the texts within the JSON that a connection can store.

    Everywhere but in PostgreSQL, JSON is a text with escapes of its own.
    """
    if connection.vendor != "postgresql":
        return UNICODE
    name = server_encoding(connection)
    return "ascii" if name == "SQL_ASCII" else text_encoding(connection)


def as_stored_json(value: Any, connection: Any) -> Any:
    """Return JSON in the characters that a connection can store."""
    encoding = json_encoding(connection)
    return value if encoding == UNICODE else escape_json(value, encoding)


def stores_unicode(connection: Any) -> bool:
    """Return whether a connection can store all texts, also within JSON."""
    return text_encoding(connection) == json_encoding(connection) == UNICODE


def server_encoding(connection: Any) -> str:
    connection.ensure_connection()
    name = connection.connection.info.parameter_status("server_encoding")
    # Some connection poolers do not tell.
    return name or "UTF8"


def as_codec(name: str) -> str:
    """Return Python's codec of an encoding, or ASCII, which all encodings contain."""
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "ascii"


def is_refusal(exc: Exception) -> bool:
    """Return whether a database, or its driver, refuses what it was to store."""
    if isinstance(exc, OperationalError):
        return bool(exc.args) and exc.args[0] in MYSQL_REFUSALS
    # Drivers raise ValueError for texts that they cannot encode.
    return isinstance(exc, DataError | ValidationError | ValueError)
