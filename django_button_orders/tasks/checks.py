"""What ``manage.py check`` says of Celery: whether it knows of the periodic tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery._state import get_current_app
from django.conf import settings
from django.core.checks import CheckMessage, Warning

from django_button_orders.beat import beat_schedule

OURS = frozenset(entry["task"] for entry in beat_schedule().values())


def check_celery(**kwargs: Any) -> list[CheckMessage]:
    """Warn of a schedule in Django's settings that no Celery app has read."""
    return [
        Warning(
            f"{name} has the periodic tasks of django_button_orders, but the Celery "
            "app of this project does not: beat will not run them.",
            hint="Call app.config_from_object('django.conf:settings', "
            "namespace='CELERY') in the module of the Celery app, and import the app "
            "in the __init__.py of the project.",
            id="django_button_orders.W014",
        )
        for name in schedule_names()
        if tasks_in(getattr(settings, name)) - tasks_in(celery_schedule())
    ]


def schedule_names() -> Iterator[str]:
    """Yield the settings that may be meant for Celery, in whatever namespace."""
    return (name for name in dir(settings) if name.endswith("BEAT_SCHEDULE"))


def celery_schedule() -> Any:
    return get_current_app().conf.beat_schedule


def tasks_in(schedule: Any) -> frozenset[str]:
    """Return our tasks in a schedule, which may be anything that somebody has set."""
    entries = schedule.values() if isinstance(schedule, dict) else []
    found = {entry.get("task") for entry in entries if isinstance(entry, dict)}
    return OURS & found
