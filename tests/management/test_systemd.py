from __future__ import annotations

import configparser
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import override_settings

from django_button_orders.conf import Settings
from tests.management.processes import ROOT, ProcessTestCase
from tests.utils import button_settings, create_row

PAGE = ROOT / "docs" / "howto" / "deploy-systemd.rst"
MANAGE = """\
import sys
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""


def read_unit():
    """Return the unit of the documentation, as somebody would copy it."""
    lines = PAGE.read_text(encoding="utf-8").partition("ini\n\n")[2].splitlines()
    unit = []
    for line in lines:
        if line and not line.startswith("    "):
            break
        unit.append(line.removeprefix("    "))
    return "\n".join(unit)


class UnitTests(ProcessTestCase):
    def setUp(self):
        super().setUp()
        (self.directory / "manage.py").write_text(MANAGE)
        # On this machine there is another shop.
        unit = read_unit().replace("/srv/shop/venv/bin/python", sys.executable)
        self.unit = unit.replace("/srv/shop", str(self.directory))
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str
        parser.read_string(self.unit)
        self.service = parser["Service"]

    def test_verified_by_systemd(self):
        if shutil.which("systemd-analyze") is None:
            pytest.skip("systemd-analyze is not installed.")
        path = Path(self.directory) / "button-orders.service"
        path.write_text(self.unit.replace("User=shop\n", "User=root\n"))

        done = subprocess.run(  # noqa: S603 - our own unit
            ["systemd-analyze", "verify", "--man=no", str(path)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )

        # It also tells of other units of the machine.
        complaints = [
            line for line in done.stderr.splitlines() if "button-orders" in line
        ]
        assert complaints == []
        assert done.returncode == 0

    def test_runs_and_ends_as_it_says(self):
        with override_settings(BUTTON_ORDERS=button_settings()):
            create_row(order_id="1994")
        self.publish()
        variables = dict(
            item.split("=", 1) for item in self.service["Environment"].split()
        )
        assert variables.pop("DJANGO_SETTINGS_MODULE") == "shop.settings"
        process = self.start_logged(
            *shlex.split(self.service["ExecStart"]),
            cwd=self.service["WorkingDirectory"],
            env={**self.env, **variables},
        )
        self.wait_for("the order", lambda: self.sandbox.orders)

        process.send(getattr(signal, self.service["KillSignal"]))

        assert process.wait(float(self.service["TimeoutStopSec"])) == 0
        assert process.output() == "1 reported.\n"
        # Else it would be started again.
        assert self.service["Restart"] == "on-failure"

    def test_time_to_end(self):
        assert float(self.service["TimeoutStopSec"]) >= Settings().deadline + 10
        assert os.path.isabs(shlex.split(self.service["ExecStart"])[0])
