from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from tests.management.processes import ProcessTestCase
from tests.management.utils import Terminal, call
from tests.shop.models import Order
from tests.utils import PURCHASED, button_settings, create_row

ITEMS = [{"identifier": "mug", "total": 7000, "description": "Grüße, «mug»"}]
DAY = ("--since", "2026-11-01", "--until", "2026-11-02")
SETTINGS = {
    "BATCH_FILE_BRAND": "SHOP",
    "BATCH_FILE_COLUMNS": {
        "new": {
            "Order ID": "order_id",
            "line": "line_item_identifier",
            "text": "line_item_description",
        }
    },
}


def today():
    return datetime.now(timezone.utc).date()


@override_settings(BUTTON_ORDERS=button_settings(**SETTINGS))
class ExportTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def export(self, *arguments):
        return call("button_orders_export", "--kind", "new", *arguments)

    def names(self):
        return sorted(path.name for path in self.directory.iterdir())

    def test_stdout(self):
        create_row(line_items=ITEMS)
        create_row(order_id="2", using="archive", line_items=ITEMS)

        out, err, error = self.export(*DAY)

        assert list(csv.reader(StringIO(out))) == [
            ["Order ID", "line", "text"],
            ["1994", "mug", "Grüße, «mug»"],
            ["2", "mug", "Grüße, «mug»"],
        ]
        assert (err, error) == ("2 orders, 2 rows.\n", "")

    def test_no_orders(self):
        out, err, error = self.export(*DAY)

        assert out == "Order ID,line,text\r\n"
        assert err == "No order is in this period. Only a header was written.\n"
        assert error == ""

    def test_progress(self):
        """It is shown on a terminal, except among the rows of the file."""
        create_row(line_items=ITEMS)
        for out, is_shown in ((StringIO(), True), (Terminal(), False)):
            with self.subTest(is_shown=is_shown):
                err = Terminal()
                arguments = ("button_orders_export", "--kind", "new", *DAY)
                call_command(*arguments, stdout=out, stderr=err)

                assert ("Exporting: " in err.getvalue()) is is_shown

    def test_file(self):
        create_row(line_items=ITEMS)

        before = today()
        out, err, error = self.export(*DAY, str(self.directory))

        assert (out, err, error) == ("1 order, 1 row.\n", "", "")
        [name] = self.names()
        days = {before, today()}
        assert name in {f"SHOP_orders_{day.isoformat()}.csv" for day in days}
        path = self.directory / name
        assert path.read_bytes().decode("utf-8") == (
            'Order ID,line,text\r\n1994,mug,"Grüße, «mug»"\r\n'
        )
        # It is about customers.
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_file_that_is_there(self):
        self.export(*DAY, str(self.directory))
        create_row(line_items=ITEMS)
        [name] = self.names()

        _, _, error = self.export(*DAY, str(self.directory))
        assert error.endswith("already exists. Move it, or use --overwrite.")
        assert b"1994" not in (self.directory / name).read_bytes()

        self.export(*DAY, str(self.directory), "--overwrite")
        assert b"1994" in (self.directory / name).read_bytes()
        assert self.names() == [name]

    def test_interrupted(self):
        """There is no file, until it is run again."""
        create_row(line_items=ITEMS)
        names = []

        def interrupt(execute, sql, params, many, context):
            if not names:
                names.extend(self.names())
                os.kill(os.getpid(), signal.SIGTERM)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(interrupt):
            out, _, error = self.export(*DAY, str(self.directory))

        assert (out, error) == ("", "Interrupted: no complete file was written.")
        assert names[0].startswith(".SHOP_orders_")
        assert self.names() == []
        self.export(*DAY, str(self.directory))
        assert len(self.names()) == 1

    def test_json(self):
        create_row(line_items=ITEMS)

        out, _, _ = self.export(
            *DAY, str(self.directory), "--brand", "OTHER", "--format", "json"
        )
        _, err, _ = self.export(*DAY, "-", "--format", "json")

        assert json.loads(out) == {
            "file": str(self.directory / self.names()[0]),
            "orders": 1,
            "rows": 1,
            "failed": 0,
        }
        assert self.names()[0].startswith("OTHER_orders_")
        assert json.loads(err)["file"] is None

    def test_what_cannot_be_built(self):
        """The others are in the file."""
        create_row(line_items=ITEMS)
        Order.objects.create(number="7", placed_at=PURCHASED, trouble="build")
        ButtonOrder.objects.update(updated_at=PURCHASED)

        out, err, error = self.export(*DAY, str(self.directory))

        assert out == "1 order, 1 row, 1 failed.\n"
        assert err.startswith("7: ShopOrderAdapter.build raised TroubleError")
        assert error == "1 order is not in the file. The reason is above."
        assert len(self.names()) == 1

    def test_interval(self):
        """Days are days of UTC, and without one it is yesterday's."""
        now = datetime.now(timezone.utc)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        for name, moment in {
            "before yesterday": midnight - timedelta(hours=25),
            "yesterday": midnight - timedelta(hours=23),
            "today": midnight,
        }.items():
            create_row(order_id=name, purchase_date=moment, line_items=ITEMS)
        yesterday = (midnight - timedelta(days=1)).date().isoformat()

        for arguments, expected in (
            ([], ["yesterday"]),
            (["--since", yesterday], ["yesterday", "today"]),
            (["--since", f"{yesterday}T00:00:00-04:00"], ["today"]),
        ):
            with self.subTest(arguments=arguments):
                out, _, _ = self.export(*arguments)

                found = [row["Order ID"] for row in csv.DictReader(StringIO(out))]
                assert found == expected or today() != now.date()

    def test_changes(self):
        create_row(line_items=ITEMS)
        ButtonOrder.objects.update(revision=2)
        since = (today() - timedelta(days=1)).isoformat()
        row = ButtonOrder.objects.get()
        row.purchase_date = datetime(2020, 1, 1, tzinfo=timezone.utc)
        row.save()

        out, err, error = call(
            "button_orders_export", "--kind", "changes", "--since", since
        )

        assert out.startswith("updated_date,order_id,line_item_identifier,is_cancelled")
        assert (err, error) == ("1 order, 1 row.\n", "")

    def test_bad_options(self):
        directory = str(self.directory)
        for arguments, complaint in (
            (["--until", "2026-11-01"], "--until needs --since."),
            (
                ["--since", "2026-11-02", "--until", "2026-11-02"],
                "--since must be before --until.",
            ),
            (["--since", "soon"], "'soon' is not a date"),
            (["--account", "moon"], "no account 'moon'"),
            ([directory, "--brand", "../x"], "--brand can have only"),
            ([f"{directory}/nowhere"], "is not a directory"),
        ):
            with self.subTest(arguments=arguments):
                out, _, error = self.export(*arguments)

                assert complaint in error
                assert (out, self.names()) == ("", [])

    @override_settings(BUTTON_ORDERS=button_settings())
    def test_without_brand(self):
        _, _, error = self.export(str(self.directory))

        assert "BUTTON_ORDERS['BATCH_FILE_BRAND']" in error

    def test_kind_is_required(self):
        _, _, error = call("button_orders_export")

        assert "--kind" in error

    def test_help_says_that_columns_must_be_agreed(self):
        from django_button_orders.management.commands.button_orders_export import (
            Command,
        )

        text = Command().create_parser("manage.py", "button_orders_export")
        assert "agree on them with Button" in " ".join(text.format_help().split())


