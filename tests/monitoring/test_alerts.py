from __future__ import annotations

from django.test import TestCase, override_settings

from django_button_orders.models import ButtonOrder
from django_button_orders.models.clock import from_now
from django_button_orders.models.snapshots import Snapshot
from django_button_orders.monitoring.alerts import find_alerts, find_site_alerts
from django_button_orders.monitoring.current import find_statistics
from tests.monitoring.utils import sweep
from tests.utils import button_settings, create_row

BOTH = ("default", "archive")


def alerts(**values):
    """Return the alerts with these settings, by code and subject."""
    with override_settings(BUTTON_ORDERS=button_settings(**values)):
        return [(alert.code, alert.subject) for alert in find_alerts(BOTH)]


class AlertTests(TestCase):
    databases = {"default", "archive"}

    def setUp(self):
        sweep("default")
        sweep("archive")

    def test_none(self):
        assert alerts() == []

    def test_no_key(self):
        assert alerts(API_KEY="") == [("no_key", "default")]
        assert alerts(API_KEY="", ENABLED=False) == [("disabled", "default")]

    def test_each_account(self):
        accounts = {"eu": {"ENABLED": False}, "jp": {"API_KEY": ""}}

        assert alerts(ACCOUNTS=accounts) == [("disabled", "eu"), ("no_key", "jp")]

    def test_sandbox(self):
        sandboxes = ("http://127.0.0.1:8001", "https://sandbox.shop.test")
        for base_url in sandboxes:
            with self.subTest(base_url=base_url):
                assert alerts(BASE_URL=base_url) == [("sandbox_url", "default")]
                with override_settings(DEBUG=True):
                    assert alerts(BASE_URL=base_url) == []

    def test_example_key(self):
        assert alerts(API_KEY="sk-sandbox") == [("example_key", "default")]
        with override_settings(DEBUG=True):
            assert alerts(API_KEY="sk-sandbox") == []

    def test_settings_that_cannot_be_read(self):
        with override_settings(BUTTON_ORDERS={"API_KEY": 1, "COLOR": "red"}):
            found = find_alerts(BOTH)

        assert [alert.code for alert in found] == ["settings", "settings"]
        assert "unknown key 'COLOR'" in found[0].message

    def test_messages_name_the_subject_and_no_key(self):
        settings = button_settings(API_KEY="sk-sandbox", BASE_URL="http://localhost:1")
        with override_settings(BUTTON_ORDERS=settings):
            for alert in find_alerts(BOTH):
                assert "account default" in alert.message
                assert "sk-" not in alert.message


@override_settings(BUTTON_ORDERS=button_settings())
class SweepAlertTests(TestCase):
    databases = {"default", "archive"}

    def test_never_seen(self):
        sweep("archive")

        [alert] = find_alerts(BOTH)

        assert (alert.code, alert.subject) == ("no_sweep", "default")
        assert alert.message == (
            "No sweep has run in the database default yet. Check that Celery beat and "
            "a worker are running, or 'button_orders_report --loop'."
        )

    def test_not_seen_lately(self):
        sweep("default")
        sweep("archive")
        Snapshot.objects.using("archive").update(swept_at=from_now(-660))

        [alert] = find_alerts(BOTH)

        assert "in the database archive for 11 minutes." in alert.message
        assert alert.message.endswith(" running, or 'button_orders_report --loop'.")

    def test_seen_ten_minutes_ago(self):
        sweep("default")
        sweep("archive")
        Snapshot.objects.update(swept_at=from_now(-580))

        assert find_alerts(BOTH) == []

    def test_databases_that_nobody_asked_for(self):
        sweep("default")

        assert find_alerts(["default"]) == []


class SiteTests(TestCase):
    def alerts(self, **values):
        with override_settings(BUTTON_ORDERS=button_settings(**values)):
            return list(find_site_alerts([find_statistics("default")]))

    def test_orders_of_another_site(self):
        create_row()
        assert self.alerts() == []
        ButtonOrder.objects.update(site="live")
        assert self.alerts(SITE="live") == []

        [alert] = self.alerts(SITE="staging")
        assert (alert.code, alert.subject) == ("other_site", "default")
        assert alert.message.startswith(
            "1 pending order in the database default is not reported: it belongs to "
            "the site live, and SITE is staging here."
        )
        assert "SITE is not set here" in self.alerts()[0].message
