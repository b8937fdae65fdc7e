"""``docs/howto/databases.rst``: orders are in a second database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module", params=["orders", "archive"])
def day(request, tmp_path_factory):
    """Return the alias of the second database, and what ``live_a_day`` prints."""
    folder = tmp_path_factory.mktemp("split")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.recipes.split.settings",
        "SECOND": request.param,
        "DATABASE_URL": f"sqlite:///{folder}/default.sqlite3",
        "SECOND_DATABASE_URL": f"sqlite:///{folder}/second.sqlite3",
    }
    done = subprocess.run(
        [sys.executable, "-m", "django", "live_a_day"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout)


def test_tables(day):
    second, seen = day
    ours = {"django_button_orders", "shop"}
    if second == "orders":
        assert not ours & set(seen["tables"]["default"])
        assert set(seen["tables"][second]) == {"django", *ours}
    else:
        assert ours <= set(seen["tables"]["default"]) & set(seen["tables"][second])


def test_reports(day):
    _, seen = day
    assert seen["row_is_beside_its_order"]
    assert seen["reported_by_the_task"] == 7000
    assert seen["updated_by_the_command"] == 6000
    assert seen["found_by_the_task"]


def test_commands(day):
    second, seen = day
    status, text = seen["status"]
    assert status == 0
    assert ("Database: archive" in text) == (second == "archive")
    assert "2 reported" in text
    status, text = seen["reconcile"]
    assert status == 0
    assert "2 agree" in text


def test_admin(day):
    _, seen = day
    assert "Reporting to Button Failed" in seen["box"]
    assert seen["after_retry"] == "pending"
    assert "1994" in seen["list"]
    assert "1995" in seen["list"]
    assert "1994" in seen["page"]
    # The log entries are in the first database, as the users are.
    assert "root" in seen["history"]
