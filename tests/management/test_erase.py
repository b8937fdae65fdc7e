from __future__ import annotations

import json
import stat
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from django.contrib.admin.models import LogEntry
from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.operations.orders import log_change
from tests.admin.utils import create_submission, create_user
from tests.management.utils import Terminal, call
from tests.operations.test_erase import (
    ADDRESS,
    PERSONAL,
    assert_forgotten,
    create_janes,
)
from tests.shop.models import Order
from tests.utils import button_settings, create_row

NO_ENTRY = (
    "The log of Django's admin has no entry of this, because an entry needs a user: "
    "use --user.\n"
)


def erase(*arguments):
    return call("button_orders_erase", *arguments)


@override_settings(BUTTON_ORDERS=button_settings())
class EraseTestCase(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        self.row = create_janes()
        ButtonOrder.objects.update(status="reported", button_order_id="btnorder-1")

    def is_erased(self):
        return ButtonOrder.objects.get(pk=self.row.pk).erased_at is not None


class EraseTests(EraseTestCase):
    def test_list(self):
        create_row(order_id="1995", customer={"id": "joe"})

        out, err, error = erase("--customer-id", "jane-77")

        lines = out.splitlines()
        assert lines[1] == "default  1994  btnorder-1  2026-11-01"
        assert lines[2].startswith("1 order erased. Send this list to Button")
        assert (err, error) == (NO_ENTRY, "")
        assert_forgotten()

    def test_json(self):
        out, _, error = erase("--customer-id", "jane-77", "--format", "json")
        found = json.loads(out)
        assert (found["count"], error) == (1, "")
        assert found["orders"][0]["order_id"] == "1994"
        assert "jane" not in out

    def test_dry_run(self):
        out, _, error = erase("--customer-id", "jane-77", "--dry-run")
        assert "Without --dry-run: 1 order." in out
        assert (error, self.is_erased()) == ("", False)

    def test_address_from_standard_input(self):
        with mock.patch.object(sys, "stdin", StringIO("jane@example.org\n")):
            out, err, error = erase("--email", "-")
        assert error == ""
        assert self.is_erased()
        assert "@" not in out + err

    def test_no_address(self):
        for text in ("jane", ""):
            with mock.patch.object(sys, "stdin", StringIO(text)):
                _, _, error = erase("--email", "-")
            assert error == "--email must be an e-mail address."

    def test_nothing_found(self):
        for arguments in (["--customer-id=joe"], ["--email=joe@example.org"]):
            _, _, error = erase(*arguments)
            assert error == (
                "No Button order was found for this customer. Name the orders with "
                "--order-id."
            )

    def test_unknown_order(self):
        _, _, error = erase("--order-id", "1994", "--order-id", "7")
        assert error == "No Button order exists for: 7."
        assert self.is_erased()

    def test_erased_before(self):
        erase("--order-id", "1994")
        _, err, error = erase("--order-id", "1994")
        assert (err, error) == ("The named orders were erased before.\n", "")

    def test_order_that_was_never_built(self):
        """Its customer is not known here, so it can only be named."""
        Order.objects.create(number="1995", email=ADDRESS)
        _, err, error = erase("--email", ADDRESS)
        assert "1 order cannot be searched" in err
        assert error
        assert erase("--order-id", "1995")[2] == ""

    def test_no_selection(self):
        assert erase()[2].startswith("Select orders with --customer-id")
        assert "need a value" in erase("--customer-id", "")[2]
        assert "no account 'eu'" in erase("--account", "eu", "--order-id", "1")[2]

    def test_confirmation(self):
        terminal = Terminal("n\n")
        with mock.patch.object(sys, "stdin", terminal):
            _, err, error = erase("--customer-id", "jane-77")
        assert "Erase the personal data of 1 order? This cannot be undone." in err
        assert (error, self.is_erased()) == ("Nothing was changed.", False)

    def test_tell_button(self):
        erase("--customer-id", "jane-77", "--tell-button")
        assert ButtonOrder.objects.get().status == "reported"

    def test_under_way(self):
        ButtonOrder.objects.mark_changed()
        ButtonOrder.objects.all().claim(limit=1, lease_seconds=60)
        _, err, _ = erase("--customer-id", "jane-77")
        assert "1 order had a call under way" in err

    def test_user(self):
        create_user(name="ada")
        assert "no user 'bob'" in erase("--order-id=1994", "--user=bob")[2]
        _, err, _ = erase("--order-id=1994", "--user=ada")
        assert LogEntry.objects.get().user.username == "ada"
        assert err == ""

    def test_address_in_the_place_of_something_else(self):
        for arguments in (
            [ADDRESS],
            ["--emial", ADDRESS],
            ["--customer-id", "jane-77", f"--format={ADDRESS}"],
            ["--account", ADDRESS, "--customer-id", "jane-77"],
            ["--user", ADDRESS, "--customer-id", "jane-77"],
            ["--order-id", ADDRESS],
        ):
            with self.subTest(arguments=arguments):
                out, err, error = erase(*arguments)
                assert error
                assert "@" not in out + err + error
        assert not self.is_erased()

    def test_order_that_was_never_sent(self):
        create_row(order_id="1995", customer={"id": "jane-77"})
        ButtonOrder.objects.filter(order_id="1994").update(last_status_code=400)
        out, _, _ = erase("--customer-id", "jane-77", "--dry-run")
        assert "1994  btnorder-1  " in out
        assert "1995  never sent  " in out


class ExportTests(EraseTestCase):
    def setUp(self):
        super().setUp()
        create_submission(self.row, request_body="jane-77")
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = f"{directory.name}/jane.json"

    def test_file(self):
        out, _, error = erase("--customer-id=jane-77", f"--export={self.path}")

        assert error == ""
        assert "1 order erased" in out
        with open(self.path) as stream:
            [found] = json.load(stream)["orders"]
        assert found["order"]["customer"] == PERSONAL["customer"]
        assert found["calls"][0]["request_body"] == "jane-77"
        assert_forgotten()

    def test_notes_of_operators(self):
        user = create_user(name="ada")
        other = create_row(order_id="1995")
        for row, what in ((self.row, "jane-77 called"), (other, "joe called")):
            log_change(row, user.pk, what)

        erase("--customer-id=jane-77", f"--export={self.path}")

        with open(self.path) as stream:
            [found] = json.load(stream)["orders"]
        [entry] = found["log"]
        assert entry["change_message"] == "jane-77 called"
        assert entry["user_id"] == user.pk

    def test_nobody_else_can_read_it(self):
        erase("--customer-id=jane-77", f"--export={self.path}")
        assert stat.S_IMODE(Path(self.path).stat().st_mode) == 0o600

    def test_file_that_exists(self):
        open(self.path, "w").close()
        _, _, error = erase("--customer-id=jane-77", f"--export={self.path}")
        assert error == f"'{self.path}' already exists. Name another file."
        assert not self.is_erased()

    def test_no_directory(self):
        _, _, error = erase("--customer-id=jane-77", f"--export={self.path}/x/y")
        assert "is not a directory" in error
        assert not self.is_erased()

    def test_standard_output(self):
        """The list goes to standard error, so that a program can read the export."""
        for option in ("--export=-", "--export"):
            out, err, error = erase("--customer-id=jane-77", "--dry-run", option)
            assert len(json.loads(out)["orders"]) == 1
            assert "default  1994  btnorder-1  2026-11-01" in err
            assert (error, self.is_erased()) == ("", False)
