"""Keeping the errors of our statements from the transaction that the shop is in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, NamedTuple

from django.db import DatabaseError, connections, transaction

NAME = "button_orders"


class Result(NamedTuple):
    cursor: Any
    #: How many rows were found or written.
    affected: int
    rows: list[tuple[Any, ...]]


def execute(sql: str, parameters: Sequence[Any], *, using: str) -> Result:
    """
    Run a statement. If it fails, the transaction around it is as it was before.

    What it raises is what Django raises.
    """
    connection = connections[using]
    if connection.in_atomic_block and takes_many(using):
        return execute_in_one_trip(sql, parameters, using=using)
    with savepoint(using), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return result_of(cursor)


@cache
def takes_many(using: str) -> bool:
    """Return whether a database takes several statements at once."""
    connection: Any = connections[using]
    if connection.vendor != "postgresql":
        return False
    # Not psycopg2, which returns what the last of them has found, and not where
    # the server puts the parameters in.
    options = connection.settings_dict.get("OPTIONS", {})
    has_clients = hasattr(connection.Database, "ClientCursor")
    return has_clients and not options.get("server_side_binding")


def execute_in_one_trip(sql: str, parameters: Sequence[Any], *, using: str) -> Result:
    # A savepoint costs a checkout two more trips than the statement in it.
    together = f"SAVEPOINT {NAME}; {sql}; RELEASE SAVEPOINT {NAME}"
    with connections[using].cursor() as cursor:
        try:
            cursor.execute(together, parameters)
        except DatabaseError:
            if has_failed(using):
                transaction.savepoint_rollback(NAME, using)
                transaction.savepoint_commit(NAME, using)
            raise
        cursor.nextset()
        return result_of(cursor)


def has_failed(using: str) -> bool:
    """Return whether PostgreSQL waits for a rollback: it may never have been asked."""
    connection: Any = connections[using].connection
    return bool(connection.info.transaction_status.name == "INERROR")


def result_of(cursor: Any) -> Result:
    rows = list(cursor.fetchall()) if cursor.description else []
    return Result(cursor, cursor.rowcount, rows)


def savepoint(using: str) -> AbstractContextManager[None]:
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block and connection.get_autocommit():
        # There is no transaction, and each statement can stand alone.
        return nullcontext()
    return transaction.atomic(using=using)


class LazySavepoint:
    """A savepoint that is made once something asks the database: most do not."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.wrappers = connections[using].execute_wrappers
        self.made: AbstractContextManager[None] | None = None

    def __enter__(self) -> LazySavepoint:
        self.wrappers.append(self.make)
        return self

    def __exit__(self, *exc_info: Any) -> bool | None:
        if self.make in self.wrappers:
            self.wrappers.remove(self.make)
        return self.made.__exit__(*exc_info) if self.made else None

    def make(self, execute: Any, *args: Any) -> Any:
        # Once, and not for the statement that makes it.
        self.wrappers.remove(self.make)
        made = savepoint(self.using)
        made.__enter__()
        self.made = made
        return execute(*args)
