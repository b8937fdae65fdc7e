from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings
from django.test import override_settings

from django_button_orders import pytest_plugin
from django_button_orders.conf import get_settings
from django_button_orders.models import ButtonOrder
from django_button_orders.sandbox import pytest_plugin as former_plugin
from tests.shop.models import Order

IMPORTED = """
import sys
import django_button_orders.pytest_plugin
heavy = {"django", "http.server", "iso4217", "requests", "celery"}
print(sorted(heavy & set(sys.modules)))
"""


@pytest.fixture
def accounts():
    eu = {"API_KEY": "sk-eu", "BASE_URL": "https://eu.test", "TOTAL_AS_DECIMAL": True}
    values = {**settings.BUTTON_ORDERS, "DEADLINE": 9, "ACCOUNTS": {"eu": eu}}
    with override_settings(BUTTON_ORDERS=values):
        yield


@pytest.mark.django_db(databases=["default", "archive"])
def test_order_arrives(button_sandbox):
    order = Order.objects.create(number="2026/11 #42", btn_ref="srctok-1")

    button_sandbox.report()

    assert button_sandbox.orders["2026/11 #42"]["total"] == 7000
    assert ButtonOrder.objects.get().status == "reported"
    order.is_cancelled = True
    order.save()
    button_sandbox.report()
    assert button_sandbox.orders["2026/11 #42"]["status"] == "deleted"


def test_settings_are_the_project_s(accounts, button_sandbox):
    assert get_settings().base_url == button_sandbox.url
    assert get_settings().api_key == button_sandbox.api_key
    assert get_settings().deadline == 9


def test_no_save_rings_for_a_worker(button_sandbox):
    assert get_settings().doorbell == "none"


def test_accounts_do_not_reach_button(accounts, button_sandbox):
    assert settings.BUTTON_ORDERS["ACCOUNTS"]["eu"] == {
        "API_KEY": button_sandbox.api_key,
        "BASE_URL": button_sandbox.url,
        "TOTAL_AS_DECIMAL": True,
    }


def test_settings_are_put_back():
    assert get_settings().base_url == settings.BUTTON_ORDERS["BASE_URL"]


def test_name_of_older_environments():
    assert former_plugin.button_sandbox is pytest_plugin.button_sandbox


def test_imports_next_to_nothing():
    """Each run of pytest imports the plugin, also where no test uses it."""
    command = [sys.executable, "-c", IMPORTED]

    out = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own code

    assert out.stdout == "[]\n"
