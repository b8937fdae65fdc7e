"""Undo what adapters write while their reports are only looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from django.db import transaction


@contextmanager
def rolled_back(databases: Iterable[str]) -> Iterator[None]:
    """Roll back what the block writes to some databases, and run no on_commit()."""
    with ExitStack() as stack:
        for using in databases:
            stack.enter_context(transaction.atomic(using=using))
            # Called before the transaction ends, also after an error.
            stack.callback(transaction.set_rollback, True, using=using)
        yield
