from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import requests
from django.test import SimpleTestCase

from tests.management.utils import call
from tests.sandbox.utils import ORDER


class SandboxCommandTests(SimpleTestCase):
    def start(self, *arguments):
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "django", "button_orders_sandbox", *arguments],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.kill)
        return process

    def test_until_a_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number):
                process = self.start("--port", "0", "--api-key", "sk-XXX")
                line = process.stdout.readline()
                url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
                assert "BUTTON_ORDERS = {" in process.stdout.readline()
                requests.post(
                    f"{url}/v1/order", json=ORDER, auth=("sk-XXX", ""), timeout=5
                )
                assert process.stdout.readline() == (
                    "POST /v1/order 200 order WEB-10042\n"
                )

                process.send_signal(number)
                out, err = process.communicate(timeout=10)

                assert out == "1 requests, 1 orders.\n"
                assert err == ""
                assert process.returncode == 0

    def test_port_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])

            _, _, error = call("button_orders_sandbox", "--port", port)

        assert error.startswith(f"Port {port} cannot be used")

    def test_this_machine_only(self):
        _, _, error = call("button_orders_sandbox", "--host", "0.0.0.0")  # noqa: S104 - it is refused

        assert "--host" in error
