"""Settings of a shop that has forked Oscar's order app, so that it has ``btn_ref``."""

from __future__ import annotations

from tests.oscar.settings import *  # noqa: F403 - these, with changes
from tests.oscar.settings import INSTALLED_APPS

INSTALLED_APPS = [
    "tests.oscar_forked.order.apps.OrderConfig"
    if app == "oscar.apps.order.apps.OrderConfig"
    else app
    for app in INSTALLED_APPS
]


class NoMigrations(dict):
    """Let Django create the tables of all apps from their models."""

    def __contains__(self, label):
        return True

    def __missing__(self, label):
        return None


# A shop gets copies of Oscar's migrations, which would only repeat them here.
MIGRATION_MODULES = NoMigrations()
