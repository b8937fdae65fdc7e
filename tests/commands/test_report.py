from __future__ import annotations

import json
import os
import signal
import threading

import responses
from django.db import OperationalError, ProgrammingError, connection
from django.test import TestCase, override_settings

from django_button_orders.management.commands.button_orders_report import noting_signals
from django_button_orders.models import ButtonOrder
from django_button_orders.observations import Snapshot
from tests.commands.utils import call
from tests.utils import add_answer, button_settings, calls, create_row


def away(execute, sql, params, many, context):
    raise OperationalError("It went away.")


@override_settings(BUTTON_ORDERS=button_settings())
class ReportTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        responses.start()
        self.addCleanup(responses.reset)
        self.addCleanup(responses.stop)

    def report(self, *arguments):
        return call("button_orders_report", *arguments)

    def test_once(self):
        add_answer("POST")
        create_row(order_id="1")
        create_row(order_id="2", using="archive")

        assert self.report() == ("2 reported.\n", "", "")

        submission = ButtonOrder.objects.get().submissions.get()
        assert submission.trigger == "command"

    def test_nothing_due(self):
        assert self.report() == ("Nothing to do.\n", "", "")

    def test_sweep_is_noted(self):
        self.report("--account", "default")
        assert not Snapshot.objects.exists()

        self.report()

        assert Snapshot.objects.exists()
        assert Snapshot.objects.using("archive").exists()

    def test_sweep_that_cannot_be_noted(self):
        def refuse(execute, sql, *arguments):
            if Snapshot._meta.db_table in sql:
                raise ProgrammingError("There is no such table.")
            return execute(sql, *arguments)

        add_answer("POST")
        create_row()

        with (
            connection.execute_wrapper(refuse),
            self.assertLogs("django_button_orders", "ERROR") as logs,
        ):
            out, _, error = self.report()

        assert (out, error) == ("1 reported.\n", "")
        assert "Database default: ProgrammingError" in logs.output[0]

    def test_order_id(self):
        add_answer("POST")
        create_row(order_id="1")
        create_row(order_id="2")

        self.report("--order-id", "2")

        assert ButtonOrder.objects.get(status="reported").order_id == "2"

    def test_unknown_order_id(self):
        _, _, error = self.report("--order-id", "4711")

        assert error.startswith("There is no row for: 4711.")

    def test_account(self):
        create_row()

        assert self.report("--account", "eu")[0] == "Nothing to do.\n"
        assert calls() == []

    def test_failure(self):
        add_answer("POST", status=400)
        create_row()

        out, _, error = self.report("--format", "json")

        assert json.loads(out) == {"failed": 1}
        assert error.startswith("1 failed and need a person")

    def test_will_retry(self):
        add_answer("POST", status=503)
        create_row()

        _, _, error = self.report()

        assert "1 will be tried again" in error

    def test_database_that_is_away(self):
        with connection.execute_wrapper(away):
            out, _, error = self.report()

        assert out == ""
        assert error.startswith("The database does not answer")
        assert "It went away" in error

    def end_during_the_call(self):
        def answer(request):
            os.kill(os.getpid(), signal.SIGTERM)
            return 200, {}, ""

        responses.add_callback("POST", "https://button.test/v1/order", answer)

    def test_loop_ends_with_a_signal(self):
        before = signal.getsignal(signal.SIGTERM)
        self.end_during_the_call()
        create_row()

        assert self.report("--loop", "--interval", "1") == ("1 reported.\n", "", "")
        assert Snapshot.objects.exists()
        assert signal.getsignal(signal.SIGTERM) is before

    @override_settings(BUTTON_ORDERS=button_settings(CONCURRENCY=1))
    def test_run_ends_with_a_signal(self):
        """What has begun is finished, the rest given back."""
        self.end_during_the_call()
        for number in range(60):
            create_row(order_id=f"{number}")

        out, _, error = self.report()

        left = ButtonOrder.objects.due().filter(attempts=0).count()
        assert left
        assert f"{left} release" in out
        assert error.startswith("0 failed and need a person")

    def test_called_in_another_thread(self):
        """Signals belong to the main one."""
        found = []

        def note():
            with noting_signals(threading.Event()):
                found.append(signal.getsignal(signal.SIGTERM))

        before = signal.getsignal(signal.SIGTERM)
        thread = threading.Thread(target=note)
        thread.start()
        thread.join()

        assert found == [before]
