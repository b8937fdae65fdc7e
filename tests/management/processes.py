"""Commands as processes of their own, on a database that they share with a test."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

from django.core.management import call_command
from django.db import connection
from django.test import TransactionTestCase

from tests.faults.lab import alias_for
from tests.faults.processes import wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 120


class ProcessTestCase(TransactionTestCase):
    """The database is that of the tests, or, with SQLite, a file of the class's own."""

    databases = {"default", "archive"}
    using = "default"

    @classmethod
    def setUpClass(cls):
        if connection.vendor == "sqlite":
            folder = TemporaryDirectory()
            cls.addClassCleanup(folder.cleanup)
            cls.url = f"sqlite:///{folder.name}/processes.sqlite3"
            stack = ExitStack()
            cls.addClassCleanup(stack.close)
            # It is emptied after each test, like the others.
            cls.using = stack.enter_context(alias_for(cls.url, "processes"))
            cls.databases = {*cls.databases, cls.using}
        else:
            parts = urlsplit(os.environ["DATABASE_URL"])
            name = connection.settings_dict["NAME"]
            cls.url = urlunsplit(parts._replace(path=f"/{name}"))
        super().setUpClass()
        if cls.using != "default":
            call_command("migrate", database=cls.using, verbosity=0)

    def setUp(self):
        self.env = {
            **os.environ,
            "DATABASE_URL": self.url,
            "DJANGO_SETTINGS_MODULE": "tests.pages.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
        }

    def start(self, *arguments, **options):
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        }
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "django", *arguments], env=self.env, **options
        )
        self.addCleanup(close, process)
        return process

    def finish(self, process, text=None):
        """Return the exit status, and what was printed."""
        out, err = process.communicate(text, timeout=PATIENCE_SECONDS)
        return process.returncode, out, err

    def run_command(self, *arguments, text=None):
        options = {} if text is None else {"stdin": subprocess.PIPE}
        return self.finish(self.start(*arguments, **options), text)

    def wait_until(self, is_true, process):
        """Wait for something that a process does. Raises what it says if it ends."""

        def is_over():
            if process.poll() is not None:
                raise AssertionError(process.communicate()[1])
            return is_true()

        wait_for("the command", is_over, PATIENCE_SECONDS, every=0.005)


def close(process):
    if process.poll() is None:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
