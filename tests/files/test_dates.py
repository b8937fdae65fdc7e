from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase

from django_button_orders.files.dates import read_moment

BERLIN = ZoneInfo("Europe/Berlin")
MORNING = datetime(2026, 11, 1, 8, tzinfo=timezone.utc)


class MomentTests(SimpleTestCase):
    def test_with_a_zone(self):
        for text, hours in (
            ("2026-11-01T08:00:00Z", 0),
            ("2026-11-01T08:00:00.000Z", 0),
            ("2026-11-01 08:00:00 -0500", 5),
            ("2026-11-01 08:00:00 +0530", -5.5),
            ("2026-11-01 08:00:00 UTC", 0),
            ("2026-11-01 08:00 GMT", 0),
        ):
            with self.subTest(text=text):
                # The zone that a date has wins.
                found = read_moment(text, zone=BERLIN)

                assert found == MORNING + timedelta(hours=hours)

    def test_without_a_zone(self):
        for text in (
            "2026-11-01 08:00:00",
            "2026-11-01 08:00",
            "Nov 1, 2026 8:00:00 AM",
            "Nov 1, 2026, 8:00:00\u202fAM",
        ):
            with self.subTest(text=text):
                assert read_moment(text, zone=timezone.utc) == MORNING
                assert read_moment(text, zone=BERLIN) == MORNING - timedelta(hours=1)
                with pytest.raises(ValidationError, match="--time-zone"):
                    read_moment(text)

    def test_day_alone(self):
        found = read_moment("2026-11-01", zone=timezone.utc)

        assert found == MORNING.replace(hour=0)

    def test_named_format(self):
        found = read_moment(
            "01/11/2026 08:00", zone=timezone.utc, date_format="%d/%m/%Y %H:%M"
        )

        assert found == MORNING

    def test_zone_in_a_named_format(self):
        found = read_moment("1.11.26 9 +0100", date_format="%d.%m.%y %H %z")

        assert found == MORNING

    def test_other_than_the_named_format(self):
        for text in ("2026-11-01T08:00:00Z", "13/13/2026 08:00"):
            with self.subTest(text=text), pytest.raises(ValidationError):
                read_moment(text, date_format="%d/%m/%Y %H:%M")

    def test_refused(self):
        for value in (
            *("01/11/2026 08:00", "46327.34", "1793520000", "Nov 1", "soon", ""),
            *("0000-00-00 00:00:00", "2026-02-30 00:00", 5, None, True, ["2026"]),
        ):
            with (
                self.subTest(value=value),
                pytest.raises(ValidationError, match="--date-format"),
            ):
                read_moment(value, zone=timezone.utc)
