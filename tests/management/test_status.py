from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from io import StringIO

import pytest
import responses
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.test import TestCase, override_settings
from prometheus_client.parser import text_string_to_metric_families

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot
from tests.management.utils import Terminal, call
from tests.monitoring.utils import add_calls, pretend_large, sweep
from tests.utils import BASE_URL, NOT_FOUND, button_settings, create_row

PING = re.compile(rf"{BASE_URL}/v1/order/ping-")


@override_settings(
    BUTTON_ORDERS=button_settings(), DATABASE_ROUTERS=["tests.utils.NoArchiveRouter"]
)
class StatusTestCase(TestCase):
    def setUp(self):
        self.row = create_row()
        sweep("default")

    def put(self, **values):
        ButtonOrder.objects.filter(pk=self.row.pk).update(**values)

    def status(self, *arguments):
        """Return what the command prints, and its error."""
        out, err, error = call("button_orders_status", *arguments)
        assert not err
        return out, error

    def json(self, *arguments):
        return json.loads(self.status("--format", "json", *arguments)[0])

    def metrics(self, *arguments):
        """Return the samples as Prometheus reads them, by name."""
        out, _ = self.status("--format", "prometheus", *arguments)
        found = {}
        for family in text_string_to_metric_families(out):
            assert family.type == "gauge"
            assert family.documentation
            found[family.name] = [
                (sample.labels, sample.value) for sample in family.samples
            ]
        return found


class TextTests(StatusTestCase):
    def test_all(self):
        self.put(status="failed", reason="refused")
        create_row(order_id="1995", total=300, currency="JPY")
        create_row(order_id="1996", total=None, currency=None)
        ButtonOrder.objects.filter(order_id="1995").update(
            next_attempt_at=from_now(-7205)
        )
        add_calls(self.row, *[20] * 19, 40)
        add_calls(self.row, 40, outcome="failed")
        PausedAccount.objects.pause("eu", seconds=60, error="Button said 401")

        Snapshot.objects.update(swept_at=from_now(-130))
        rates = "21, 95.2 % succeeded, median 20 ms, 95th percentile 40 ms"

        out, error = self.status()

        assert out.splitlines() == [
            "Orders: 2 pending, 0 reported, 0 cancelled, 0 closed, 1 failed, "
            "0 dismissed",
            "Pending: 2 due, 0 waiting, 0 in flight, 1 stuck",
            "Unreported amount, pending: 300 JPY, 1 order of an unknown amount",
            "Unreported amount, failed: 70.00 USD",
            "Failed because: 1 refused (order 1994)",
            "Oldest due: order 1995, for 2.0 h",
            f"Calls, 24 hours: {rates}",
            f"Calls, 7 days: {rates}",
            "Paused: account eu. Button said 401. Correct API_KEY and restart the "
            "workers. They test the key every 5 minutes. To resume at once, use "
            "the admin or 'manage.py button_orders_retry --account eu --resume'.",
            "Last sweep: 2.2 min ago",
            "Counted: 0 s ago",
        ]
        assert error == ""

    def test_change_window(self):
        closing = datetime(2026, 11, 2, 9, 30, tzinfo=timezone.utc)
        self.put(finalizes_at=closing)
        for number, (currency, amount) in enumerate([("USD", 2500), ("JPY", 300)]):
            create_row(
                order_id=f"closed {number}",
                status="closed",
                currency=currency,
                late_amount=amount,
            )

        out, error = self.status()

        assert (
            "Closing within 24 hours, change unsent: 1, first 2026-11-02 09:30 UTC\n"
            "Returns that came too late: 300 JPY, 25.00 USD\n"
        ) in out
        assert error == ""
        assert (
            "Change windows that close"
            in self.status("--fail-if-closing-unsent", "24h")[1]
        )
        [database] = self.json()["databases"]
        assert database["closing_unsent"] == {
            "orders": 1,
            "first": closing.isoformat(),
        }
        assert [item["amount"] for item in database["late_returns"]] == ["300", "25.00"]
        metrics = self.metrics()
        assert metrics["button_orders_closing_unsent"] == [({"database": "default"}, 1)]
        assert metrics["button_orders_late_returns"] == [
            ({"database": "default", "currency": "JPY"}, 300),
            ({"database": "default", "currency": "USD"}, 25),
        ]

    def test_why(self):
        """Each reason has a number, and an order to look at."""
        for number in range(12):
            create_row(order_id=f"refused {number}", status="failed", reason="refused")
        create_row(order_id="wrong", status="failed", reason="invalid")
        create_row(order_id="waits", reason="unavailable")

        out, _ = self.status()

        assert (
            "Failed because: 12 refused (such as order refused 11), "
            "1 invalid (order wrong)\n"
        ) in out
        assert "Pending because: 1 unavailable (order waits)\n" in out

    def test_counted_order_that_is_gone(self):
        """The numbers may be older than the orders."""
        create_row(order_id="refused", status="failed", reason="refused")
        Snapshot.objects.update(next_at=from_now(-1))
        sweep("default")
        pretend_large()
        ButtonOrder.objects.failed().delete()

        assert "Failed because: 1 refused\n" in self.status()[0]

    def test_nothing(self):
        self.row.delete()

        out, _ = self.status()
        assert "No limit is exceeded" not in out

        assert "Oldest due: none" in out
        assert "Calls, 24 hours: none" in out

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_warning(self):
        out, error = self.status()

        assert "Warning: ENABLED is False for the account default" in out
        assert error == ""
        assert "ENABLED is False" in self.status("--fail-if-warned")[1]

    @override_settings(DATABASE_ROUTERS=[])
    def test_databases(self):
        sweep("archive")

        out, _ = self.status()

        assert [line for line in out.splitlines() if "Database" in line] == [
            "Database: default",
            "Database: archive",
        ]

    databases = {"default", "archive"}


