"""Commands as processes of their own, on a database that the tests see, too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from django.db import connection
from django.test import TransactionTestCase

from django_button_orders.sandbox import Sandbox
from tests.faults.processes import Process, wait_for

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120


class ProcessTestCase(TransactionTestCase):
    """
    Runs commands beside a sandbox.

    SQLite's database is in the memory of the tests: ``publish`` copies it to a
    file for the commands, and ``refresh`` back.
    """

    def setUp(self):
        super().setUp()
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.file = self.directory / "database.sqlite3"
        self.sandbox = Sandbox(api_key="sk-tests")
        self.sandbox.start()
        self.addCleanup(self.sandbox.stop)
        self.button_orders = {"API_KEY": "sk-tests", "BASE_URL": self.sandbox.url}

    def publish(self):
        if connection.vendor == "sqlite":
            with closing(sqlite3.connect(self.file)) as file:
                connection.connection.backup(file)
                file.execute("PRAGMA journal_mode = WAL")

    def refresh(self):
        if connection.vendor == "sqlite":
            with closing(sqlite3.connect(self.file)) as file:
                file.backup(connection.connection)

    @property
    def env(self):
        if connection.vendor == "sqlite":
            url = f"sqlite:///{self.file}"
        else:
            server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
            url = f"{server}/{connection.settings_dict['NAME']}"
        return {
            **os.environ,
            "DATABASE_URL": url,
            # It is not theirs.
            "ARCHIVE_DATABASE_URL": "sqlite://:memory:",
            "BUTTON_ORDERS": json.dumps(self.button_orders),
            "DJANGO_SETTINGS_MODULE": "tests.management.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }

    def arguments(self, *arguments):
        return [sys.executable, "-W", "error", "-m", "django", *arguments]

    def start(self, *arguments, **options):
        """Start a command whose output is piped."""
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        }
        process = subprocess.Popen(  # noqa: S603 - our own commands
            self.arguments(*arguments),
            env=self.env,
            cwd=self.directory,
            text=True,
            encoding="utf-8",
            **options,
        )
        self.addCleanup(close, process)
        return process

    def finish(self, process, text=None):
        """Wait for a command, and return its exit status and what it printed."""
        out, err = process.communicate(text, timeout=PATIENCE_SECONDS)
        return process.returncode, out, err

    def run_command(self, *arguments, text=None):
        """Run a command; return its exit status and what it printed."""
        options = {} if text is None else {"stdin": subprocess.PIPE}
        return self.finish(self.start(*arguments, **options), text)

    def start_logged(self, *arguments, cwd=None, env=None):
        """Start a program that writes its output to a file."""
        process = Process(
            list(arguments),
            log=self.directory / "command.log",
            env=env or self.env,
            cwd=cwd or self.directory,
        )
        self.addCleanup(process.stop, signal.SIGKILL)
        return process

    def wait_for(self, what, is_true):
        wait_for(what, is_true, PATIENCE_SECONDS, every=0.05)


def close(process):
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
