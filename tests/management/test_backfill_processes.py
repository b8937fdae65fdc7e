"""The command as an operator runs it: killed, interrupted, piped, on a terminal."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from tempfile import NamedTemporaryFile

import pytest

from django_button_orders.models import ButtonOrder
from tests.management.processes import ProcessTestCase
from tests.management.utils import has_checkpoints
from tests.shop.models import Order, Page

COMMAND = "button_orders_backfill"
ORDERS = 240
# All of them would take twelve seconds: it is met in the middle, on any machine.
SLOWLY = ("--batch-size", "4", "--rate", "20")


def json_line(number):
    return (
        f'{{"order_id": "{number}", "total": 1, "currency": "USD", '
        '"purchase_date": "2026-11-01T12:00:00Z"}\n'
    )


class BackfillProcessTests(ProcessTestCase):
    def setUp(self):
        super().setUp()
        Page.objects.bulk_create(Page(title=str(number)) for number in range(ORDERS))
        Order.objects.bulk_create(Order(number=str(number)) for number in range(ORDERS))
        self.publish()

    def count_rows(self, **lookups):
        self.refresh()
        return ButtonOrder.objects.filter(**lookups).count()

    def start_slowly(self, *arguments):
        return self.start(COMMAND, *SLOWLY, *arguments)

    def wait_for_rows(self, count, process, **lookups):
        def is_over():
            if process.poll() is not None:
                raise AssertionError(process.communicate()[1])
            return self.count_rows(**lookups) >= count

        self.wait_for("rows", is_over)

    def assert_complete(self, model):
        assert self.count_rows() == ORDERS
        keys = {str(order.pk) for order in model.objects.all()}
        assert set(ButtonOrder.objects.values_list("source_id", flat=True)) == keys
        assert ButtonOrder.objects.due().count() == ORDERS
        assert not has_checkpoints()

    def test_killed_again_and_again(self):
        for model in (Page, Order):
            with self.subTest(model=model):
                self.refresh()
                ButtonOrder.objects.all().delete()
                self.publish()
                options = ("--model", model._meta.label, "--resume")
                for rows in (1, 12, 24):
                    process = self.start_slowly(*options)
                    self.wait_for_rows(rows, process)
                    process.kill()
                    process.wait()
                assert 24 <= self.count_rows() < ORDERS

                status, out, err = self.run_command(
                    COMMAND, *options, "--format", "json"
                )

                assert (status, err) == (0, "")
                summary = json.loads(out)
                # All of it is new: nothing was done twice.
                assert (summary["created"], summary["already_there"]) == (ORDERS, 0)
                self.assert_complete(model)

    def test_told_to_end(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            process = self.start_slowly("--model", "shop.Page", "--resume")
            self.wait_for_rows(self.count_rows() + 8, process)
            process.send_signal(number)

            found, out, err = self.finish(process)

            assert found == status
            assert out == f"{self.count_rows()} created.\n"
            assert err.startswith("CommandError: Interrupted after ")
            assert "Use --resume to continue." in err
        status, out, err = self.run_command(COMMAND, "--model", "shop.Page", "--resume")
        assert (status, out, err) == (0, f"{ORDERS} created.\n", "")
        self.assert_complete(Page)

    def test_interrupted_with_json(self):
        process = self.start_slowly("--format", "json")
        self.wait_for_rows(8, process)
        process.send_signal(signal.SIGINT)

        status, out, _ = self.finish(process)

        assert status == 130
        summary = json.loads(out)
        assert summary["interrupted"] is True
        assert summary["created"] == self.count_rows()

    def test_interrupted_in_the_second_model(self):
        few = ["1", "2", "3"]
        Order.objects.exclude(number__in=few).delete()
        self.publish()
        process = self.start_slowly()
        self.wait_for_rows(8, process, order_id__startswith="page-")
        process.kill()
        process.wait()

        status, out, err = self.run_command(COMMAND, "--resume", "--format", "json")

        assert (status, err) == (0, "")
        summary = json.loads(out)
        assert (summary["created"], summary["already_there"]) == (ORDERS + 3, 0)
        assert self.count_rows() == ORDERS + 3

    def test_anew_after_an_interruption(self):
        process = self.start_slowly("--model", "shop.Page")
        self.wait_for_rows(8, process)
        process.kill()
        process.wait()
        done = self.count_rows()

        status, out, err = self.run_command(COMMAND, "--model", "shop.Page")

        assert status == 0
        assert out == f"{ORDERS - done} created, {done} already there.\n"
        assert "Without --resume, this run starts from the beginning." in err
        self.assert_complete(Page)

    def test_piped(self):
        status, out, err = self.run_command(COMMAND, "--format", "json")

        assert (status, err) == (0, "")
        assert json.loads(out)["created"] == 2 * ORDERS

    def test_invalid_orders(self):
        Order.objects.filter(number="7").update(trouble="get_account")
        self.publish()

        status, out, err = self.run_command(COMMAND, "--model", "shop.Order")

        assert status == 1
        assert out == f"{ORDERS - 1} created, 1 invalid.\n"
        assert "7: ShopOrderAdapter.get_account raised TroubleError" in err
        assert "Traceback" not in err

    def test_standard_input(self):
        orders = "".join(json_line(number) for number in range(50))

        status, out, err = self.run_command(
            COMMAND, "--from-file", "-", text=f"{orders}nonsense\n"
        )

        assert status == 1
        assert out == "50 created, 1 invalid.\n"
        assert err.startswith("line 51: This is not JSON")

    def test_table_from_standard_input(self):
        head = (
            "order_id,total,currency,purchase_date,line_item_identifier,line_item_total"
        )
        row = "%s,1,USD,2026-11-01T12:00:00Z,%s,1"
        # A table is read twice, which a pipe cannot be.
        table = "\n".join(
            ["", head, row % (1, "a"), row % (2, "a"), row % (1, "b"), ""]
        )

        status, out, err = self.run_command(COMMAND, "--from-file", "-", text=table)

        assert status == 1
        assert out == "1 created, 2 invalid.\n"
        assert err.startswith("line 3: the rows of this order are not together")

    def test_interrupted_file(self):
        with NamedTemporaryFile("w") as file:
            file.writelines(json_line(number) for number in range(ORDERS))
            file.flush()
            process = self.start_slowly("--from-file", file.name)
            self.wait_for_rows(8, process)
            process.send_signal(signal.SIGTERM)

            status, _, err = self.finish(process)
            done = self.count_rows()
            again = self.run_command(COMMAND, "--from-file", file.name)

        assert status == 143
        assert err.endswith("orders. Run it again to continue.\n")
        assert again == (
            0,
            f"{ORDERS - done} created, {done} already there.\n",
            "",
        )


@pytest.mark.skipif(sys.platform == "win32", reason="There are no such terminals.")
class TerminalTests(ProcessTestCase):
    def setUp(self):
        super().setUp()
        Page.objects.bulk_create(Page(title=str(number)) for number in range(50))
        self.publish()

    def run_on_terminal(self, *arguments, text=""):
        """Return the exit status, the output, and what the terminal showed."""
        ours, theirs = os.openpty()
        try:
            process = self.start(COMMAND, *arguments, stdin=theirs, stderr=theirs)
            os.close(theirs)
            os.write(ours, text.encode())
            shown = b""
            # At its end, Linux says that there is no such terminal.
            with suppress(OSError):
                while piece := os.read(ours, 1024):
                    shown += piece
            return process.wait(), process.stdout.read(), shown.decode()
        finally:
            os.close(ours)

    def test_progress(self):
        status, out, shown = self.run_on_terminal("--noinput", "--batch-size", "10")

        assert (status, out) == (0, "50 created.\n")
        assert "shop.Page: 100%" in shown
        assert "50/50" in shown
        assert "orders/s" in shown

    def test_asks_first(self):
        for answer, status, rows in (("\n", 1, 0), ("y\n", 0, 50)):
            with self.subTest(answer=answer):
                found, _, shown = self.run_on_terminal(text=answer)

                assert found == status
                assert "Up to 50 orders will be reported to Button." in shown
                self.refresh()
                assert ButtonOrder.objects.count() == rows
