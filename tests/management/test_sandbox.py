from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import product

import pytest
import requests
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, override_settings

from django_button_orders.sandbox import server
from tests.management.utils import call
from tests.sandbox.utils import ORDER

SEVERAL = {"API_KEY": "sk-real-1", "ACCOUNTS": {"eu": {"API_KEY": "sk-real-2"}}}


class Terminal(io.StringIO):
    """Use the sandbox after its greeting, then send the process a signal."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        written = super().write(text)
        if "BASE_URL" in text:
            url = re.search(r"http://[\w.:]+", text)[0]
            threading.Thread(target=self.use_and_end, args=(url,), daemon=True).start()
        return written

    def use_and_end(self, url):
        try:
            self.use(url)
        finally:
            # Also after an error: the command would go on for ever.
            os.kill(os.getpid(), self.number)

    def use(self, url):
        auth = ("sk-XXX", "")
        requests.post(f"{url}/v1/order", json=ORDER, auth=auth, timeout=30)
        requests.get(f"{url}/v1/order/a%2Fb", auth=auth, timeout=30)
        requests.get(f"{url}/sandbox", timeout=30)
        options = {"drop": "before"}
        requests.post(f"{url}/sandbox/misbehave", json=options, timeout=30)
        with pytest.raises(requests.ConnectionError):
            requests.delete(f"{url}/v1/order/1", auth=auth, timeout=30)


class Visitor(Terminal):
    """Look for an order with each of some keys."""

    def __init__(self, *keys):
        super().__init__(signal.SIGTERM)
        self.keys = keys

    def use(self, url):
        self.statuses = [
            requests.get(f"{url}/v1/order/1", auth=(key, ""), timeout=30).status_code
            for key in self.keys
        ]


class Gambler(Terminal):
    """Send requests to a sandbox that fails at random."""

    def use(self, url):
        options = {"status": 503, "times": 99, "chance": 0.5}
        requests.post(f"{url}/sandbox/misbehave", json=options, timeout=30)
        for _ in range(20):
            requests.get(f"{url}/v1/order/1", auth=("sk-XXX", ""), timeout=30)


class Impatient(io.StringIO):
    """Sends the process a signal at one step of a sandbox's start, or just after it."""

    def __init__(self, number, step):
        super().__init__()
        self.number = number
        self.steps_left = step
        self.is_sent = False

    def send(self):
        if not self.is_sent:
            self.is_sent = True
            os.kill(os.getpid(), self.number)

    def write(self, text):
        # Its first words.
        self.send()
        return super().write(text)

    def trace(self, frame, event, arg):
        code = frame.f_code
        if code.co_name == "start" and code.co_filename == server.__file__:
            return self.trace_step
        return None

    def trace_step(self, frame, event, arg):
        if self.steps_left == 0:
            self.send()
        self.steps_left -= 1
        return self.trace_step

    @contextmanager
    def watching(self):
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            yield
        finally:
            sys.settrace(before)


class StartTests(SimpleTestCase):
    def test_told_to_end_at_each_step_of_its_start(self):
        for number, step in product((signal.SIGTERM, signal.SIGINT), range(15)):
            with self.subTest(number=number, step=step):
                out = Impatient(number, step)

                with out.watching():
                    call_command("button_orders_sandbox", port=0, stdout=out)

                assert out.getvalue().endswith("0 requests, 0 orders.\n")


class KeyTests(SimpleTestCase):
    """Which API keys the sandbox accepts."""

    def run_with(self, *keys, **options):
        terminal = Visitor(*keys)
        call_command("button_orders_sandbox", port=0, stdout=terminal, **options)
        return terminal.getvalue(), terminal.statuses

    @override_settings(BUTTON_ORDERS=SEVERAL)
    def test_those_of_the_settings(self):
        output, statuses = self.run_with("sk-real-1", "sk-real-2", "sk-sandbox")

        assert statuses == [404, 404, 401]
        assert "of the accounts default, eu\n" in output
        assert "BASE_URL" in output
        assert "sk-real" not in output

    @override_settings(BUTTON_ORDERS=SEVERAL)
    def test_the_one_that_is_named(self):
        output, statuses = self.run_with("sk-XXX", "sk-real-1", api_key="sk-XXX")

        assert statuses == [404, 401]
        assert "'API_KEY': 'sk-XXX'" in output

    @override_settings(BUTTON_ORDERS={})
    def test_settings_name_none(self):
        output, statuses = self.run_with("sk-sandbox", "sk-real-1")

        assert statuses == [404, 401]
        assert "'API_KEY': 'sk-sandbox'" in output

    @override_settings(BUTTON_ORDERS={"API_KEY": "sk-real-1", "TIMEOUT": "soon"})
    def test_settings_are_wrong(self):
        err = io.StringIO()

        _, statuses = self.run_with("sk-sandbox", "sk-real-1", stderr=err)

        assert statuses == [404, 401]
        assert "['TIMEOUT'] must be" in err.getvalue()
        assert "only the key sk-sandbox is accepted" in err.getvalue()


