"""The example shop, the README's commands and the page of promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from django.test import SimpleTestCase

import django_button_orders
from django_button_orders.conf import Settings
from django_button_orders.delivery.backoff import JITTER
from tests.utils import find_name

ROOT = Path(__file__).resolve().parent.parent


class ExampleTests(SimpleTestCase):
    def manage(self, *arguments, **env):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(  # noqa: S603 - our own commands
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT / "example_project",
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "config.settings",
                    "PYTHONPATH": str(ROOT),
                    "VAR_DIR": folder,
                    **env,
                },
                capture_output=True,
                text=True,
                check=False,
            )
        return done.returncode, done.stdout + done.stderr

    def test_checks(self):
        assert self.manage("check", "--fail-level", "WARNING") == (
            0,
            "System check identified no issues (0 silenced).\n",
        )

    def test_integrations_of_the_benchmarks(self):
        """Celery runs the checks before a worker starts."""
        for settings, variable, names in (
            ("benchmarks.settings", "BENCH_INTEGRATION", ("ours", "naive", "plain")),
            ("tests.faults.settings", "FAULTS_INTEGRATION", ("", "naive")),
        ):
            for name in names:
                with self.subTest(settings=settings, name=name):
                    status, output = self.manage(
                        "check",
                        DJANGO_SETTINGS_MODULE=settings,
                        FAULTS_QUEUE="faults",
                        PYTHONPATH=os.pathsep.join(
                            [str(ROOT), str(ROOT / "example_project")]
                        ),
                        **{variable: name},
                    )

                    assert status == 0, output

    def test_migrations(self):
        status, output = self.manage("makemigrations", "--check", "--dry-run")

        assert status == 0, output


class ReadmeTests(SimpleTestCase):
    def test_make_knows_the_targets(self):
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
        for readme in (ROOT / "README.rst", ROOT / "example_project" / "README.rst"):
            named = set(re.findall(r"^ +make ([\w-]+)", readme.read_text(), re.M))
            assert {"demo"} <= named <= targets
        contributing = (ROOT / "CONTRIBUTING.rst").read_text()
        named = set(re.findall(r"``make ([\w-]+)", contributing))
        assert targets - named == {"help", "clean"}
        assert named <= targets

    def test_changelog_begins_with_this_version(self):
        changelog = (ROOT / "CHANGELOG.rst").read_text()
        (version,) = re.findall(
            r"^(\S+)(?: \(\d{4}-\d\d-\d\d\))?\n=+$", changelog, re.M
        )[1:2]

        assert version in ("Unreleased", django_button_orders.__version__)


class PromiseTests(SimpleTestCase):
    """The page of promises names tests that exist."""

    def promises(self):
        page = (ROOT / "docs/explanation/guarantees.rst").read_text()
        table = page.partition("\nNot promised\n")[0]
        # A promise is an entry of a definition list.
        return re.findall(r"^(\S.*)\n(    .*\n(?:    .*\n|\n)*)", table, re.M)

    def test_every_promise_names_a_test_that_exists(self):
        promises = self.promises()

        assert len(promises) > 30
        for promise, text in promises:
            names = text.partition("Tests: ")[2]
            assert names, promise
            for name in re.findall(r"``([\w.]+)``", names):
                with self.subTest(promise=promise, name=name):
                    assert "test_" in name
                    assert find_name(f"tests.{name}")

    def test_hours_of_retries(self):
        """The pages name the shortest and the longest time of RETRY_SCHEDULE."""
        hours = sum(Settings().retry_schedule) / 3600
        text = f"{hours:.0f} to {hours * (1 + JITTER):.0f} hours"

        for page in ("explanation/guarantees", "help/faq", "help/troubleshooting"):
            with self.subTest(page=page):
                assert text in (ROOT / f"docs/{page}.rst").read_text()