class LimitTests(StatusTestCase):
    def test_each(self):
        self.put(next_attempt_at=from_now(-1000))
        PausedAccount.objects.pause("eu", seconds=60, error="401")
        add_calls(self.row, 20, outcome="failed")
        for arguments, sentence in {
            ("--fail-if-oldest-due", "15m"): "An order has been due for 100",
            ("--fail-if-due", "1"): "Due orders: 1 (limit: 1).",
            ("--fail-if-stuck", "1"): "Stuck orders: 1 (limit: 1).",
            (
                "--fail-if-success-below",
                "99.5",
            ): "0.0 % of the calls of the last 24 hours succeeded (limit: 99.5 %).",
            ("--fail-if-paused",): "Account eu is paused.",
            (
                "--fail-if-no-sweep",
                "0s",
            ): "seconds ago (limit: 0).",
        }.items():
            with self.subTest(arguments=arguments):
                out, error = self.status(*arguments)

                assert sentence in error
                assert "No limit is exceeded" not in out

    def test_not_passed(self):
        out, error = self.status(
            *("--fail-if-oldest-due", "15m", "--fail-if-failed", "1"),
            *("--fail-if-no-sweep", "10m", "--fail-if-paused", "--fail-if-stuck", "1"),
            *("--fail-if-due", "2", "--fail-if-success-below", "50"),
        )

        assert error == ""
        assert "No limit is exceeded." in out

    def test_times(self):
        self.put(next_attempt_at=from_now(-7205))
        for text, is_passed in {
            "7200": True,
            "7200s": True,
            "120m": True,
            "2h": True,
            "1d": False,
        }.items():
            with self.subTest(text=text):
                assert bool(self.status("--fail-if-oldest-due", text)[1]) is is_passed

    def test_all_of_them_are_named(self):
        self.put(next_attempt_at=from_now(-7205))

        _, error = self.status("--fail-if-due", "1", "--fail-if-stuck", "1")

        assert error == "Due orders: 1 (limit: 1). Stuck orders: 1 (limit: 1)."


