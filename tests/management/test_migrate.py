"""Commands that are run before 'manage.py migrate'."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from django.core.management import CommandError, call_command
from django.db import connections
from django.test import TestCase, override_settings

from django_button_orders.management.loop import Loop
from tests.faults.lab import alias_for
from tests.management.processes import ProcessTestCase
from tests.management.test_loop import Away, Clock
from tests.management.utils import call
from tests.utils import button_settings, create_row

FORGOTTEN = (
    "No database has the tables of django_button_orders. Run 'manage.py migrate' first."
)
ONE_FORGOTTEN = (
    "The database 'empty' has no table django_button_orders_buttonorder. "
    "Run 'manage.py migrate --database=empty' first."
)


class EmptyRouter:
    """A router that keeps everything in a database without tables."""

    def allow_migrate(self, db, app_label, **hints):
        return db == "empty"

    def db_for_read(self, model, **hints):
        return "empty"

    db_for_write = db_for_read


@override_settings(BUTTON_ORDERS=button_settings())
class EmptyTestCase(TestCase):
    databases = {"default", "archive"}

    @classmethod
    def setUpClass(cls):
        stack = ExitStack()
        cls.addClassCleanup(stack.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cls.file = folder / "orders.jsonl"
        cls.file.touch()
        stack.enter_context(alias_for(f"sqlite:///{folder}/empty.sqlite3", "empty"))
        cls.databases = {*cls.databases, "empty"}
        super().setUpClass()


@override_settings(DATABASE_ROUTERS=[f"{__name__}.EmptyRouter"])
class ForgottenTests(EmptyTestCase):
    def test_no_database_has_the_tables(self):
        for arguments in (
            ("button_orders_report",),
            ("button_orders_report", "--all", "--dry-run"),
            ("button_orders_report", "--order-id", "1994"),
            ("button_orders_prune",),
            ("button_orders_prune", "--dry-run"),
            ("button_orders_retry", "--all"),
            ("button_orders_retry", "--order-id", "1994"),
            ("button_orders_export", "--kind", "new"),
            ("button_orders_reconcile", "button"),
        ):
            with self.subTest(arguments=arguments):
                _, _, error = call(*arguments)

                assert error == FORGOTTEN

    def test_the_database_of_the_orders_has_none(self):
        for arguments in (
            ("button_orders_backfill",),
            ("button_orders_backfill", "--from-file", str(self.file)),
            ("button_orders_reconcile", "shop"),
            ("button_orders_reconcile", "shop", "--order-id", "1994"),
            ("button_orders_preflight",),
        ):
            with self.subTest(arguments=arguments):
                out, err, error = call(*arguments)

                assert (out, err, error) == ("", "", ONE_FORGOTTEN)

    def test_status_is_unknown(self):
        for arguments in (["--fail-if-no-sweep", "10m"], ["--format", "prometheus"]):
            with self.subTest(arguments=arguments):
                with self.assertRaisesMessage(CommandError, FORGOTTEN) as raised:
                    call_command("button_orders_status", *arguments)

                assert raised.exception.returncode == 2


class SomeTests(EmptyTestCase):
    def test_one_of_several_may_have_none(self):
        assert call("button_orders_report") == ("Nothing to do.\n", "", "")

    def test_one_that_is_named_may_not(self):
        create_row()
        for arguments in (
            ("button_orders_backfill",),
            ("button_orders_reconcile", "shop"),
            ("button_orders_reconcile", "button"),
            ("button_orders_preflight",),
        ):
            with self.subTest(arguments=arguments):
                _, _, error = call(*arguments, "--database", "empty")

                assert error == ONE_FORGOTTEN


class ForgottenProcessTests(ProcessTestCase):
    @property
    def env(self):
        return {**super().env, "DATABASE_URL": f"sqlite:///{self.file}"}

    def test_default_database(self):
        status, out, err = self.run_command("button_orders_backfill")

        assert (status, out) == (1, "")
        assert err == (
            "CommandError: The database 'default' has no table "
            "django_button_orders_buttonorder. Run 'manage.py migrate' first.\n"
        )


class LoopTests(EmptyTestCase):
    def run_loop(self):
        clock = Clock(turns=3)
        Loop(stop=clock.stop, interval=5, narrow=lambda rows: rows, clock=clock).run()
        return clock.now

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.EmptyRouter"])
    def test_waits_for_the_tables_and_says_so_once(self):
        with self.assertLogs("django_button_orders", "WARNING") as logs:
            assert self.run_loop() == 15

        assert [record.getMessage() for record in logs.records] == [
            f"{FORGOTTEN} The loop waits until then."
        ]

    @override_settings(DATABASE_ROUTERS=[f"{__name__}.EmptyRouter"])
    def test_one_that_is_away_may_have_them(self):
        with (
            connections["empty"].execute_wrapper(Away()),
            self.assertLogs("django_button_orders", "WARNING") as logs,
        ):
            self.run_loop()

        assert len(logs.output) == 1
        assert "Database empty failed: OperationalError" in logs.output[0]

    def test_one_of_several_may_have_none(self):
        with self.assertNoLogs("django_button_orders", "WARNING"):
            self.run_loop()
