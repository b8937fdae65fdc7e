from __future__ import annotations


class SnippetError(Exception):
    """A block that a reader cannot use as it stands. Its text says what to do."""
