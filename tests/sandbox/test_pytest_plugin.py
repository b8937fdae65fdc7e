from __future__ import annotations

import pytest
from django.conf import settings
from django.test import override_settings

from django_button_orders.conf import get_settings
from django_button_orders.models import ButtonOrder
from django_button_orders.tasks import report_due_orders
from tests.shop.models import Order


@pytest.mark.django_db(databases=["default", "archive"])
def test_order_arrives(button_sandbox):
    order = Order.objects.create(number="2026/11 #42", btn_ref="srctok-1")

    report_due_orders()

    assert button_sandbox.orders["2026/11 #42"]["total"] == 7000
    assert ButtonOrder.objects.get().status == "reported"
    order.is_cancelled = True
    order.save()
    report_due_orders()
    assert button_sandbox.orders["2026/11 #42"]["status"] == "deleted"


def test_settings_are_the_project_s(button_sandbox):
    assert get_settings().base_url == button_sandbox.url
    assert get_settings().api_key == button_sandbox.api_key
    with override_settings(BUTTON_ORDERS={**settings.BUTTON_ORDERS, "DEADLINE": 9}):
        assert get_settings().base_url == button_sandbox.url


def test_settings_are_put_back():
    assert get_settings().base_url == settings.BUTTON_ORDERS["BASE_URL"]
