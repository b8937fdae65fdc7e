from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.db import InterfaceError, OperationalError, connection
from django.test import (
    RequestFactory,
    TestCase,
    TransactionTestCase,
    override_settings,
)
from health_check.exceptions import ServiceUnavailable
from health_check.views import HealthCheckView

from django_button_orders.models import ButtonOrder, PausedAccount
from django_button_orders.models.clock import from_now
from django_button_orders.monitoring.health_check import ButtonOrdersCheck
from tests.monitoring.utils import sweep
from tests.utils import button_settings, create_row


@override_settings(BUTTON_ORDERS=button_settings())
class CheckTests(TestCase):
    def setUp(self):
        self.row = create_row()
        sweep()

    def test_fine(self):
        ButtonOrdersCheck().run()

    def test_limits_of_its_own(self):
        ButtonOrder.objects.update(next_attempt_at=from_now(-901))
        PausedAccount.objects.pause("eu", seconds=60, error="401")

        with pytest.raises(ServiceUnavailable) as raised:
            ButtonOrdersCheck().run()

        assert "An order has been due for 90" in raised.value.message
        assert "Account eu is paused." in raised.value.message
        assert "1994" not in raised.value.message

    def test_no_sweep(self):
        with pytest.raises(ServiceUnavailable, match="No sweep has run yet"):
            ButtonOrdersCheck(alias="archive").run()

    def test_limits_that_are_given(self):
        ButtonOrder.objects.update(next_attempt_at=from_now(-901), status="failed")

        ButtonOrdersCheck().run()
        with pytest.raises(ServiceUnavailable, match="Failed orders: 1"):
            ButtonOrdersCheck(failed=1).run()

    def test_database_away(self):
        def away(execute, *arguments):
            raise error("FATAL: password of root")

        for error in (OperationalError, InterfaceError):
            with (
                self.subTest(error=error),
                connection.execute_wrapper(away),
                pytest.raises(ServiceUnavailable, match=error.__name__) as raised,
            ):
                ButtonOrdersCheck().run()

            assert "password" not in str(raised.value)

    databases = {"default", "archive"}


@override_settings(BUTTON_ORDERS=button_settings())
class ViewTests(TransactionTestCase):
    def test_page(self):
        sweep()
        create_row()
        path_ = "django_button_orders.monitoring.health_check.ButtonOrdersCheck"
        for limits, status in (({}, 200), ({"failed": 1, "due": 1}, 500)):
            with self.subTest(limits=limits):
                view = HealthCheckView.as_view(checks=[(path_, limits)])
                request = RequestFactory().get("/", headers={"Accept": "text/plain"})

                response = async_to_sync(view)(request)

                assert response.status_code == status
