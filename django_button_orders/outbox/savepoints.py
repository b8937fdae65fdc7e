"""Keep the errors of our statements out of the transaction that the shop is in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, NamedTuple

from django.db import DatabaseError, Error, connections, transaction

NAME = "button_orders"


class Result(NamedTuple):
    cursor: Any
    #: The number of rows that were found or written.
    affected: int
    rows: list[tuple[Any, ...]]


def execute_in_savepoint(sql: str, parameters: Sequence[Any], *, using: str) -> Result:
    """
    Run a statement. If it fails, the transaction around it goes on as before.

    Raises the errors that Django raises.
    """
    connection = connections[using]
    if (
        connection.in_atomic_block
        and takes_many_statements(using)
        and is_ascii(parameters)
    ):
        return execute_in_one_trip(sql, parameters, using=using)
    with savepoint(using), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return read_result(cursor)


def is_ascii(parameters: Sequence[Any]) -> bool:
    """
    Return whether the texts have only characters that every database encoding has.

    A server refuses a message with other characters as a whole, so it would not make
    the savepoint in it, either.
    """
    return all(value.isascii() for value in parameters if isinstance(value, str))


@cache
def takes_many_statements(using: str) -> bool:
    """Return whether a database accepts several statements in one message."""
    connection: Any = connections[using]
    if connection.vendor != "postgresql":
        return False
    # psycopg2 returns only the rows of the last statement. With server-side binding,
    # PostgreSQL accepts one statement at a time.
    options = connection.settings_dict.get("OPTIONS", {})
    is_psycopg3 = hasattr(connection.Database, "ClientCursor")
    return is_psycopg3 and not options.get("server_side_binding")


def execute_in_one_trip(sql: str, parameters: Sequence[Any], *, using: str) -> Result:
    """
    Run a statement and the savepoint around it in one round trip to the server.

    Alone, the savepoint would cost a checkout two more round trips.
    """
    together = f"SAVEPOINT {NAME}; {sql}; RELEASE SAVEPOINT {NAME}"
    with connections[using].cursor() as cursor:
        try:
            cursor.execute(together, parameters)
        except DatabaseError:
            if needs_rollback(using):
                transaction.savepoint_rollback(NAME, using)
                transaction.savepoint_commit(NAME, using)
            raise
        cursor.nextset()
        return read_result(cursor)


def needs_rollback(using: str) -> bool:
    """Return whether PostgreSQL has seen the error, and now waits for a rollback."""
    connection: Any = connections[using].connection
    return bool(connection.info.transaction_status.name == "INERROR")


def read_result(cursor: Any) -> Result:
    rows = list(cursor.fetchall()) if cursor.description else []
    return Result(cursor, cursor.rowcount, rows)


def savepoint(using: str) -> AbstractContextManager[None]:
    """Return a savepoint if the shop is in a transaction, else a no-op."""
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block and connection.get_autocommit():
        return nullcontext()
    return transaction.atomic(using=using)


class LazySavepoint:
    """
    A savepoint that is created only if the code within queries the database.

    Most hooks of adapters do not, and a savepoint costs two round trips. It is not one
    of Django's ``atomic`` blocks, because the code within may have opened such blocks
    before its first query. Outside of a transaction it does nothing.
    """

    def __init__(self, using: str) -> None:
        self.connection = transaction.get_connection(using)
        self.wrappers = self.connection.execute_wrappers
        self.is_needed = False
        self.on_commit_count = 0
        self.sid: str | None = None

    def __enter__(self) -> LazySavepoint:
        connection = self.connection
        self.is_needed = connection.in_atomic_block and not connection.needs_rollback
        if self.is_needed:
            self.on_commit_count = len(connection.run_on_commit)
            self.wrappers.append(self.create)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if not self.is_needed:
            return
        if self.create in self.wrappers:
            self.wrappers.remove(self.create)
        if kind is not None or self.connection.needs_rollback:
            self.roll_back()
        elif self.sid:
            try:
                self.connection.savepoint_commit(self.sid)
            except DatabaseError:
                self.roll_back()
                raise

    def create(self, execute: Any, *args: Any) -> Any:
        """Create the savepoint before the first query, and run the query."""
        # Removed first, because the savepoint is a query, too.
        self.wrappers.remove(self.create)
        self.sid = self.connection.savepoint()
        return execute(*args)

    def roll_back(self) -> None:
        """Undo what the code within has done, and let the transaction go on."""
        connection = self.connection
        # An inner block may have asked for a rollback, and this is that rollback.
        connection.needs_rollback = False
        del connection.run_on_commit[self.on_commit_count :]
        if not self.sid:
            return
        try:
            connection.savepoint_rollback(self.sid)
            connection.savepoint_commit(self.sid)
        except Error:
            connection.needs_rollback = True
