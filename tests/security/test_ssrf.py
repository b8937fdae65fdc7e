"""Requests go to BASE_URL and nowhere else."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_button_orders.models import Submission
from tests.security.utils import EndToEndTestCase
from tests.wire import BASIC, answer

OPERATIONS = ("create", "update", "cancel", "retrieve")


class RedirectTests(EndToEndTestCase):
    def setUp(self):
        super().setUp()
        self.elsewhere = self.serve()

    def redirected(self, operation, status, **headers):
        """Report a row to a server that redirects, and check the row."""
        row = self.create_for(operation)
        server = self.serve(answer(b"", status=status, **headers))

        self.report(row, server)

        assert self.elsewhere.connections == 0
        assert len(server.received) == 1
        assert (row.status, row.reason) == ("failed", "refused")
        assert (row.last_status_code, row.next_attempt_at) == (status, None)
        assert "a redirect, which is never followed" in row.last_error
        submission = Submission.objects.get()
        assert (submission.status_code, submission.outcome) == (status, "failed")
        assert submission.url.startswith(f"{server.url}/v1/order")
        assert submission.error == row.last_error

    def test_every_status(self):
        for status in (*range(300, 310), 350, 399):
            with self.subTest(status=status):
                self.redirected("create", status, location=self.elsewhere.url)

    def test_every_operation(self):
        for operation in OPERATIONS:
            for status in (301, 302, 303, 307, 308):
                with self.subTest(operation=operation, status=status):
                    location = f"{self.elsewhere.url}/v1/order/1994"

                    self.redirected(operation, status, location=location)

    def test_every_place(self):
        port = self.elsewhere.port
        places = (
            f"//127.0.0.1:{port}/v1/order",
            f"http://sk-XXX:@localhost:{port}/",
            f"HTTP://127.1:{port}/",
            f"http://[::ffff:127.0.0.1]:{port}/",
            "http://169.254.169.254/latest/meta-data/",
            "file:///etc/passwd",
            "/v1/order",
            "",
        )
        for location in places:
            with self.subTest(location=location):
                self.redirected("create", 307, location=location)

    def test_with_an_answer_that_is_accepted(self):
        """Headers that make browsers open or prefetch other URLs."""
        url = self.elsewhere.url
        row = self.create_for("create")
        server = self.serve(
            answer(
                location=url,
                content_location=url,
                refresh=f"0; url={url}",
                link=f"<{url}>; rel=preload",
                alt_svc=f'h2="127.0.0.1:{self.elsewhere.port}"',
            )
        )

        self.report(row, server)
        self.put(row, total=1, status="pending")
        self.report(row, server)

        assert row.status == "reported"
        assert self.elsewhere.connections == 0
        assert len(server.received) == 2


class EnvironmentTests(EndToEndTestCase):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def check_reported(self):
        row = self.create_for("create")

        self.report(row, self.server)

        assert row.status == "reported"
        [received] = self.server.received
        assert received.headers["authorization"] == f"Basic {BASIC}"
        assert received.headers["host"] == f"127.0.0.1:{self.server.port}"
        return received

    def test_netrc(self):
        with TemporaryDirectory() as home:
            for name in (".netrc", "_netrc"):
                path = Path(home) / name
                path.write_text("default login someone password planted\n")
                path.chmod(0o600)
            with patch.dict(os.environ, {"HOME": home, "NETRC": str(path)}):
                received = self.check_reported()

        assert "planted" not in f"{received}"

    def test_proxies(self):
        proxy = self.serve()
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        values = dict.fromkeys([*names, *map(str.lower, names)], proxy.url)
        with patch.dict(os.environ, {**values, "NO_PROXY": "", "no_proxy": ""}):
            received = self.check_reported()

        assert proxy.connections == 0
        assert received.target == "/v1/order"


class PlainTextTests(EndToEndTestCase):
    """Without TLS, the key is sent to this machine only."""

    def setUp(self):
        super().setUp()
        self.server = self.serve()
        # This address connects to this machine, but is not a loopback address.
        self.url = f"http://0.0.0.0:{self.server.port}"

    def test_check(self):
        for values in (
            {"BASE_URL": self.url},
            {"ACCOUNTS": {"eu": {"BASE_URL": self.url}}},
        ):
            with self.subTest(values=values), self.button_at(self.server, **values):
                ids = [message.id for message in run_checks()]

                assert "django_button_orders.E004" in ids

    def test_nothing_is_sent(self):
        """Workers do not run the checks, so the rule also holds without them."""
        row = self.create_for("create")

        with suppress(ImproperlyConfigured):
            self.report(row, self.url)

        assert self.server.received == []

    @override_settings(DEBUG=True)
    def test_debug(self):
        row = self.create_for("create")

        self.report(row, self.url)

        assert row.status == "reported"