class ExitTests(StatusTestCase):
    def code(self, *arguments):
        try:
            call_command("button_orders_status", *arguments, stdout=StringIO())
        except CommandError as exc:
            return exc.returncode
        return 0

    def test_fine(self):
        assert self.code("--fail-if-due", "2") == 0

    def test_passed(self):
        assert self.code("--fail-if-due", "1") == 1

    def test_database_away(self):
        def away(execute, *arguments):
            raise error("It went away.")

        for error in (OperationalError, InterfaceError, DatabaseError):
            with (
                self.subTest(error=error),
                connections["default"].execute_wrapper(away),
                pytest.raises(CommandError, match="went away") as raised,
            ):
                call_command("button_orders_status")

            assert raised.value.returncode == 2

    @override_settings(BUTTON_ORDERS={"COLOR": "red"})
    def test_checks_that_fail(self):
        with pytest.raises(SystemCheckError) as raised:
            call_command("button_orders_status", skip_checks=False)

        assert raised.value.returncode == 2

    @override_settings(BUTTON_ORDERS={"COLOR": "red"})
    def test_settings_that_cannot_be_read(self):
        with pytest.raises(CommandError, match="COLOR") as raised:
            call_command("button_orders_status", "--ping")

        assert raised.value.returncode == 2

    def test_usage(self):
        for arguments in (
            ("--fail-if-oldest-due", "soon"),
            ("--fail-if-failed", "0"),
            ("--fail-if-success-below", "101"),
            ("--fail-if-success-below", "nan"),
        ):
            with self.subTest(arguments=arguments):
                _, error = self.status(*arguments)

                assert "argument" in error


class LateTokenTests(StatusTestCase):
    def test_each_format(self):
        line = "Reported without their current attribution token: 1"
        assert line not in self.status()[0]
        self.put(has_late_token=True)

        assert line in self.status()[0]
        [database] = self.json()["databases"]
        assert database["late_tokens"] == 1
        assert self.metrics()["button_orders_late_tokens"] == [
            ({"database": "default"}, 1)
        ]


class JSONTests(StatusTestCase):
    def test_all(self):
        self.put(next_attempt_at=from_now(-100))
        add_calls(self.row, 10, 10)

        found = self.json("--fail-if-due", "1")

        assert found["passed"] == ["Due orders: 1 (limit: 1)."]
        assert found["warnings"] == found["pings"] == []
        [database] = found["databases"]
        oldest = database.pop("oldest_due")
        assert oldest["order_id"] == "1994"
        assert 100 <= oldest["seconds"] < 130
        assert 0 <= database.pop("last_sweep_seconds") < 30
        assert database["orders"]["pending"] == 1
        assert database["late_tokens"] == 0
        assert database["pending"]["due"] == 1
        assert database["failed"] == database["failed_examples"] == {}
        assert database["waiting"] == database["waiting_examples"] == {}
        assert database["amounts"] == [
            {"status": "pending", "currency": "USD", "amount": "70.00", "orders": 1}
        ]
        assert database["calls"]["24h"] == {
            "succeeded": 2,
            "will_retry": 0,
            "failed": 0,
            "success_rate": 1.0,
            "median_ms": 10,
            "p95_ms": 10,
        }
        assert (database["database"], database["age"]) == ("default", 0)

    def test_nothing_due(self):
        self.row.delete()

        [database] = self.json()["databases"]

        assert database["oldest_due"] is None

    @override_settings(BUTTON_ORDERS=button_settings(ENABLED=False))
    def test_warnings(self):
        [warning] = self.json()["warnings"]

        assert (warning["code"], warning["subject"]) == ("disabled", "default")
        assert warning["message"].startswith("ENABLED is False")

    @override_settings(BUTTON_ORDERS={"COLOR": "red"})
    def test_settings_that_cannot_be_read(self):
        codes = [warning["code"] for warning in self.json()["warnings"]]

        assert codes == ["settings"]


