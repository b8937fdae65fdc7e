from __future__ import annotations

import subprocess
import sys

from django.test import SimpleTestCase

# None stands for a package that is not installed.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(["opentelemetry", "health_check"]))
import django
django.setup()
import django_button_orders.admin, django_button_orders.tasks
from django.core.management import call_command
call_command("button_orders_status", "--help")
"""


class OptionalTests(SimpleTestCase):
    def test_all_else_works_without(self):
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", WITHOUT],
            capture_output=True,
            text=True,
            check=False,
            env={"DJANGO_SETTINGS_MODULE": "tests.settings"},
        )

        assert done.returncode == 0, done.stderr
        assert "--fail-if-oldest-due" in done.stdout
