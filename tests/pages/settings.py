"""Settings of the processes that tests start: two models have an adapter."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.pages"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {"timeout": 60}
# Pages have no date.
SILENCED_SYSTEM_CHECKS = ["django_button_orders.W001"]