class ExportProcessTests(ProcessTestCase):
    def setUp(self):
        super().setUp()
        self.button_orders |= SETTINGS
        with override_settings(BUTTON_ORDERS=button_settings()):
            row = create_row(line_items=ITEMS)
        names = ("total", "currency", "purchase_date", "btn_ref", "line_items")
        values = {name: getattr(row, name) for name in names}
        ButtonOrder.objects.bulk_create(
            [ButtonOrder(order_id=f"A{number}", **values) for number in range(3000)],
            batch_size=500,
        )
        self.publish()

    def test_piped(self):
        """In UTF-8, whatever the terminal speaks, and nothing but rows."""
        done = subprocess.run(  # noqa: S603 - our own command
            self.arguments("button_orders_export", "--kind", "new", *DAY),
            env={**self.env, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            timeout=120,
            check=False,
        )

        assert (done.returncode, done.stderr) == (0, b"3001 orders, 3001 rows.\n")
        lines = done.stdout.decode("utf-8").split("\r\n")
        assert lines[1] == '1994,mug,"Grüße, «mug»"'
        assert len(lines) == 3003
        assert lines[-1] == ""

    def test_reader_that_goes_away(self):
        command = self.arguments("button_orders_export", "--kind", "new", *DAY)
        with subprocess.Popen(  # noqa: S603 - our own command
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            process.stdout.close()
            complaints = process.stderr.read().decode()
            assert process.wait(120) == 1

        assert (
            complaints
            == "CommandError: The output was closed before the file was complete.\n"
        )

    def test_told_to_end(self):
        """While it waits for whoever reads it: all does not fit into a pipe."""
        with subprocess.Popen(  # noqa: S603 - our own command
            self.arguments("button_orders_export", "--kind", "new", *DAY),
            env=self.env,
            bufsize=0,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            rows, complaints = process.communicate(timeout=120)

        assert process.returncode == 1
        assert len(rows.splitlines()) < 3001
        assert complaints.decode() == (
            "CommandError: Interrupted: no complete file was written.\n"
        )
