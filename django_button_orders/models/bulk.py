"""
Write many rows at once, each with its own values, by SQL that Django does not make.

Django's ``bulk_update()`` takes longer to make its statement than everything else in a
report takes, see ``docs/explanation/performance.rst``. The ``prepare_`` methods make a
statement and return a function that runs it, so that rows are not locked while SQL is
made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import NOT_PROVIDED, Expression, Model
from django.db.models.constants import OnConflict

from django_button_orders.models import ButtonOrder, Submission, as_aware
from django_button_orders.models.encoding import (
    as_stored_json,
    escape,
    stores_unicode,
)
from django_button_orders.models.fields import StrictJSONField

# A row is written only if these columns still have the values that were read.
FENCE = ("id", "lease_token", "revision")


class Change(NamedTuple):
    """The new values of a row, and the values of ``FENCE`` that it must still have."""

    fence: Sequence[Any]
    values: Mapping[str, Any]


def bulk_sql_for(using: str) -> BulkSQL:
    """Return the bulk statements of a database."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        return PostgreSQLBulkSQL(using)
    # Every SQLite that has RETURNING also has the JSON functions.
    if (
        connection.vendor == "sqlite"
        and connection.features.can_return_columns_from_insert
    ):
        return SQLiteBulkSQL(using)
    return BulkSQL(using)


