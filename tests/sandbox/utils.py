from __future__ import annotations

from typing import Any

import requests
from django.test import SimpleTestCase

from django_button_orders.sandbox import Sandbox

ORDER: dict[str, Any] = {
    "total": 5400,
    "currency": "USD",
    "order_id": "WEB-10042",
    "purchase_date": "2026-03-05T16:20:11Z",
}


class SandboxTestCase(SimpleTestCase):
    def setUp(self):
        self.sandbox = Sandbox(api_key="sk-XXX")
        self.sandbox.start()
        self.addCleanup(self.sandbox.stop)
        self.session = requests.Session()
        self.session.auth = ("sk-XXX", "")
        self.addCleanup(self.session.close)

    def ask(self, method, path="/v1/order", body=None, **options):
        url = self.sandbox.url + path
        return self.session.request(method, url, json=body, timeout=5, **options)

    def create(self, **values):
        return self.ask("POST", body={**ORDER, **values})
