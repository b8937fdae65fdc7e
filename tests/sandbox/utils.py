from __future__ import annotations

import http.client
import socket
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
OK = {"meta": {"status": "ok"}}


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

    def post_bytes(self, body, content_type="application/json"):
        headers = {"Content-Type": content_type}
        return self.ask("POST", data=body, headers=headers)

    def ask_raw(self, data):
        """Send bytes over a socket, and return the answer with its body."""
        with socket.create_connection(("127.0.0.1", self.sandbox.port), 5) as client:
            client.sendall(data)
            response = http.client.HTTPResponse(client)
            response.begin()
            response.body = response.read()
            return response