class PrometheusTests(StatusTestCase):
    def test_all(self):
        self.put(next_attempt_at=from_now(-100))
        add_calls(self.row, 250, 250)

        found = self.metrics()

        default = {"database": "default"}
        assert ({**default, "status": "pending"}, 1) in found["button_orders_orders"]
        assert ({**default, "state": "due"}, 1) in found["button_orders_pending"]
        assert found["button_orders_amount"] == [
            ({**default, "status": "pending", "currency": "USD"}, 70.0)
        ]
        assert found["button_orders_late_tokens"] == [(default, 0)]
        [(labels, age)] = found["button_orders_oldest_due_seconds"]
        assert 100 <= age < 130
        assert found["button_orders_success_ratio"][0] == (
            {**default, "window": "24h"},
            1.0,
        )
        labels = {**default, "window": "7d", "quantile": "0.95"}
        [duration] = [
            value
            for given, value in found["button_orders_call_duration_seconds"]
            if given == labels
        ]
        assert duration == pytest.approx(0.25, rel=0.032)
        assert found["button_orders_paused_accounts"] == [(default, 0)]
        assert found["button_orders_figures_age_seconds"] == [(default, 0)]

    def test_ends_with_one_line_break(self):
        out, _ = self.status("--format", "prometheus")

        assert out.endswith("\n")
        assert "\n\n" not in out

    def test_amount_of_no_known_currency(self):
        self.put(currency='"\\\n')

        assert "button_orders_amount" not in self.metrics()

    @override_settings(
        BUTTON_ORDERS=button_settings(ACCOUNTS={'a"\\b': {"ENABLED": False}})
    )
    @responses.activate
    def test_ping_of_an_account_with_a_strange_name(self):
        responses.add("GET", PING, status=404, json=NOT_FOUND)

        found = self.metrics("--ping")

        assert found["button_orders_ping_ok"] == [
            ({"account": "default"}, 1),
            ({"account": 'a"\\b'}, 1),
        ]


class PingTests(StatusTestCase):
    @responses.activate
    def test_progress(self):
        """An answer may take half a minute."""
        responses.add("GET", PING, status=404, json=NOT_FOUND)
        err = Terminal()

        call_command("button_orders_status", "--ping", stdout=StringIO(), stderr=err)

        assert "Asking Button: 100%" in err.getvalue()

    @responses.activate
    def test_good(self):
        responses.add("GET", PING, status=404, json=NOT_FOUND)

        out, error = self.status("--ping")

        assert re.search(
            r"^Ping of default: Button accepts the API key\. \d+ ms\.$",
            out,
            re.MULTILINE,
        )
        assert error == ""

    @responses.activate
    def test_bad(self):
        responses.add("GET", PING, status=401)

        out, error = self.status("--ping")

        expected = "Ping of default: Button refuses the API key (401)."
        assert expected in out
        assert error == expected
        assert self.json("--ping")["pings"][0]["is_ok"] is False

    @responses.activate
    def test_not_unless_asked_for(self):
        self.status()

        assert not responses.calls


class SiteTests(StatusTestCase):
    """Orders of another site are neither due nor stuck, and named."""

    def setUp(self):
        super().setUp()
        self.put(site="live", next_attempt_at=from_now(-7200))

    def test_all_formats(self):
        out, error = self.status("--fail-if-due", "1", "--fail-if-stuck", "1")
        assert not error
        assert "Warning: 1 pending order in the database default is not reported" in out
        assert "Oldest due: none" in out
        found = self.json()
        assert found["databases"][0]["other_sites"] == {"live": 1}
        assert found["warnings"][-1]["code"] == "other_site"
        assert self.metrics()["button_orders_other_sites"] == [
            ({"database": "default", "site": "live"}, 1)
        ]

    def test_warning_as_a_limit(self):
        _, error = self.status("--fail-if-warned")

        assert "it belongs to the site live" in error

    @override_settings(BUTTON_ORDERS=button_settings(SITE="live"))
    def test_this_site(self):
        _, error = self.status("--fail-if-due", "1")

        assert "Due orders: 1 (limit: 1)." in error
        assert self.json()["databases"][0]["other_sites"] == {}
        assert "button_orders_other_sites" not in self.metrics()
