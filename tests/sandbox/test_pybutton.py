"""Button's official Python client works against the sandbox, unchanged."""

from __future__ import annotations

import pybutton
import pytest

from tests.sandbox.utils import ORDER, SandboxTestCase


class PybuttonTests(SandboxTestCase):
    def button(self, api_key="sk-XXX"):
        return pybutton.Client(
            api_key,
            {"hostname": "127.0.0.1", "port": self.sandbox.port, "secure": False},
        )

    def test_life_of_an_order(self):
        orders = self.button().orders
        created = orders.create(ORDER)
        assert created.data()["order_id"] == "WEB-10042"

        updated = orders.update("WEB-10042", {"total": 60})
        assert updated.data()["total"] == 60
        assert orders.get("WEB-10042").data()["total"] == 60

        assert orders.delete("WEB-10042").data() is None
        assert self.sandbox.orders["WEB-10042"]["status"] == "deleted"

    def test_unknown_order(self):
        with pytest.raises(pybutton.HTTPResponseError) as caught:
            self.button().orders.get("none")

        assert caught.value.status_code == 404

    def test_wrong_key(self):
        with pytest.raises(pybutton.HTTPResponseError, match="Invalid api_key"):
            self.button("sk-YYY").orders.create(ORDER)