class BulkSQL:
    """Statements for every database: one statement, run once for each row."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.connection = connections[using]

    def prepare_update(
        self, changes: Sequence[Change], expressions: Mapping[str, Expression]
    ) -> Callable[[], int]:
        """
        Return a function that updates rows, and returns how many were written.

        All changes must have values for the same fields. ``expressions`` are values of
        other fields, the same for all rows.
        """
        names = list(changes[0].values)
        shared, given = self.assignments(expressions)
        values = [f"{column} = %s" for column in self.columns(ButtonOrder, names)]
        fence = [f"{column} = %s" for column in self.columns(ButtonOrder, FENCE)]
        assignments = ", ".join(shared + values)
        table, is_held = self.table(ButtonOrder), " AND ".join(fence)
        parameters = [
            given
            + self.as_stored_values(
                ButtonOrder,
                (*names, *FENCE),
                (*change.values.values(), *change.fence),
            )
            for change in changes
        ]
        sql = f"UPDATE {table} SET {assignments} WHERE {is_held}"  # noqa: S608

        def update() -> int:
            with self.connection.cursor() as cursor:
                cursor.executemany(sql, parameters)
                return int(cursor.rowcount)

        return update

    def prepare_insert(self, submissions: list[Submission]) -> Callable[[], object]:
        """Return a function that inserts submissions. It sets their keys if it can."""
        rows = Submission.objects.using(self.using)
        return lambda: rows.bulk_create(submissions)

    def insert_orders(
        self,
        names: Sequence[str],
        rows: Sequence[Sequence[Any]],
        shared: Mapping[str, Any],
    ) -> int:
        """
        Insert rows of orders that have none. Return how many were inserted.

        ``names`` are the fields of ``rows``, and begin with account and order id.
        ``shared`` are values of other fields, the same for all rows, as the database
        stores them.
        """
        known = set(
            ButtonOrder.objects.using(self.using)
            .filter(order_id__in={row[1] for row in rows})
            .values_list("account", "order_id")
        )
        # INSERT IGNORE would wait for existing rows that a worker has locked.
        new = [row for row in rows if (row[0], row[1]) not in known]
        if not new:
            return 0
        shared = {**defaults_beside(names, self.connection), **shared}
        columns = self.columns(ButtonOrder, (*names, *shared))
        sql = (
            f"{self.insert_or_ignore} ({', '.join(columns)}) "
            f"VALUES ({', '.join(['%s'] * len(columns))})"
        )
        parameters = [
            (*self.as_stored_values(ButtonOrder, names, row), *shared.values())
            for row in new
        ]
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, parameters)
            return int(cursor.rowcount)

    @property
    def insert_or_ignore(self) -> str:
        """Return the start of an INSERT that ignores rows which exist."""
        insert = self.connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
        return f"{insert} {self.table(ButtonOrder)}"

    def table(self, model: type[Model]) -> str:
        return self.connection.ops.quote_name(model._meta.db_table)

    def columns(self, model: type[Model], names: Iterable[str]) -> list[str]:
        """Return the quoted columns of some fields."""
        quote = self.connection.ops.quote_name
        return [quote(FIELDS[model][name].column) for name in names]

    def as_stored_values(
        self, model: type[Model], names: Iterable[str], values: Iterable[Any]
    ) -> list[Any]:
        """Return the values of some fields as the database stores them."""
        connection = self.connection
        fields = [FIELDS[model][name] for name in names]
        return [
            field.get_db_prep_save(fit(field, value, connection), connection)
            for field, value in zip(fields, values, strict=True)
        ]

    def assignments(
        self, expressions: Mapping[str, Expression]
    ) -> tuple[list[str], list[Any]]:
        """Return expressions, such as the clock, as SET clauses with parameters."""
        query = ButtonOrder.objects.using(self.using).query
        compiler = query.get_compiler(self.using)
        clauses: list[str] = []
        parameters: list[Any] = []
        columns = self.columns(ButtonOrder, expressions)
        for column, expression in zip(columns, expressions.values(), strict=True):
            sql, given = compiler.compile(expression.resolve_expression(query))
            clauses.append(f"{column} = {sql}")
            parameters += given
        return clauses, parameters


class JSONBulkSQL(BulkSQL):
    """Statements that write all rows at once, with the rows as one JSON parameter."""

    def json_table(self, model: type[Model], names: Sequence[str]) -> str:
        """Return SQL that reads the parameter as a table of columns c0, c1, ..."""
        raise NotImplementedError

    def encode(
        self, model: type[Model], names: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> str:
        """Return rows with values of some fields as the JSON parameter."""
        raise NotImplementedError

    def prepare_update(
        self, changes: Sequence[Change], expressions: Mapping[str, Expression]
    ) -> Callable[[], int]:
        names = (*changes[0].values, *FENCE)
        rows = [(*change.values.values(), *change.fence) for change in changes]
        table = self.table(ButtonOrder)
        columns = self.columns(ButtonOrder, names)
        pairs = [(column, f"new.c{at}") for at, column in enumerate(columns)]
        end = len(pairs) - len(FENCE)
        shared, given = self.assignments(expressions)
        values = [f"{column} = {new}" for column, new in pairs[:end]]
        fence = [f"{table}.{column} = {new}" for column, new in pairs[end:]]
        sql = (
            f"UPDATE {table} "  # noqa: S608
            f"SET {', '.join(shared + values)} "
            f"FROM {self.json_table(ButtonOrder, names)} WHERE {' AND '.join(fence)}"
        )
        parameters = [*given, self.encode(ButtonOrder, names, rows)]

        def update() -> int:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return int(cursor.rowcount)

        return update

    def prepare_insert(self, submissions: list[Submission]) -> Callable[[], object]:
        fields = Submission._meta.concrete_fields
        names = [field.attname for field in fields if not field.primary_key]
        rows = [[getattr(item, name) for name in names] for item in submissions]
        sql = (
            f"INSERT INTO {self.table(Submission)} "  # noqa: S608
            f"({', '.join(self.columns(Submission, names))}) "
            f"SELECT {', '.join(f'c{at}' for at in range(len(names)))} "
            f"FROM {self.json_table(Submission, names)} RETURNING id"
        )
        parameter = self.encode(Submission, names, rows)

        def insert() -> None:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, [parameter])
                keys = [key for (key,) in cursor.fetchall()]
            for submission, key in zip(submissions, keys, strict=True):
                submission.pk = key
                submission._state.adding = False
                submission._state.db = self.using

        return insert

    def insert_orders(
        self,
        names: Sequence[str],
        rows: Sequence[Sequence[Any]],
        shared: Mapping[str, Any],
    ) -> int:
        shared = {**defaults_beside(names, self.connection), **shared}
        columns = self.columns(ButtonOrder, (*names, *shared))
        values = [f"new.c{at}" for at in range(len(names))] + ["%s"] * len(shared)
        account, order_id = self.columns(ButtonOrder, names[:2])
        ignore = OnConflict.IGNORE
        # Existing rows are left out first, because a conflict would wait for a row that
        # a worker has locked.
        sql = (
            f"{self.insert_or_ignore} ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {', '.join(values)} FROM {self.json_table(ButtonOrder, names)} "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.table(ButtonOrder)} AS old "
            f"WHERE old.{account} = new.c0 AND old.{order_id} = new.c1) "
            f"{self.connection.ops.on_conflict_suffix_sql((), ignore, (), ())}"
        )
        parameters = [*shared.values(), self.encode(ButtonOrder, names, rows)]
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)


class PostgreSQLBulkSQL(JSONBulkSQL):
    """
    Statements for PostgreSQL.

    They are faster because a driver takes long to quote dozens of parameters per row.
    """

    def json_table(self, model: type[Model], names: Sequence[str]) -> str:
        types = [FIELDS[model][name].db_type(self.connection) for name in names]
        columns = ", ".join(f"c{at} {kind}" for at, kind in enumerate(types))
        return f"jsonb_to_recordset(%s::jsonb) AS new ({columns})"

    def encode(
        self, model: type[Model], names: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> str:
        is_unicode = stores_unicode(self.connection)
        if not is_unicode:
            rows = [self.in_encoding(model, names, row) for row in rows]
        objects = [{f"c{at}": value for at, value in enumerate(row)} for row in rows]
        # PostgreSQL parses dates and UUIDs from texts. It refuses JSON's own escapes
        # of characters that are not in its encoding.
        return json.dumps(
            objects,
            default=lambda value: str(as_aware(value)),
            ensure_ascii=is_unicode,
        )

    def in_encoding(
        self, model: type[Model], names: Sequence[str], row: Sequence[Any]
    ) -> list[Any]:
        """Return a row with escapes for the characters that the database lacks."""
        fields = [FIELDS[model][name] for name in names]
        return [
            as_stored_json(value, self.connection)
            if isinstance(field, StrictJSONField)
            else fit(field, value, self.connection)
            for field, value in zip(fields, row, strict=True)
        ]


class SQLiteBulkSQL(JSONBulkSQL):
    """
    Statements for SQLite.

    They are shorter for other writers: during ``executemany()`` Python may run other
    threads between two rows, while SQLite stays locked.
    """

    def json_table(self, model: type[Model], names: Sequence[str]) -> str:
        columns = [
            f"json_extract(value, '$[{at}]') AS c{at}" for at in range(len(names))
        ]
        return f"(SELECT {', '.join(columns)} FROM json_each(%s)) AS new"  # noqa: S608

    def encode(
        self, model: type[Model], names: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> str:
        # SQLite stores dates, UUIDs and JSON as texts.
        return json.dumps([self.as_stored_values(model, names, row) for row in rows])


def fit(field: Any, value: Any, connection: Any) -> Any:
    """
    Return a value, a text so that it fits the field's column.

    A field refuses a text of a direct row that does not fit. What the shop's adapter,
    Button or an error says is stored nevertheless.
    """
    is_text = isinstance(value, str)
    return escape(value, connection)[: field.max_length] if is_text else value


def defaults_beside(names: Sequence[str], connection: Any) -> dict[str, Any]:
    """Return the defaults of other fields, which the database does not fill itself."""
    return {
        field.attname: field.get_db_prep_save(field.get_default(), connection)
        for field in ButtonOrder._meta.concrete_fields
        if field.attname not in names
        and not field.primary_key
        and field.db_default is NOT_PROVIDED
        and field.get_default() is not None
    }


FIELDS: dict[type[Model], dict[str, Any]] = {
    model: {
        name: field
        for field in model._meta.concrete_fields
        for name in (field.name, field.attname)
    }
    for model in (ButtonOrder, Submission)
}
