from __future__ import annotations

from datetime import datetime, timedelta, timezone

from django.test import SimpleTestCase, override_settings
from django.utils import timezone as django_timezone

from django_button_orders.admin.formatting import (
    format_ago,
    format_datetime,
    format_due,
    format_until,
)
from tests.utils import PURCHASED

PHRASES = {
    timedelta(seconds=-5): ("a moment ago", "in a moment", "due now"),
    timedelta(seconds=59): ("a moment ago", "in a moment", "due now"),
    timedelta(minutes=1): ("1 minute ago", "in 1 minute", "due for 1 minute"),
    timedelta(minutes=59): ("59 minutes ago", "in 59 minutes", "due for 59 minutes"),
    timedelta(hours=1): ("1 hour ago", "in 1 hour", "due for 1 hour"),
    timedelta(hours=3, minutes=59): ("3 hours ago", "in 3 hours", "due for 3 hours"),
    timedelta(days=1): ("1 day ago", "in 1 day", "due for 1 day"),
    timedelta(days=365): ("365 days ago", "in 365 days", "due for 365 days"),
}
# Time passes between the test's clock and that of the function.
SLACK = timedelta(seconds=0.9)


class RelativeTests(SimpleTestCase):
    def test_phrases(self):
        for distance, phrases in PHRASES.items():
            with self.subTest(distance=distance):
                now = datetime.now(timezone.utc)

                assert format_ago(now - distance) == phrases[0]
                assert format_until(now + distance + SLACK) == phrases[1]
                assert format_due(distance) == phrases[2]

    @override_settings(USE_TZ=False)
    def test_without_time_zones(self):
        assert format_ago(django_timezone.now() - timedelta(hours=3)) == "3 hours ago"

    def test_never(self):
        assert format_ago(None) == "at an unknown time"


class WrittenTests(SimpleTestCase):
    def test_in_the_zone(self):
        assert format_datetime(PURCHASED) == "Nov. 1, 2026, 6 a.m."

    @override_settings(USE_TZ=False)
    def test_without_time_zones(self):
        assert format_datetime(datetime(2026, 11, 1, 12)) == "Nov. 1, 2026, noon"
