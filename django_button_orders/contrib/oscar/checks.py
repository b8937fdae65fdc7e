"""The system checks of ``manage.py check`` for shops with Oscar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning

from django_button_orders.contrib.oscar.adapter import OscarOrderAdapter, is_among
from django_button_orders.outbox.adapters import registered

OSCAR = "oscar"
OURS = "django_button_orders.contrib.oscar"
ORDER_STATUSES = ("reportable_statuses", "cancelled_statuses", "returned_statuses")
LINE_STATUSES = ("cancelled_line_statuses",)


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


def check_statuses(**kwargs: Any) -> list[CheckMessage]:
    """Check that the shop has the statuses that its adapter names."""
    return [
        warning
        for adapter in registered()
        if isinstance(adapter, OscarOrderAdapter)
        for warning in (
            *check_names(adapter, ORDER_STATUSES, "OSCAR_ORDER_STATUS_PIPELINE"),
            *check_names(adapter, LINE_STATUSES, "OSCAR_LINE_STATUS_PIPELINE"),
        )
    ]


def check_names(
    adapter: OscarOrderAdapter, names: Iterable[str], setting: str
) -> Iterator[CheckMessage]:
    statuses = statuses_in(setting)
    for name in names:
        named = getattr(adapter, name)
        # Nobody expects a shop to have all of the defaults.
        is_own = named != getattr(OscarOrderAdapter, name)
        unknown = [repr(text) for text in named or () if not is_among(statuses, text)]
        if statuses and is_own and unknown:
            yield Warning(
                f"{adapter.name}.{name} has {', '.join(unknown)}, which {setting} "
                "lacks.",
                hint=f"Write each status as in {setting}.",
                id="django_button_orders.W023",
            )


def statuses_in(setting: str) -> set[str]:
    """Return all statuses of a pipeline. The last ones need no line of their own."""
    pipeline = getattr(settings, setting, {})
    return {*pipeline, *(status for after in pipeline.values() for status in after)}
