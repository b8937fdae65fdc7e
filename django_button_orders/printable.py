"""
Keep what others say from controlling a terminal, or from forging lines of a log.

Order ids, accounts and errors come from the shop and from Button. A line break or an
escape sequence in them would look like a line of our own.
"""

from __future__ import annotations

import logging
from typing import Any


def printable(text: str) -> str:
    """Return a text as one line, with escapes for what no terminal should obey."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in text
    )


def get_logger(name: str) -> logging.Logger:
    """Return a logger whose messages are one line each, whatever their arguments."""
    logger = logging.getLogger(name)
    logger.addFilter(escape_arguments)
    return logger


def escape_arguments(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(map(printable_argument, record.args))
    return True


def printable_argument(value: Any) -> Any:
    """Return an argument of a message, a number as it is, since %d needs one."""
    return value if isinstance(value, int | float) else printable(str(value))
