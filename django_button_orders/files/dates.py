"""Read dates and times as shops export them."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime

UTC = re.compile(r" (UTC|GMT)\Z")
# Magento writes "Nov 1, 2026 8:00:00 AM", and newer versions a second comma.
WITH_MONTH_NAMES = ("%b %d, %Y %I:%M:%S %p", "%b %d, %Y, %I:%M:%S %p")


def read_moment(
    value: Any, *, zone: tzinfo | None = None, date_format: str = ""
) -> datetime:
    """
    Return a date and time, which has a zone.

    ``zone`` is for values without one. ``date_format`` is that of ``strptime``, for
    what cannot be read without it, such as 01/11/2026.
    """
    # Newer libraries write a narrow space that does not break before AM and PM.
    text = " ".join(value.split()) if isinstance(value, str) else ""
    moment = parse_as(text, date_format) if date_format else parse(text)
    if moment is None:
        raise ValidationError(
            "Enter a date and time in ISO 8601 with a time zone, such as "
            "2026-11-23T08:00:00Z, or set --date-format for other formats."
        )
    if moment.utcoffset() is None:
        if zone is None:
            raise ValidationError(
                "Enter a datetime with a time zone, or set one for all dates: "
                "--time-zone Europe/Berlin."
            )
        moment = moment.replace(tzinfo=zone)
    return moment


def parse(text: str) -> datetime | None:
    try:
        moment = parse_datetime(UTC.sub("Z", text))
    except ValueError:
        moment = None
    if moment is None and text[:1].isalpha():
        found = (parse_as(text, each) for each in WITH_MONTH_NAMES)
        moment = next(filter(None, found), None)
    return moment


def parse_as(text: str, date_format: str) -> datetime | None:
    try:
        return datetime.strptime(text, date_format)
    except ValueError:
        return None
