"""Orders that customers place in the shop, as they arrive at Button."""

from __future__ import annotations

from django.test import TestCase

from django_button_orders.testing import ButtonSandboxMixin
from tests.oscar.utils import Shopper, create_product


class CheckoutTests(ButtonSandboxMixin, TestCase):
    databases = {"default", "archive"}

    def test_guest(self):
        order = Shopper().buy(create_product("20.00"), quantity=2)

        assert self.button_sandbox.report() == {"reported": 1}

        held = self.button_sandbox.orders[order.number]
        assert (held["total"], held["currency"]) == (4000, "USD")
