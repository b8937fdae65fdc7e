"""
The one write in the shop's own transactions: a row is made, or marked changed.

Its SQL is made once, by Django, and has few parameters. Making it again for each
save costs a checkout several times of what the database takes to run it.
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
from django.db.models.sql import UpdateQuery

from django_button_orders.models import ButtonOrder
from django_button_orders.outbox.savepoints import Result, execute

TABLE = ButtonOrder._meta.db_table
KEYS = ("account", "order_id")
# Seconds between looks at a row that somebody else has locked.
LOCK_WAITS = (0.005, 0.01, 0.02, 0.04)
SOURCE = ("source_type_id", "source_id")
TOLD = ("id", "source_id")
# Not an escaped percent sign, as in the date format of SQLite.
PLACEHOLDER = re.compile(r"(?<!%)%s")


# The key of a row, and that of the order it is about.
RowRef: TypeAlias = tuple[int, str | None]


def mark(account: str, order_id: str, *, using: str) -> RowRef | None:
    """
    Mark the row of an order changed, if it has one.

    Return its key, and that of the order it was made for, which may be another.
    """
    keys = (account, order_id)
    if must_not_wait(using):
        found = lock(keys, using=using)
        if found is not None:
            execute(update_sql(using), keys, using=using)
        return found
    changed = execute(update_sql(using), keys, using=using)
    if changed.affected and not changed.rows:
        changed = execute(select_sql(using), keys, using=using)
    return first(changed)


def must_not_wait(using: str) -> bool:
    """
    Return whether a transaction of the shop's had better not wait for a row.

    MySQL undoes all of a transaction that is the victim of a deadlock, and not
    our statement alone.
    """
    return undoes_all(using) and connections[using].in_atomic_block


@cache
def undoes_all(using: str) -> bool:
    connection = connections[using]
    can_skip = connection.features.has_select_for_update_skip_locked
    return connection.vendor == "mysql" and can_skip


def lock(keys: Sequence[str], *, using: str) -> RowRef | None:
    """
    Lock the row of an order, and return what ``change`` does.

    A worker has it for some milliseconds at a time. Raises ``OperationalError``
    when somebody has it for longer.
    """
    for seconds in LOCK_WAITS:
        found = first(execute(lock_sql(using), keys, using=using))
        if found is not None:
            return found
        if first(execute(select_sql(using), keys, using=using)) is None:
            return None
        time.sleep(seconds)
    raise OperationalError("Another transaction has locked the row.")


def insert(
    account: str, order_id: str, source: Mapping[str, Any], *, using: str
) -> int | None:
    """Make a due row for an order, and return its key, or None where one is."""
    given = (account, order_id, *(source[name] for name in SOURCE))
    made = execute(insert_sql(using), given, using=using)
    if made.affected and not made.rows:
        operations: Any = connections[using].ops
        return int(operations.last_insert_id(made.cursor, TABLE, "id"))
    return made.rows[0][0] if made.rows else None


def first(result: Result) -> RowRef | None:
    return cast("RowRef", result.rows[0]) if result.rows else None


def tells_keys(using: str) -> bool:
    """Return whether a database tells the key of a row that it has written."""
    connection = connections[using]
    # MariaDB does of one that is new, and not of one that has changed.
    return (
        connection.vendor in ("postgresql", "sqlite")
        and connection.features.can_return_columns_from_insert
    )


@cache
def update_sql(using: str) -> str:
    rows = ButtonOrder.objects.using(using)
    query: Any = rows.filter(**dict.fromkeys(KEYS, "x")).query.chain(UpdateQuery)
    query.add_update_values(rows.changed_values())
    sql, parameters = query.get_compiler(using).as_sql()
    # Drivers quote each parameter again for each save.
    values = [*map(literal, parameters[: -len(KEYS)]), *["%s"] * len(KEYS)]
    # There is one table only, so the database need not read its name nine times.
    prefix = f"{connections[using].ops.quote_name(TABLE)}."
    sql = PLACEHOLDER.sub(lambda _: values.pop(0), sql.replace(prefix, ""))
    return sql + returning(using, *TOLD)


@cache
def select_sql(using: str) -> str:
    rows = ButtonOrder.objects.using(using).filter(**dict.fromkeys(KEYS, "x"))
    return str(rows.values_list(*TOLD).query.get_compiler(using).as_sql()[0])


@cache
def lock_sql(using: str) -> str:
    return f"{select_sql(using)} FOR UPDATE SKIP LOCKED"


@cache
def insert_sql(using: str) -> str:
    connection = connections[using]
    defaults = {
        str(field.column): field.get_db_prep_save(field.get_default(), connection)
        for field in ButtonOrder._meta.concrete_fields
        if has_default_of_ours(field)
    }
    operations = connection.ops
    ignore = OnConflict.IGNORE
    given = (*KEYS, *SOURCE)
    columns = [operations.quote_name(name) for name in (*defaults, *given)]
    values = [*map(literal, defaults.values()), *["%s"] * len(given)]
    sql = (
        f"{operations.insert_statement(on_conflict=ignore)} "
        f"{operations.quote_name(TABLE)} ({', '.join(columns)}) "
        f"VALUES ({', '.join(values)}) "
        f"{operations.on_conflict_suffix_sql((), ignore, (), KEYS)}"
    )
    return sql + returning(using, "id")


def literal(value: str | int) -> str:
    """Return a constant of ours as SQL: a number, or a word without quotes."""
    return f"'{value}'" if isinstance(value, str) else str(value)


def has_default_of_ours(field: Field[Any, Any]) -> bool:
    """Return whether the database does not know what a new row has in a column."""
    if field.attname in (*KEYS, *SOURCE):
        return False
    # Some text columns are neither null nor have a default: they are empty.
    return field.db_default is NOT_PROVIDED and not (
        field.primary_key or field.get_default() is None
    )


def returning(using: str, *names: str) -> str:
    if not tells_keys(using):
        return ""
    quote = connections[using].ops.quote_name
    return f" RETURNING {', '.join(map(quote, names))}"
