"""Button's official Python client works against the sandbox, unchanged."""

from __future__ import annotations

import pybutton
import pytest

from tests.sandbox.utils import ORDER, SandboxTestCase


class PybuttonTests(SandboxTestCase):
    def orders(self, api_key="sk-XXX"):
        config = {"hostname": "127.0.0.1", "port": self.sandbox.port, "secure": False}
        return pybutton.Client(api_key, config).orders

    def test_life_of_an_order(self):
        orders = self.orders()
        created = orders.create(ORDER)
        assert created.data()["order_id"] == "WEB-10042"

        updated = orders.update("WEB-10042", {"total": 60})
        assert updated.data()["total"] == 60
        assert orders.get("WEB-10042").data()["total"] == 60

        assert orders.delete("WEB-10042").data() is None
        assert self.sandbox.orders["WEB-10042"]["status"] == "deleted"
        assert [item.status for item in self.sandbox.requests] == [200] * 4

    def test_button_s_id(self):
        orders = self.orders()
        button_id = orders.create(ORDER).data()["button_order_id"]

        assert orders.get(button_id).data()["order_id"] == "WEB-10042"
        orders.delete(button_id)
        assert self.sandbox.orders["WEB-10042"]["status"] == "deleted"

    def test_errors(self):
        orders = self.orders()
        orders.create(ORDER)
        for call, status, message in (
            (lambda: orders.get("none"), 404, "There is no such order"),
            (lambda: orders.create(ORDER), 409, "exists"),
            (lambda: orders.update("WEB-10042", {"total": -1}), 400, "^total must be"),
            (lambda: self.orders("sk-YYY").create(ORDER), 401, "Invalid api_key"),
        ):
            with self.subTest(status=status):
                with pytest.raises(pybutton.HTTPResponseError, match=message) as caught:
                    call()

                assert caught.value.status_code == status

    def test_accepted_without_object(self):
        self.sandbox.misbehave(status=202)

        assert self.orders().create(ORDER).data() is None
