"""Times: from the database's clock, and as the database stores them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connections
from django.db.models.functions import Now
from django.db.models.sql import Query
from django.utils import timezone

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler


def as_aware(value: datetime | None) -> datetime | None:
    """Add the time zone to a date that was read without ``USE_TZ``."""
    if value is None or settings.USE_TZ or timezone.is_aware(value):
        return value
    return timezone.make_aware(value)


def as_stored(value: Any) -> Any:
    """Remove the time zone from a date that is stored without ``USE_TZ``."""
    if isinstance(value, datetime) and not settings.USE_TZ and timezone.is_aware(value):
        return timezone.make_naive(value)
    return value


class DatabaseNow(Now):
    """
    The time on the database's clock, so that a worker's wrong clock is harmless.

    Django stores UTC in MySQL, whose CURRENT_TIMESTAMP is in the server's zone. In
    SQLite, Django writes and compares dates as texts with microseconds.
    """

    def as_mysql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any
    ) -> Any:
        if settings.USE_TZ:
            context["template"] = "UTC_TIMESTAMP(6)"
            return self.as_sql(compiler, connection, **context)
        return super().as_mysql(compiler, connection, **context)

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
    """Return the time on a database's clock, as the database stores it."""
    connection = connections[using]
    sql, parameters = Query(None).get_compiler(using).compile(DatabaseNow())
    with connection.cursor() as cursor:
        suffix = connection.features.bare_select_suffix
        cursor.execute(f"SELECT {sql}{suffix}", parameters)
        return cursor.fetchone()[0]
