"""The time on a database's clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.models.functions import Now
from django.db.models.sql import Query

from django_button_orders.models.fields import AwareDateTimeField, as_aware

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler


class DatabaseNow(Now):
    """
    The time on the database's clock, so that a worker's wrong clock is harmless.

    It is in UTC, as ``AwareDateTimeField`` stores dates. MySQL's CURRENT_TIMESTAMP is
    in the server's zone. In SQLite, Django writes and compares dates as texts with
    microseconds.
    """

    output_field = AwareDateTimeField()

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> Any:
        context["template"] = "UTC_TIMESTAMP(6)"
        return self.as_sql(compiler, connection, **context)

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> Any:
        form = "%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f000"
        context["template"] = f"STRFTIME('{form}', 'NOW')"
        return self.as_sql(compiler, connection, **context)


def from_now(seconds: float) -> Any:
    """Return an SQL expression for the database's time plus ``seconds``."""
    return DatabaseNow() + timedelta(seconds=seconds)


def read_now(using: str) -> Any:
    """Return the time on a database's clock, as a parameter of its statements."""
    connection = connections[using]
    sql, parameters = Query(None).get_compiler(using).compile(DatabaseNow())
    with connection.cursor() as cursor:
        suffix = connection.features.bare_select_suffix
        cursor.execute(f"SELECT {sql}{suffix}", parameters)
        now = cursor.fetchone()[0]
    # PostgreSQL alone returns the time in the zone of the session.
    return as_aware(now) if connection.vendor == "postgresql" else now
