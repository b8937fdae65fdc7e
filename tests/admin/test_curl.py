from __future__ import annotations

import shlex
import subprocess

from django.test import SimpleTestCase

from django_button_orders.admin.curl import as_curl
from django_button_orders.client.api import (
    ButtonClient,
    cancel_order,
    create_order,
    retrieve_order,
)

NASTY = 'it\'s $HOME `id` "quoted" \\ !x\nÜ €'


def arguments(command):
    """Return what a shell makes of a command, in which curl only shows that."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    env = {"BUTTON_API_KEY": "sk-of-the-shell", "HOME": "/wrong"}
    done = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script], env=env, capture_output=True, check=True
    )
    return done.stdout.decode().split("\0")[:-1]


class CurlTests(SimpleTestCase):
    client_ = ButtonClient(
        api_key="sk-secret", base_url="https://button.test", api_version="2018-02-13"
    )

    def test_create(self):
        request = create_order({"order_id": NASTY})

        found = arguments(as_curl(self.client_, request))

        assert found == [
            *("-X", "POST"),
            *("-u", "sk-of-the-shell:"),
            *("-H", "Accept: application/json, text/plain"),
            *("-H", "X-Button-API-Version: 2018-02-13"),
            *("-H", "Content-Type: application/json"),
            *("--data-raw", request.body.decode()),
            "https://button.test/v1/order",
        ]

    def test_without_body(self):
        for make, method in ((cancel_order, "DELETE"), (retrieve_order, "GET")):
            with self.subTest(method=method):
                found = arguments(as_curl(self.client_, make(NASTY)))

                assert found[:2] == ["-X", method]
                assert "Content-Type: application/json" not in found
                assert "--data-raw" not in found
                assert found[-1] == self.client_.url(make(NASTY))

    def test_no_key(self):
        command = as_curl(self.client_, create_order({"order_id": "1"}))

        assert "sk-secret" not in command
        assert "Authorization" not in command
        assert self.client_.credentials not in command

    def test_can_be_read(self):
        command = as_curl(self.client_, retrieve_order("1994"))

        assert '-u "$BUTTON_API_KEY:"' in command
        assert shlex.split(command)[0] == "curl"
        assert all(line.startswith("  -") for line in command.split("\n")[1:-1])
