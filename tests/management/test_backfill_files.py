from __future__ import annotations

import gzip
import json
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import responses
from django.test import TestCase, override_settings

from django_button_orders import hash_email
from django_button_orders.models import ButtonOrder
from tests.management.utils import call
from tests.shop.models import Order
from tests.utils import add_answer, button_settings, calls, create_row

EMAIL = "Jane@Example.com"
DATE = "2026-11-01T12:00:00Z"
HEAD = "order_id,total,currency,purchase_date,customer_email,line_item_identifier"
HEAD += ",line_item_total"


def json_line(order_id="1", **values):
    order = {
        "order_id": order_id,
        "total": 7000,
        "currency": "USD",
        "purchase_date": DATE,
        "btn_ref": "fakesrctok-1",
        "customer": {"email": EMAIL},
        "line_items": [{"identifier": "a", "total": 7000}],
        **values,
    }
    return f"{json.dumps(order)}\n"


def row(order_id="1", identifier="a", total="7000"):
    return f"{order_id},{total},USD,{DATE},{EMAIL},{identifier},7000\n"


@override_settings(BUTTON_ORDERS=button_settings(ACCOUNTS={"uk": {"API_KEY": "sk-uk"}}))
class FileTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "orders"
        self.rejects = Path(folder.name) / "rejects"

    def backfill(self, content, *arguments):
        if isinstance(content, str):
            content = content.encode()
        self.path.write_bytes(content)
        return call("button_orders_backfill", "--from-file", str(self.path), *arguments)

    def order_ids(self, using="default"):
        rows = ButtonOrder.objects.using(using)
        return sorted(rows.values_list("order_id", flat=True))

    def test_json_lines(self):
        out, err, error = self.backfill(json_line("1") + json_line("2"))

        assert (out, err, error) == ("2 created.\n", "", "")
        row = ButtonOrder.objects.get(order_id="1")
        assert row.is_direct
        assert row.account == "default"
        assert row.as_report().as_payload() == {
            "order_id": "1",
            "total": 7000,
            "currency": "USD",
            "purchase_date": DATE,
            "btn_ref": "fakesrctok-1",
            "customer": {"email_sha256": hash_email(EMAIL)},
            "line_items": [{"identifier": "a", "total": 7000}],
        }

    def test_row_is_like_one_that_was_created(self):
        self.backfill(json_line("1"))
        found = ButtonOrder.objects.get()
        values = {**found.as_report().as_fields(), "order_id": "2"}
        ButtonOrder.objects.create(**values)
        created = ButtonOrder.objects.get(order_id="2")

        for field in ButtonOrder._meta.concrete_fields:
            if field.name not in {"id", "order_id"} and not field.name.endswith("_at"):
                assert getattr(found, field.attname) == getattr(
                    created, field.attname
                ), field.name
        assert ButtonOrder.objects.due().count() == 2

    def test_csv(self):
        content = f"{HEAD}\n{row('1', 'a')}{row('1', 'b')}{row('2')}"

        out, err, error = self.backfill(content)

        assert (out, err, error) == ("2 created.\n", "", "")
        found = ButtonOrder.objects.get(order_id="1")
        assert [item["identifier"] for item in found.line_items] == ["a", "b"]
        assert found.customer == {"email_sha256": hash_email(EMAIL)}

    def test_dummy_address(self):
        line = json_line("1").replace(EMAIL, "u7@deleted.invalid")
        self.backfill(line)
        self.backfill(f"{HEAD}\n{row('2')}".replace(EMAIL, "deleted"))

        for found in ButtonOrder.objects.all():
            assert not found.customer
        assert ButtonOrder.objects.count() == 2

    @responses.activate
    def test_rows_are_reported(self):
        add_answer("POST")

        out, _, error = self.backfill(json_line("1"), "--now")

        assert (out, error) == ("1 created, 1 reported.\n", "")
        assert calls() == ["POST /v1/order"]
        sent = json.loads(responses.calls[0].request.body)
        assert sent["customer"] == {"email_sha256": hash_email(EMAIL)}

    def test_rows_that_are_there_are_left_alone(self):
        create_row(order_id="1", total=5)

        out, _, _ = self.backfill(json_line("1") + json_line("2"))

        assert out == "1 created, 1 already there.\n"
        assert ButtonOrder.objects.get(order_id="1").total == 5

    def test_order_that_stands_there_twice(self):
        out, _, _ = self.backfill(json_line("1") + json_line("1", total=5))

        assert out == "1 created, 1 already there.\n"
        assert ButtonOrder.objects.get().total == 7000

    def test_older_than_what_is_saved_meanwhile(self):
        create_row(order_id="before")
        self.backfill(json_line("1"))
        create_row(order_id="after")

        ids = ButtonOrder.objects.due().order_by("next_attempt_at")

        assert list(ids.values_list("order_id", flat=True)) == ["before", "1", "after"]

    def test_bad_lines(self):
        content = json_line("1") + "nonsense\n" + json_line("3", total=1.5)

        out, err, error = self.backfill(content)

        assert out == "1 created, 2 invalid.\n"
        assert err.splitlines() == [
            "line 2: This is not JSON: Expecting value, at column 1.",
            "line 3: total: Enter an integer, not a value of type Decimal.",
        ]
        assert error == "2 orders are invalid. The reasons are above."

    def test_every_bad_line_is_told(self):
        _, err, _ = self.backfill("{x\n" * 50, "--batch-size", "7")

        assert [line.partition(":")[0] for line in err.splitlines()] == [
            f"line {number}" for number in range(1, 51)
        ]

    def test_json_summary(self):
        out, _, _ = self.backfill(json_line() + "x\n" * 50, "--format", "json")

        summary = json.loads(out)
        assert len(summary.pop("errors")) == 10
        assert summary == {
            "dry_run": False,
            "created": 1,
            "already_there": 0,
            "not_reportable": 0,
            "invalid": 50,
            "interrupted": False,
        }

    def test_dry_run(self):
        out, err, _ = self.backfill(json_line() + "x\n", "--dry-run")

        assert out == (
            "Dry run, nothing was changed. Without --dry-run: 1 created, 1 invalid.\n"
        )
        assert err.startswith("line 2: ")
        assert self.order_ids() == []

    def test_limit(self):
        self.backfill("".join(map(json_line, "12345")), "--limit", "3")

        assert self.order_ids() == ["1", "2", "3"]

    def test_account_and_database(self):
        self.backfill(json_line(), "--account", "uk", "--database", "archive")

        assert ButtonOrder.objects.using("archive").get().account == "uk"
        assert self.order_ids() == []

    def test_unknown_account(self):
        _, _, error = self.backfill(json_line(), "--account", "us")

        assert error.startswith("BUTTON_ORDERS['ACCOUNTS'] has no account 'us'.")

    def test_email_is_nowhere(self):
        content = f"{HEAD}\n{row('1')}{row('2', total='x')}{EMAIL}\n"

        out, err, error = self.backfill(content, "--format", "json")

        assert error == "2 orders are invalid. The reasons are above."
        assert "example" not in (out + err + error).lower()
        [found] = ButtonOrder.objects.values()
        assert "example" not in str(found).lower()

    def test_rejects_can_be_mended_and_read_again(self):
        bad = row("2", total="70.00")
        content = f"{HEAD}\n{row('1')}{bad}{row('3')}"
        self.backfill(content, "--rejects", str(self.rejects))

        assert self.rejects.read_text() == f"{HEAD}\n{bad}"
        mended = self.rejects.read_text().replace("70.00", "7000")
        out, _, error = self.backfill(mended, "--rejects", str(self.rejects))

        assert (out, error) == ("1 created.\n", "")
        assert self.order_ids() == ["1", "2", "3"]
        assert self.rejects.read_text() == ""

    def test_rejects_are_for_their_owner(self):
        self.rejects.write_text("of an earlier run")
        self.rejects.chmod(0o644)

        self.backfill("x\n", "--rejects", str(self.rejects), "--input-format", "jsonl")

        assert self.rejects.read_text() == "x\n"
        if os.name == "posix":
            assert stat.S_IMODE(self.rejects.stat().st_mode) == 0o600

    def test_rejects_over_the_file_itself(self):
        _, _, error = self.backfill(json_line(), "--rejects", str(self.path))

        assert error == "--rejects and --from-file must be different files."
        assert self.path.read_text() == json_line()

    def test_rejects_into_a_pipe(self):
        if not hasattr(os, "mkfifo"):
            self.skipTest("There are no named pipes.")
        os.mkfifo(self.rejects)
        reader = os.open(self.rejects, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)

        self.backfill("{x\n", "--rejects", str(self.rejects))

        assert os.read(reader, 100) == b"{x\n"
        assert stat.S_ISFIFO(self.rejects.stat().st_mode)

    def test_other_names(self):
        content = f"{HEAD}\n{row()}".replace("order_id", "No.").replace(
            "total,c", "Sum,c", 1
        )

        out, _, error = self.backfill(
            content, "--map", "order_id=No.", "--map", "total=Sum"
        )

        assert (out, error) == ("1 created.\n", "")

    def test_names_that_are_none(self):
        for text in ("order_id", "order_id=", "colour=Colour"):
            _, _, error = self.backfill(json_line(), "--map", text)

            assert f"'{text}' is not FIELD=COLUMN" in error

    def test_names_for_json(self):
        _, _, error = self.backfill(json_line(), "--map", "order_id=No.")

        assert error == "--map and --ignore-unknown work with CSV, not with JSON."

    def test_unknown_columns(self):
        content = f"{HEAD},Colour\n{row().strip()},red\n"

        _, _, error = self.backfill(content)
        out, _, _ = self.backfill(content, "--ignore-unknown")

        assert error.startswith("Unknown columns: Colour.")
        assert out == "1 created.\n"

    def test_titles_that_control_a_terminal(self):
        _, _, error = self.backfill(f"{HEAD},\x1b[2J\u202e\n")

        assert error.startswith("Unknown columns: \\x1b[2J\\u202e.")

    def test_files_that_cannot_be_read(self):
        for content, reason in (
            ("", "The file is empty."),
            ("[{}]", "The file is one JSON array."),
            ("number\n1\n", "The header has no column order_id."),
            ("{\n}\n", "The file has JSON objects of several lines."),
            ("<html>", "The file is HTML or XML"),
            (b"PK\3\4\0\0", "The file is a ZIP archive, or a workbook (.xlsx)."),
            (b"\xd0\xcf\x11\xe0\0", "The file is a workbook (.xls)."),
            (b"BZh9", "The file is compressed, but not with gzip."),
            (gzip.compress(json_line().encode())[:-9], "The file is damaged"),
            (
                f"{HEAD};\xe4".encode("cp1252"),
                "The header of the file cannot be read: ",
            ),
        ):
            with self.subTest(reason=reason):
                out, _, error = self.backfill(content)

                assert error.startswith(reason)
                assert out == ""

    def test_format_that_is_named(self):
        _, err, error = self.backfill(f"{HEAD}\n", "--input-format", "jsonl")

        assert err.startswith("line 1: This is not JSON")
        assert error == "1 order is invalid. The reason is above."

    def test_no_file(self):
        _, _, error = call("button_orders_backfill", "--from-file", "/no/such/file")

        assert "No such file" in error

    def test_contradictions(self):
        for option in (
            ["--model", "shop.Order"],
            ["--since", "2026-01-01"],
            ["--resume"],
        ):
            _, _, error = self.backfill(json_line(), *option)

            assert error == f"--from-file and {option[0]} cannot be combined."

    def test_what_is_about_files(self):
        Order.objects.bulk_create([Order(number="1")])
        for option in (["--account", "uk"], ["--rejects", "x"], ["--ignore-unknown"]):
            _, _, error = call("button_orders_backfill", *option)

            assert error == f"{option[0]} needs --from-file."
        assert self.order_ids() == []
