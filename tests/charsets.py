"""Databases of the present kind that cannot store all characters."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy

from django.core.management import call_command
from django.db import DataError, connection, connections
from django.test import TransactionTestCase, override_settings
from django.test.client import Client

OLD = "old"
GIFT = "\U0001f381"
ESCAPED = r"\U0001f381"
# What "CREATE DATABASE" says, and the options of the connections.
KINDS = {
    "postgresql": {
        "LATIN1": ("ENCODING 'LATIN1'", {}),
        "SQL_ASCII": ("ENCODING 'SQL_ASCII'", {}),
    },
    "mysql": {
        "latin1": ("CHARACTER SET latin1", {}),
        "utf8mb3": ("CHARACTER SET utf8mb3", {}),
        "latin1 connections": ("CHARACTER SET latin1", {"charset": "latin1"}),
        "utf8mb3 connections": ("CHARACTER SET utf8mb3", {"charset": "utf8mb3"}),
    },
    # SQLite stores everything, so it is made to refuse it.
    "sqlite": {"refusing": ("", {})},
}


class OldRouter:
    """Have everything in the database that a test looks at."""

    def db_for_read(self, model, **hints):
        return OLD

    db_for_write = db_for_read


def refuse(execute, sql, params, many, context):
    """Fail as an old database does, as a wrapper of ``execute_wrapper()``."""
    if not all(str(value).isascii() for value in params or ()):
        raise DataError("No such character.")
    return execute(sql, params, many, context)


@contextmanager
def old_database(kind):
    """Create a database with all tables, which has the alias ``OLD``."""
    clause, options = KINDS[connection.vendor][kind]
    name = "old_{}".format(kind.replace(" ", "_").lower())
    settings = deepcopy(connection.settings_dict)
    if connection.vendor != "sqlite":
        name = f"{settings['NAME']}_{name}"
        settings["OPTIONS"] |= options
        run(f"DROP DATABASE IF EXISTS {name}")
        # PostgreSQL's other templates have an encoding of their own.
        extra = " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        is_postgresql = connection.vendor == "postgresql"
        run(f"CREATE DATABASE {name} {clause}{extra if is_postgresql else ''}")
        settings["NAME"] = name
    connections.settings[OLD] = settings
    try:
        call_command("migrate", database=OLD, run_syncdb=True, verbosity=0)
        if connection.vendor == "sqlite":
            connections[OLD].execute_wrappers.append(refuse)
        yield
    finally:
        connections[OLD].close()
        del connections[OLD], connections.settings[OLD]
        if connection.vendor != "sqlite":
            run(f"DROP DATABASE {name}")


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


@override_settings(DATABASE_ROUTERS=["tests.charsets.OldRouter"])
class OldDatabaseTestCase(TransactionTestCase):
    """Run ``check`` once for each kind of database."""

    databases = {"default", OLD}

    @classmethod
    def _validate_databases(cls):
        # Its settings are there only while a test runs.
        return frozenset(cls.databases)

    def each(self, check, *, played=True):
        if connection.vendor == "sqlite" and not played:
            self.skipTest("SQLite stores all characters.")
        for kind in KINDS[connection.vendor]:
            with self.subTest(kind=kind), old_database(kind):
                self.client = Client()
                check()
