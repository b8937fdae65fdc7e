"""
A check for django-health-check, which the extra ``health-check`` installs.

The check fails with a sentence for each exceeded limit. It names no order, because
the pages of health checks are often public. The HTML page needs "health_check" in
``INSTALLED_APPS``, which has its template; the answers as text and JSON do not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.db import DEFAULT_DB_ALIAS, Error
from health_check.base import HealthCheck
from health_check.exceptions import ServiceUnavailable

from django_button_orders.models.databases import borrowed_connection
from django_button_orders.monitoring.current import find_statistics
from django_button_orders.monitoring.limits import Limits
from django_button_orders.report.privacy import describe_for_log


@dataclass
class ButtonOrdersCheck(HealthCheck):  # type: ignore[misc]  # it has no types
    """
    Check that the orders of one database are reported.

    The check fails if a limit is reached. None switches a limit off. ``oldest_due``,
    ``no_sweep`` and ``closing_unsent`` are seconds. ``success_below`` is a percentage
    of the calls of the last 24 hours.
    """

    alias: str = DEFAULT_DB_ALIAS
    oldest_due: float | None = 900
    no_sweep: float | None = 600
    due: int | None = None
    stuck: int | None = None
    failed: int | None = None
    success_below: float | None = None
    paused: bool = True
    closing_unsent: float | None = None

    def run(self) -> None:
        limits = Limits(
            **{item.name: getattr(self, item.name) for item in fields(Limits)}
        )
        try:
            with borrowed_connection(self.alias):
                exceeded = list(limits.find_exceeded(find_statistics(self.alias)))
        except Error as exc:
            raise ServiceUnavailable(describe_for_log(exc)) from exc
        if exceeded:
            raise ServiceUnavailable(" ".join(exceeded))
