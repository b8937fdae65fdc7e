"""Keeping the errors of our statements from the transaction that the shop is in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, NamedTuple

from django.db import DatabaseError, Error, connections, transaction

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
    if connection.in_atomic_block and takes_many(using) and is_ascii(parameters):
        return execute_in_one_trip(sql, parameters, using=using)
    with savepoint(using), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return result_of(cursor)


def is_ascii(parameters: Sequence[Any]) -> bool:
    """
    Return whether a database has all the characters, whatever its encoding is.

    A message with others is refused as a whole, with the savepoint in it.
    """
    return all(value.isascii() for value in parameters if isinstance(value, str))


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
    """
    A savepoint that is made once something asks the database: most do not.

    It is none of Django's blocks, because those of whoever asks may be open around
    it by then. Outside of a transaction, there is none to protect.
    """

    def __init__(self, using: str) -> None:
        self.connection = transaction.get_connection(using)
        self.wrappers = self.connection.execute_wrappers
        self.is_needed = False
        self.hooks = 0
        self.sid: str | None = None

    def __enter__(self) -> LazySavepoint:
        connection = self.connection
        self.is_needed = connection.in_atomic_block and not connection.needs_rollback
        if self.is_needed:
            self.hooks = len(connection.run_on_commit)
            self.wrappers.append(self.make)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if not self.is_needed:
            return
        if self.make in self.wrappers:
            self.wrappers.remove(self.make)
        if kind is not None or self.connection.needs_rollback:
            self.undo()
        elif self.sid:
            try:
                self.connection.savepoint_commit(self.sid)
            except DatabaseError:
                self.undo()
                raise

    def make(self, execute: Any, *args: Any) -> Any:
        # Once, and not for the statement that makes it.
        self.wrappers.remove(self.make)
        self.sid = self.connection.savepoint()
        return execute(*args)

    def undo(self) -> None:
        connection = self.connection
        # What an inner block has found broken is what is undone here.
        connection.needs_rollback = False
        del connection.run_on_commit[self.hooks :]
        if not self.sid:
            return
        try:
            connection.savepoint_rollback(self.sid)
            connection.savepoint_commit(self.sid)
        except Error:
            connection.needs_rollback = True
