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
# The page of django-health-check, as a browser asks for it.
PAGE = """
import sys
import django
from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import RequestFactory

settings.INSTALLED_APPS += sys.argv[1:]
django.setup()
from health_check.views import HealthCheckView

view = async_to_sync(HealthCheckView.as_view(checks=[]))
for media_type in ("text/plain", "application/json", "text/html"):
    request = RequestFactory().get("/", headers={"Accept": media_type})
    response = view(request)
    getattr(response, "render", lambda: None)()
    print(media_type, response.status_code)
"""


def run(code, *arguments):
    """Run code in a process of its own, because it loads other apps."""
    return subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings"},
    )


class OptionalTests(SimpleTestCase):
    def test_all_else_works_without(self):
        done = run(WITHOUT)

        assert done.returncode == 0, done.stderr
        assert "--fail-if-oldest-due" in done.stdout


class HealthCheckPageTests(SimpleTestCase):
    def test_texts_need_no_app(self):
        done = run(PAGE)

        assert done.stdout == "text/plain 200\napplication/json 200\n"
        # The template is in the app.
        assert "TemplateDoesNotExist: health_check/index.html" in done.stderr

    def test_page_needs_the_app(self):
        done = run(PAGE, "health_check")

        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("text/html 200\n")
