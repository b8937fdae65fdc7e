"""
Mark a row changed, or insert it: the one write in the shop's own transactions.

Django makes the SQL once per database, and the parameters are few. Making the SQL for
each save would take several times as long as the database takes to run it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, cast

from django.db import OperationalError, connections
from django.db.models import NOT_PROVIDED, Field
from django.db.models.constants import OnConflict
from django.db.models.sql import Query, UpdateQuery

from django_button_orders.conf import first_report_delay
from django_button_orders.models import ButtonOrder
from django_button_orders.models.bulk import FIELDS, fit
from django_button_orders.models.clock import from_now
from django_button_orders.models.querysets import can_skip_locked
from django_button_orders.outbox.savepoints import Result, execute_in_savepoint

TABLE = ButtonOrder._meta.db_table
KEYS = ("account", "order_id")
# Seconds to wait between looks at a row that another transaction has locked.
LOCK_WAITS = (0.005, 0.01, 0.02, 0.04)
SOURCE = ("source_type_id", "source_id")
RETURNED = ("id", *SOURCE)
# Not an escaped percent sign, as in the date format of SQLite.
PLACEHOLDER = re.compile(r"(?<!%)%s")


# The primary key of a row, and the content type and primary key of its host order.
RowRef: TypeAlias = tuple[int, int | None, str | None]


def update_row(account: str, order_id: str, *, using: str) -> RowRef | None:
    """
    Mark the row of an order changed. Return None if there is no row.

    The row may belong to another host order, which the returned columns name.
    """
    keys = keys_of(account, order_id, using=using)
    sql = update_sql(using, holds=first_report_delay() > 0)
    if must_not_wait(using):
        row = lock(keys, using=using)
        if row is not None:
            execute_in_savepoint(sql, keys, using=using)
        return row
    result = execute_in_savepoint(sql, keys, using=using)
    if result.affected and not result.rows:
        result = execute_in_savepoint(select_sql(using), keys, using=using)
    return first(result)


def insert_row(
    account: str, order_id: str, source: Mapping[str, Any], *, using: str
) -> int | None:
    """
    Insert a row for an order. Return its primary key, or None if the order has one.

    The row is due, or held for ``FIRST_REPORT_DELAY``.
    """
    delay = first_report_delay()
    moment = moment_sql(using, delay)[1] if delay else ()
    keys = keys_of(account, order_id, using=using)
    given = (*keys, *(source[name] for name in SOURCE), *moment)
    result = execute_in_savepoint(insert_sql(using, delay), given, using=using)
    if result.affected and not result.rows:
        operations: Any = connections[using].ops
        return int(operations.last_insert_id(result.cursor, TABLE, "id"))
    return result.rows[0][0] if result.rows else None


def keys_of(account: str, order_id: str, *, using: str) -> tuple[str, ...]:
    """Return an account and an order id as the database can store them."""
    if account.isascii() and order_id.isascii():
        return account, order_id
    fields = [FIELDS[ButtonOrder][name] for name in KEYS]
    return tuple(
        fit(field, key, connections[using])
        for field, key in zip(fields, (account, order_id), strict=True)
    )


def must_not_wait(using: str) -> bool:
    """
    Return whether the shop's transaction must not wait for a locked row.

    While it waits, it may become the victim of a deadlock, and MySQL then rolls back
    the whole transaction and not only our statement.
    """
    return is_mysql_with_skip_locked(using) and connections[using].in_atomic_block


@cache
def is_mysql_with_skip_locked(using: str) -> bool:
    return connections[using].vendor == "mysql" and can_skip_locked(using)


def lock(keys: Sequence[str], *, using: str) -> RowRef | None:
    """
    Lock the row of an order, and return what ``update_row`` returns.

    Workers lock a row for some milliseconds. Raises ``OperationalError`` if it stays
    locked for longer than ``LOCK_WAITS``.
    """
    for seconds in LOCK_WAITS:
        row = first(execute_in_savepoint(lock_sql(using), keys, using=using))
        if row is not None:
            return row
        if first(execute_in_savepoint(select_sql(using), keys, using=using)) is None:
            return None
        time.sleep(seconds)
    raise OperationalError("Another transaction has locked the row.")


def first(result: Result) -> RowRef | None:
    return cast("RowRef", result.rows[0]) if result.rows else None


@cache
def update_sql(using: str, *, holds: bool = False) -> str:
    """Return the UPDATE of ``ButtonOrderQuerySet.mark_changed()`` as SQL."""
    rows = ButtonOrder.objects.using(using)
    query: Any = rows.filter(**dict.fromkeys(KEYS, "x")).query.chain(UpdateQuery)
    query.add_update_values(rows.changed_values(holds=holds))
    sql, parameters = query.get_compiler(using).as_sql()
    # The constants go into the SQL, because drivers quote parameters at each save.
    values = [*map(literal, parameters[: -len(KEYS)]), *["%s"] * len(KEYS)]
    # There is only one table, so the database need not parse its name nine times.
    prefix = f"{connections[using].ops.quote_name(TABLE)}."
    sql = PLACEHOLDER.sub(lambda _: values.pop(0), sql.replace(prefix, ""))
    return sql + returning(using, *RETURNED)


@cache
def select_sql(using: str) -> str:
    """Return the SELECT of what ``update_row`` returns, as SQL."""
    rows = ButtonOrder.objects.using(using).filter(**dict.fromkeys(KEYS, "x"))
    return str(rows.values_list(*RETURNED).query.get_compiler(using).as_sql()[0])


@cache
def lock_sql(using: str) -> str:
    return f"{select_sql(using)} FOR UPDATE SKIP LOCKED"


@cache
def insert_sql(using: str, delay: float = 0) -> str:
    """
    Return the INSERT of a new row as SQL, which ignores a row that exists.

    With a ``delay``, the parameters of ``moment_sql`` follow those of the row.
    """
    connection = connections[using]
    defaults = {
        str(field.column): field.get_db_prep_save(field.get_default(), connection)
        for field in ButtonOrder._meta.concrete_fields
        if needs_default(field)
    }
    operations = connection.ops
    ignore = OnConflict.IGNORE
    given = (*KEYS, *SOURCE)
    columns = [operations.quote_name(name) for name in (*defaults, *given)]
    values = [*map(literal, defaults.values()), *["%s"] * len(given)]
    if delay:
        columns.append(operations.quote_name("next_attempt_at"))
        values.append(moment_sql(using, delay)[0])
    sql = (
        f"{operations.insert_statement(on_conflict=ignore)} "
        f"{operations.quote_name(TABLE)} ({', '.join(columns)}) "
        f"VALUES ({', '.join(values)}) "
        f"{operations.on_conflict_suffix_sql((), ignore, (), KEYS)}"
    )
    return sql + returning(using, "id")


@cache
def moment_sql(using: str, delay: float) -> tuple[str, tuple[Any, ...]]:
    """Return the moment after ``delay`` seconds as SQL, and its parameters."""
    query = Query(None)
    moment = from_now(delay).resolve_expression(query)
    sql, parameters = query.get_compiler(using).compile(moment)
    return sql, tuple(parameters)


def literal(value: str | int) -> str:
    """Return one of our constants as SQL: a number, or a word without quotes in it."""
    return f"'{value}'" if isinstance(value, str) else str(value)


def needs_default(field: Field[Any, Any]) -> bool:
    """Return whether an INSERT must give a column its default value."""
    if field.attname in (*KEYS, *SOURCE):
        return False
    # Some text columns are not null and have no default: they are empty.
    return field.db_default is NOT_PROVIDED and not (
        field.primary_key or field.get_default() is None
    )


def returning(using: str, *names: str) -> str:
    """Return a RETURNING clause, or "" if the database returns no written rows."""
    if not returns_written_rows(using):
        return ""
    quote = connections[using].ops.quote_name
    return f" RETURNING {', '.join(map(quote, names))}"


def returns_written_rows(using: str) -> bool:
    connection = connections[using]
    # MariaDB returns inserted rows, but no updated ones.
    return (
        connection.vendor in ("postgresql", "sqlite")
        and connection.features.can_return_columns_from_insert
    )
