from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import SimpleTestCase

import django_button_orders
from django_button_orders import models, signals

NAMES = [
    "Customer",
    "LineItem",
    "OrderAdapter",
    "OrderReport",
    "aget_btn_ref",
    "beat_schedule",
    "erase",
    "get_btn_ref",
    "hash_email",
    "mark_changed",
    "net_of",
    "register",
    "set_btn_ref",
    "spread",
    "suppress_reporting",
    "to_minor_units",
]
ROOT = Path(django_button_orders.__file__).parent.parent


class PublicNameTests(SimpleTestCase):
    def test_importable(self):
        for name in NAMES:
            with self.subTest(name=name):
                found = getattr(django_button_orders, name)

                assert callable(found)
                assert found.__name__ == name

    def test_star(self):
        namespace = {}
        exec("from django_button_orders import *", namespace)  # noqa: S102 - as the star is for modules

        assert set(NAMES) <= namespace.keys()

    def test_listed(self):
        assert sorted(django_button_orders.__all__) == sorted([*NAMES, "__version__"])
        assert set(NAMES) <= set(dir(django_button_orders))

    def test_unknown(self):
        with pytest.raises(AttributeError, match=r"'django_button_orders' .* 'button'"):
            django_button_orders.button  # noqa: B018 - it raises

    def test_version(self):
        assert django_button_orders.__version__.count(".") == 2

    def test_models(self):
        assert models.ButtonOrder._meta.label == "django_button_orders.ButtonOrder"
        assert models.Submission._meta.label == "django_button_orders.Submission"

    def test_signals(self):
        for name in ("order_reported", "order_cancelled", "order_failed"):
            with self.subTest(name=name):
                assert hasattr(getattr(signals, name), "send_robust")


class WithoutDjangoTests(SimpleTestCase):
    """A settings file imports these names before Django has settings."""

    def run_python(self, *lines):
        environment = {
            name: value
            for name, value in os.environ.items()
            if name != "DJANGO_SETTINGS_MODULE"
        }
        result = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-W", "error", "-c", "\n".join(lines)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.stderr == ""
        return result.stdout.strip()

    def test_beat_schedule(self):
        output = self.run_python(
            "import sys, django_button_orders",
            "print(len(django_button_orders.beat_schedule()))",
            "print('django' in sys.modules, 'celery' in sys.modules)",
        )

        assert output.split() == ["3", "False", "False"]

    def test_names_that_need_no_settings(self):
        output = self.run_python(
            "from django_button_orders import to_minor_units, hash_email",
            "print(to_minor_units(12, 'USD'), hash_email('user@example.com')[:8])",
        )

        assert output == "1200 b4c9a289"

    def test_client(self):
        output = self.run_python(
            "import sys, django_button_orders.client",
            "print('django' in sys.modules)",
        )

        assert output == "False"
