from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.test import SimpleTestCase

from django_button_orders import sandbox as package
from django_button_orders.sandbox import Sandbox
from tests.sandbox.utils import ORDER, SandboxTestCase

HEAD = b"POST /v1/order HTTP/1.1\r\nAuthorization: Basic c2stWFhYOg==\r\n"


class LifeTests(SandboxTestCase):
    def test_outage(self):
        """A stopped sandbox also closes the connections that clients keep open."""
        self.create()
        url = self.sandbox.url
        self.sandbox.stop()
        self.sandbox.stop()

        with pytest.raises(requests.ConnectionError):
            self.create(order_id="2")

        self.sandbox.start()
        assert self.sandbox.url == url
        assert self.create(order_id="2").status_code == 200
        assert len(self.sandbox.orders) == 2

    def test_latency(self):
        with Sandbox(latency=1) as sandbox:
            start = time.monotonic()

            requests.post(f"{sandbox.url}/v1/order", timeout=10)

            assert time.monotonic() - start >= 1
            start = time.monotonic()
            # The latency is only for the API, and not for the sandbox's own page.
            requests.get(f"{sandbox.url}/sandbox", timeout=10)
            assert time.monotonic() - start < 1

    def test_started_twice(self):
        with pytest.raises(RuntimeError):
            self.sandbox.start()

    def test_port_is_taken(self):
        other = Sandbox(port=self.sandbox.port)

        with pytest.raises(OSError, match="in use"):
            other.start()

        other.stop()

    def test_many_at_once(self):
        def create(number):
            auth = ("sk-XXX", "")
            body = {**ORDER, "order_id": f"{number % 20}"}
            url = f"{self.sandbox.url}/v1/order"
            return requests.post(url, json=body, auth=auth, timeout=5).status_code

        with ThreadPoolExecutor(20) as pool:
            statuses = sorted(pool.map(create, range(60)))

        assert statuses == [200] * 20 + [409] * 40
        assert len(self.sandbox.requests) == 60


class PackageTests(SimpleTestCase):
    def test_names_of_the_package(self):
        assert package.ReceivedRequest.__name__ == "ReceivedRequest"
        with pytest.raises(AttributeError, match="Castle"):
            package.Castle  # noqa: B018 - it raises


def test_says_nothing(capfd):
    with Sandbox() as sandbox:
        address = ("127.0.0.1", sandbox.port)
        for data in (b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", HEAD, b""):
            with socket.create_connection(address, 5) as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass

    assert capfd.readouterr() == ("", "")
    assert "button-sandbox" not in {thread.name for thread in threading.enumerate()}
