"""Where rows live: in the databases of the shop's orders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Model

from django_button_orders.models import ButtonOrder

NOT_MIGRATED = (
    "No database has the tables of django_button_orders. Run 'manage.py migrate' first."
)


class MissingTablesError(ImproperlyConfigured):
    """Somebody has forgotten to run ``migrate``."""


def database_aliases() -> Iterator[str]:
    """
    Yield the databases that hold rows, those of the shop's orders.

    A router that does not allow this app's migrations on a database, such as
    a replica, leaves it out. Raises ``DatabaseError`` where one does not answer,
    and ``MissingTablesError`` after all if none has the table.
    """
    is_migrated = False
    for alias in filter(has_table, allowed_aliases()):
        is_migrated = True
        yield alias
    if not is_migrated:
        raise MissingTablesError(NOT_MIGRATED)


def migrated_alias(alias: str, model: type[Model] = ButtonOrder) -> str:
    """Return a database that has a table. Raises ``MissingTablesError`` otherwise."""
    if has_table(alias, model):
        return alias
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database={alias}"
    raise MissingTablesError(
        f"The database '{alias}' has no table {model._meta.db_table}. "
        f"Run 'manage.py migrate{option}' first."
    )


def allowed_aliases() -> list[str]:
    return [
        alias for alias in connections if router.allow_migrate_model(alias, ButtonOrder)
    ]


def has_table(alias: str, model: type[Model] = ButtonOrder) -> bool:
    return model._meta.db_table in connections[alias].introspection.table_names()


@contextmanager
def borrowed_connection(alias: str) -> Iterator[None]:
    """
    Close a database's connection afterwards, unless it was open before.

    For threads of others, in which nobody else would.
    """
    connection = connections[alias]
    is_open = connection.connection is not None
    try:
        yield
    finally:
        if not is_open:
            connection.close()
