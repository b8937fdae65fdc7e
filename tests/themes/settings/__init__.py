"""What the settings of all themes have in common."""

from __future__ import annotations

from pathlib import Path
from tempfile import gettempdir

from tests import settings as plain

# Threads answer Chromium's requests. Each needs its own connection, so it is a file.
DATABASE = {
    "ENGINE": "django.db.backends.sqlite3",
    "OPTIONS": {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        # Waiting for the disk would take longer than the tests, which forget it all.
        "init_command": "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY",
    },
}


def settings_for(*apps: str, theme: str) -> dict[str, object]:
    """Return the settings for a theme, whose apps stand before Django's admin."""
    common = {name: getattr(plain, name) for name in dir(plain) if name.isupper()}
    name = Path(gettempdir()) / f"django-button-orders-themes-{theme}.sqlite3"
    return {
        **common,
        "INSTALLED_APPS": [*apps, "django.contrib.staticfiles", *plain.INSTALLED_APPS],
        "DATABASES": {"default": {**DATABASE, "NAME": name, "TEST": {"NAME": name}}},
        "ROOT_URLCONF": "tests.themes.urls",
        "STATIC_URL": "/static/",
    }
