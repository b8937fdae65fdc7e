"""What the pages call of sentry-sdk 2, with the same arguments. It sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Scope:
    fingerprint: Sequence[str] | None = None

    def set_tag(self, key: str, value: object) -> None:
        """Add a tag."""

    def set_extra(self, key: str, value: object) -> None:
        """Add a value."""


def init(
    *,
    dsn: str | None,
    include_local_variables: bool,
    trace_propagation_targets: Sequence[str],
) -> None:
    """Set the client up."""


@contextmanager
def new_scope() -> Iterator[Scope]:
    yield Scope()


def capture_message(message: str, level: str | None = None) -> None:
    """Send an event."""
