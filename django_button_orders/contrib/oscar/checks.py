"""The system check of ``manage.py check`` for shops with Oscar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Warning

OSCAR = "oscar"
OURS = "django_button_orders.contrib.oscar"


def check_templates(**kwargs: Any) -> list[CheckMessage]:
    """Check that Django finds our template of the dashboard before Oscar's."""
    return list(check_order_of_apps())


def check_order_of_apps() -> Iterator[CheckMessage]:
    names = [config.name for config in apps.get_app_configs()]
    if OSCAR in names[: names.index(OURS)]:
        yield Warning(
            f"'{OURS}' is below Oscar in INSTALLED_APPS, so the dashboard's order page "
            "has no box of Button.",
            hint=f"Put '{OURS}' above 'oscar.config.Shop'.",
            id="django_button_orders.W022",
        )