class CommandTests(SimpleTestCase):
    def run_until(self, number):
        return self.run_with(Terminal(number))

    def run_with(self, terminal, **options):
        call_command(
            "button_orders_sandbox",
            port=0,
            api_key="sk-XXX",
            stdout=terminal,
            **options,
        )
        return terminal.getvalue().splitlines()

    def test_output(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number):
                before = signal.getsignal(number)

                greeting, setting, *lines = self.run_until(number)

                assert re.search(r"http://127\.0\.0\.1:\d+/sandbox$", greeting)
                assert setting.startswith("BUTTON_ORDERS = {'API_KEY': 'sk-XXX'")
                assert lines[0].startswith("POST /v1/order 200")
                assert lines[1].startswith("GET /v1/order/a%2Fb 404")
                assert lines[2].startswith("DELETE /v1/order/1 dropped")
                assert lines[3:] == ["3 requests, 1 order."]
                assert signal.getsignal(number) is before
                names = {thread.name for thread in threading.enumerate()}
                assert "button-sandbox" not in names

    def test_seed(self):
        first, second, other = (
            self.run_with(Gambler(signal.SIGTERM), seed=seed)[2:-1]
            for seed in (7, 7, 8)
        )

        assert {line.split()[2] for line in first} == {"404", "503"}
        assert first == second != other

    def test_bad_options(self):
        for options, message in (
            ({"api_key": "a:b"}, "^--api-key"),
            ({"api_key": ""}, "^--api-key"),
            ({"latency": -1}, "^--latency"),
            ({"finalization_days": 0}, "^--finalization-days must"),
            ({"port": 99999}, "^Port 99999 cannot be used"),
            ({"port": -1}, "^Port -1 cannot be used"),
        ):
            with (
                self.subTest(options=options),
                pytest.raises(CommandError, match=message),
            ):
                call_command("button_orders_sandbox", **options)


class SandboxProcessTests(SimpleTestCase):
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

                assert out == "1 request, 1 order.\n"
                assert err == ""
                assert process.returncode == 0

    def test_json(self):
        """A line for each thing that happens, so that a script can read along."""
        process = self.start(
            *("--port", "0", "--api-key", "sk-XXX", "--format", "json")
        )
        greeting = json.loads(process.stdout.readline())
        url = greeting["url"]
        assert greeting == {
            "url": url,
            "page": f"{url}/sandbox",
            "accounts": [],
            "settings": {"API_KEY": "sk-XXX", "BASE_URL": url},
        }
        requests.post(f"{url}/v1/order", json=ORDER, auth=("sk-XXX", ""), timeout=5)
        assert json.loads(process.stdout.readline()) == {
            "method": "POST",
            "path": "/v1/order",
            "status": 200,
            "order_id": "WEB-10042",
        }

        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)

        assert json.loads(out) == {"requests": 1, "orders": 1}
        assert err == ""

    def test_json_shows_no_key_of_the_settings(self):
        visitor = Visitor()
        with override_settings(BUTTON_ORDERS=SEVERAL):
            call_command("button_orders_sandbox", port=0, format="json", stdout=visitor)

        greeting = json.loads(visitor.getvalue().splitlines()[0])
        assert greeting["accounts"] == ["default", "eu"]
        assert greeting["settings"] == {"BASE_URL": greeting["url"]}
        assert "sk-real" not in visitor.getvalue()

    def test_port_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])

            _, _, error = call("button_orders_sandbox", "--port", port)

        assert error.startswith(f"Port {port} cannot be used")
        assert error.endswith("Choose another with --port, and set BASE_URL to match.")

    def test_this_machine_only(self):
        _, _, error = call("button_orders_sandbox", "--host", "0.0.0.0")  # noqa: S104 - it is refused

        assert "--host" in error
