"""Find the databases that have this app's tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Model

from django_button_orders.models import ButtonOrder, Checkpoint

NOT_MIGRATED = (
    "No database has the tables of django_button_orders. Run 'manage.py migrate' first."
)


class MissingTablesError(ImproperlyConfigured):
    """A database has no tables of this app, because ``migrate`` was not run."""


def database_aliases() -> Iterator[str]:
    """
    Yield the databases that have this app's tables.

    Databases that a router forbids to migrate, such as replicas, are left out. Raises
    ``DatabaseError`` if a database does not answer, and ``MissingTablesError`` in the
    end if none has the tables.
    """
    is_migrated = False
    for alias in filter(has_table, allowed_aliases()):
        is_migrated = True
        yield alias
    if not is_migrated:
        raise MissingTablesError(NOT_MIGRATED)


def migrated_alias(alias: str) -> str:
    """Return the alias of a database. Raises ``MissingTablesError`` without a table."""
    if has_table(alias):
        return alias
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database={alias}"
    raise MissingTablesError(
        f"The database '{alias}' has no table {ButtonOrder._meta.db_table}. "
        f"Run 'manage.py migrate{option}' first."
    )


def allowed_aliases() -> list[str]:
    """Return the databases that the routers allow to have this app's tables."""
    return [
        alias for alias in connections if router.allow_migrate_model(alias, ButtonOrder)
    ]


def has_table(alias: str, model: type[Model] = ButtonOrder) -> bool:
    """Return whether a database has the table of a model. Queries the database."""
    return model._meta.db_table in connections[alias].introspection.table_names()


def store_first_work(*, using: str, **kwargs: object) -> None:
    """Store since when the app is at work on a database. Receives ``post_migrate``."""
    # The signal is also sent if the routers refuse the tables, or they were removed.
    if router.allow_migrate_model(using, Checkpoint) and has_table(using, Checkpoint):
        Checkpoint.objects.using(using).first_at_work()


@contextmanager
def borrowed_connection(alias: str) -> Iterator[None]:
    """
    Close the connection to a database afterwards, unless it was open before.

    Use it in threads that other libraries start, because Django closes no connection
    there.
    """
    connection = connections[alias]
    is_open = connection.connection is not None
    try:
        yield
    finally:
        if not is_open:
            connection.close()
