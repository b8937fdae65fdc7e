"""The files that commands read and write."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import BinaryIO

from django.core.management.base import CommandError


def open_input(name: str) -> AbstractContextManager[BinaryIO]:
    """Open a file, or standard input for "-". Raises ``OSError``."""
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    return Path(name).open("rb")


def open_rejects(
    name: str | None, source: BinaryIO, stack: ExitStack
) -> BinaryIO | None:
    """
    Open a file for lines that come back: for its owner alone, as customers' data
    is in there. Raises ``OSError``.
    """
    if name is None:
        return None
    path = Path(name)
    if path.exists() and os.path.samestat(path.stat(), os.fstat(source.fileno())):
        raise CommandError("Choose another file for --rejects than for --from-file.")
    if path.exists() and not path.is_file():
        # A pipe, or a device.
        return stack.enter_context(path.open("wb"))
    # Not to an earlier file that others may read, or have a link to.
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return stack.enter_context(os.fdopen(number, "wb"))
