"""Read moments that others have written as texts."""

from __future__ import annotations

from datetime import datetime, timezone

from django.utils.dateparse import parse_datetime


def parse_moment(text: str) -> datetime | None:
    """Return the moment in an ISO 8601 text, in UTC if it has no zone, or None."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=timezone.utc)
