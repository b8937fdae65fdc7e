"""Databases of the present kind that cannot store all characters."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy

from django.apps import apps
from django.core.management import call_command
from django.db import DataError, connection, connections, transaction
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


class OldDatabase:
    """A database with all tables. It takes long to make, so tests share it."""

    def __init__(self, kind):
        clause, options = KINDS[connection.vendor][kind]
        self.settings = deepcopy(connection.settings_dict)
        if connection.vendor != "sqlite":
            self.name = f"{self.settings['NAME']}_old_{kind.replace(' ', '_').lower()}"
            self.settings["NAME"] = self.name
            self.settings["OPTIONS"] |= options
            self.drop()
            # PostgreSQL's other templates have an encoding of their own.
            extra = " LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            is_postgresql = connection.vendor == "postgresql"
            run(f"CREATE DATABASE {self.name} {clause}{extra if is_postgresql else ''}")
        with self.connected():
            call_command("migrate", database=OLD, run_syncdb=True, verbosity=0)
            tables = connections[OLD].introspection.table_names()
            self.first_keys = {
                model: list(rows_of(model).values_list("pk", flat=True))
                for model in apps.get_models()
                if model._meta.db_table in tables
            }

    @contextmanager
    def connected(self):
        """Give it the alias ``OLD``."""
        connections.settings[OLD] = self.settings
        try:
            if connection.vendor == "sqlite":
                connections[OLD].execute_wrappers.append(refuse)
            yield
        finally:
            connections[OLD].close()
            del connections[OLD], connections.settings[OLD]

    def empty(self):
        """Delete the rows that were made since the migrations."""
        old = connections[OLD]
        # MariaDB checks foreign keys after each statement, and not at the end.
        with old.constraint_checks_disabled(), transaction.atomic(using=OLD):
            for model, keys in self.first_keys.items():
                rows_of(model).exclude(pk__in=keys)._raw_delete(OLD)

    def drop(self):
        if connection.vendor != "sqlite":
            run(f"DROP DATABASE IF EXISTS {self.name}")


def rows_of(model):
    return model._base_manager.using(OLD)


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


@override_settings(DATABASE_ROUTERS=["tests.charsets.OldRouter"])
class OldDatabaseTestCase(TransactionTestCase):
    """Run ``check`` once for each kind of database."""

    databases = {"default", OLD}
    made = {}

    @classmethod
    def _validate_databases(cls):
        # Its settings are there only while a test runs.
        return frozenset(cls.databases)

    @classmethod
    def tearDownClass(cls):
        while cls.made:
            cls.made.popitem()[1].drop()
        super().tearDownClass()

    def each(self, check, *, played=True):
        if connection.vendor == "sqlite" and not played:
            self.skipTest("SQLite stores all characters.")
        for kind in KINDS[connection.vendor]:
            with self.subTest(kind=kind):
                database = self.made.get(kind) or OldDatabase(kind)
                self.made[kind] = database
                with database.connected():
                    self.client = Client()
                    try:
                        check()
                    finally:
                        database.empty()
