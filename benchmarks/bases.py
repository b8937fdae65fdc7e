"""Databases and brokers of a benchmark, and their counts of statements and messages."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import redis
from django.apps import apps
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from shop.management.commands.stock_shop import PRODUCTS
from shop.models import Order, OrderLine, Product

from tests.faults import servers
from tests.faults.lab import alias_for, execute, new_database
from tests.faults.servers import PostgreSQL, RabbitMQ, Server

# Statements of this user are not counted: the benchmark itself runs them.
WATCHER = "watcher"
Row = TypeVar("Row", bound=Model)


class CountingPostgreSQL(PostgreSQL):
    """PostgreSQL that syncs commits to disk, as in a shop, and counts statements."""

    @property
    def command(self) -> list[str]:
        settings = {
            "fsync": "on",
            "shared_buffers": "512MB",
            "max_wal_size": "4GB",
            "shared_preload_libraries": "pg_stat_statements",
        }
        # PostgreSQL uses the last one of several values.
        return super().command + [f"-c{key}={value}" for key, value in settings.items()]

    def start(self) -> None:
        super().start()
        execute(self.url, f"CREATE ROLE {WATCHER} SUPERUSER LOGIN")


KINDS: dict[str, type[Server]] = {
    **servers.SERVERS,
    "postgresql": CountingPostgreSQL,
}


class Servers:
    """Start private servers when a scenario first needs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, Server] = {}

    def get(self, kind: str) -> Server:
        if kind not in self.running:
            server = KINDS[kind](self.folder / kind)
            server.install()
            # stop() must also end a server that fails to start, so it is added first.
            self.running[kind] = server
            server.start()
        return self.running[kind]

    def versions(self) -> dict[str, str]:
        """Return the version of each server."""
        found = {}
        for kind, server in self.running.items():
            command = [server.command[0], "--version"]
            if isinstance(server, RabbitMQ):
                command = [server.find_own("rabbitmqctl"), "version"]
            done = subprocess.run(  # noqa: S603 - the servers' own programs
                command, capture_output=True, text=True, check=False, env=server.env
            )
            number = re.search(r"\d+(?:\.\d+)+", done.stdout)
            found[f"{kind} server"] = number[0] if number else "unknown"
        return found

    def stop(self) -> None:
        for server in self.running.values():
            server.stop()


class Base:
    """A database with the tables of all integrations, and products to sell."""

    def __init__(self, server: Server | None, folder: Path, stack: ExitStack) -> None:
        self.server = server
        if server is None:
            name = f"{secrets.token_hex(4)}.sqlite3"
            self.url = self.watched_url = f"sqlite:///{folder / name}"
        else:
            self.url = self.watched_url = stack.enter_context(new_database(server.url))
        if self.counts:
            parts = urlsplit(self.url)
            netloc = f"{WATCHER}@{parts.netloc.rpartition('@')[2]}"
            self.watched_url = urlunsplit(parts._replace(netloc=netloc))
        self.alias = stack.enter_context(
            alias_for(self.watched_url, f"bench-{secrets.token_hex(4)}")
        )
        if server is None:
            # The file keeps this mode, for all processes that open it.
            with self.connection.cursor() as cursor:
                cursor.execute("PRAGMA journal_mode=WAL")
        if self.counts:
            self.execute("CREATE EXTENSION pg_stat_statements")
        call_command("migrate", database=self.alias, verbosity=0)
        names = ("sku", "name", "category", "price")
        self.fill(Product(**dict(zip(names, facts, strict=True))) for facts in PRODUCTS)

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @property
    def counts(self) -> bool:
        """Whether the server counts statements."""
        return isinstance(self.server, CountingPostgreSQL)

    def fill(self, rows: Iterable[Row]) -> list[Row]:
        rows = list(rows)
        manager = type(rows[0])._default_manager.using(self.alias)
        return manager.bulk_create(rows, batch_size=2000)

    def execute(self, *statements: str) -> list[Any]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def clear(self, *, orders: bool = True) -> None:
        """Delete all rows of the integrations, and by default all orders."""
        models = [
            *apps.get_app_config("django_button_orders").get_models(),
            *apps.get_app_config("naive").get_models(),
            *([OrderLine, Order] if orders else []),
        ]
        tables = [model._meta.db_table for model in models]
        operations = self.connection.ops
        operations.execute_sql_flush(
            operations.sql_flush(no_style(), tables, reset_sequences=True)
        )

    def analyze(self) -> None:
        """Update the planner's statistics after many inserts."""
        if self.connection.vendor == "postgresql":
            self.execute("VACUUM ANALYZE")
        elif self.connection.vendor == "sqlite":
            self.execute("ANALYZE")

    def reset_statements(self) -> None:
        if self.counts:
            self.execute("SELECT pg_stat_statements_reset()")

    def statements(self) -> tuple[float | None, float | None]:
        """Return the number of statements since the reset, and their milliseconds."""
        if not self.counts:
            return None, None
        query = (
            "SELECT coalesce(sum(calls), 0), coalesce(sum(total_exec_time), 0)"
            " FROM pg_stat_statements AS seen"
            " JOIN pg_database AS base ON base.oid = seen.dbid"
            " JOIN pg_roles AS role ON role.oid = seen.userid"
            " WHERE datname = current_database() AND rolname <> current_user"
        )
        calls, milliseconds = self.execute(query)[0]
        return float(calls), float(milliseconds)


class Messages:
    """Count the messages that Redis received. Other brokers do not tell."""

    def __init__(self, server: Server) -> None:
        self.client = None
        if server.package == "redis-server":
            self.client = redis.Redis.from_url(server.url)
        self.start = 0
        self.start = self.count() or 0

    def count(self) -> int | None:
        if self.client is None:
            return None
        commands = self.client.info("commandstats")
        return int(commands.get("cmdstat_lpush", {}).get("calls", 0)) - self.start
