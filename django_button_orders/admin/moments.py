"""When something was or will be, as a person says it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Whole phrases: in many languages, a unit changes its form after "ago" and "in".
PAST: list[tuple[timedelta, Any]] = [
    (DAY, ngettext_lazy("%(count)d day ago", "%(count)d days ago", "count")),
    (HOUR, ngettext_lazy("%(count)d hour ago", "%(count)d hours ago", "count")),
    (MINUTE, ngettext_lazy("%(count)d minute ago", "%(count)d minutes ago", "count")),
]
FUTURE: list[tuple[timedelta, Any]] = [
    (DAY, ngettext_lazy("in %(count)d day", "in %(count)d days", "count")),
    (HOUR, ngettext_lazy("in %(count)d hour", "in %(count)d hours", "count")),
    (MINUTE, ngettext_lazy("in %(count)d minute", "in %(count)d minutes", "count")),
]
DUE: list[tuple[timedelta, Any]] = [
    (DAY, ngettext_lazy("due for %(count)d day", "due for %(count)d days", "count")),
    (HOUR, ngettext_lazy("due for %(count)d hour", "due for %(count)d hours", "count")),
    (
        MINUTE,
        ngettext_lazy("due for %(count)d minute", "due for %(count)d minutes", "count"),
    ),
]


def ago(moment: datetime | None) -> str:
    """Return how long ago something was."""
    if moment is None:
        return _("at an unknown time")
    return ago_by(timezone.now() - moment)


def ago_by(distance: timedelta) -> str:
    return phrase(distance, PAST) or _("a moment ago")


def ahead(moment: datetime) -> str:
    """Return in how long something will be."""
    return phrase(moment - timezone.now(), FUTURE) or _("in a moment")


def due_for(distance: timedelta) -> str:
    """Return for how long something should have been done."""
    return phrase(distance, DUE) or _("due now")


def phrase(distance: timedelta, units: list[tuple[timedelta, Any]]) -> str:
    for unit, words in units:
        if distance >= unit:
            return str(words % {"count": distance // unit})
    return ""


def local(moment: datetime) -> datetime:
    """Return a moment in the current zone, where there are zones."""
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


def written(moment: datetime) -> str:
    """Return a moment as it is written, in the current zone."""
    return date_format(local(moment), "DATETIME_FORMAT")
