"""Settings of commands that run as processes: ``Page`` has an adapter, too."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403 - these, with changes
from tests.settings import DATABASES, INSTALLED_APPS

BUTTON_ORDERS = json.loads(os.environ["BUTTON_ORDERS"])
INSTALLED_APPS = [*INSTALLED_APPS, "tests.pages"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 60,
        "transaction_mode": "IMMEDIATE",
    }
# Pages have no date.
SILENCED_SYSTEM_CHECKS = ["django_button_orders.W001"]
