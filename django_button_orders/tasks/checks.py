"""What ``manage.py check`` says of Celery: its schedule, and its time limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery._state import get_current_app
from django.conf import settings
from django.core.checks import CheckMessage, Warning

from django_button_orders.beat import REPORT_DUE_ORDERS, beat_schedule
from django_button_orders.conf import SETTING, find_problems, get_settings
from django_button_orders.delivery.sweep import SWEEP_SECONDS
from django_button_orders.tasks import TIME_LIMIT_SECONDS

OURS = frozenset(entry["task"] for entry in beat_schedule().values())


def check_celery(**kwargs: Any) -> list[CheckMessage]:
    """Run the checks of Celery. They read its configuration only if they have to."""
    return [*check_schedule(), *check_time_limit()]


def check_schedule() -> Iterator[CheckMessage]:
    """Warn of a schedule in Django's settings that no Celery app has read."""
    for name in names_ending("BEAT_SCHEDULE"):
        if not tasks_in(getattr(settings, name)) - tasks_in(celery_schedule()):
            continue
        yield Warning(
            f"{name} has the periodic tasks of django_button_orders, but no Celery "
            "app has read it. Beat will not run them.",
            hint="Call app.config_from_object('django.conf:settings', "
            "namespace='CELERY') in the module of the Celery app, and import the app "
            "in the __init__.py of the project.",
            id="django_button_orders.W014",
        )


def check_time_limit() -> Iterator[CheckMessage]:
    """Warn of a time limit that ends sweeps: ours gives way to annotations alone."""
    if any(find_problems()):
        return
    needed = SWEEP_SECONDS + get_settings().lease_seconds
    if needed < TIME_LIMIT_SECONDS / 2 and not any(names_ending("TASK_ANNOTATIONS")):
        return
    limit = get_current_app().tasks[REPORT_DUE_ORDERS].soft_time_limit
    if limit and limit < needed:
        yield Warning(
            f"A sweep may take {needed:g} seconds, but Celery ends it after {limit:g} "
            f"second{'' if limit == 1 else 's'}. Its orders would then wait until "
            "their leases expire.",
            hint="Remove the tasks of django_button_orders from task_annotations, or "
            f"lower {SETTING}['LEASE_SECONDS'].",
            id="django_button_orders.W016",
        )


def names_ending(suffix: str) -> Iterator[str]:
    """Yield the settings that may be meant for Celery, in any namespace."""
    return (name for name in dir(settings) if name.endswith(suffix))


def celery_schedule() -> Any:
    return get_current_app().conf.beat_schedule


def tasks_in(schedule: Any) -> frozenset[str]:
    """Return our tasks in a schedule, which may be anything that somebody has set."""
    entries = schedule.values() if isinstance(schedule, dict) else []
    found = {entry.get("task") for entry in entries if isinstance(entry, dict)}
    return OURS & found
