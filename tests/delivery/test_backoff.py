from __future__ import annotations

import random

import pytest
from django.test import SimpleTestCase

from django_button_orders.conf import get_settings
from django_button_orders.delivery.backoff import next_delay

SCHEDULE = (5, 30, 120)


def lowest():
    return 0.0


def highest():
    return 1.0


class ScheduleTests(SimpleTestCase):
    def test_each_wait(self):
        delays = [next_delay(at, SCHEDULE, rng=lowest) for at in (1, 2, 3)]

        assert delays == [5, 30, 120]

    def test_used_up(self):
        for attempts in (4, 5, 1000):
            with self.subTest(attempts=attempts):
                assert next_delay(attempts, SCHEDULE) is None
                assert next_delay(attempts, SCHEDULE, retry_after=5) is None

    def test_empty(self):
        assert next_delay(1, ()) is None
        assert next_delay(1, (), retry_after=5) is None

    def test_one_wait_of_zero(self):
        assert next_delay(1, (0,), rng=highest) == 0

    def test_the_whole_default(self):
        schedule = get_settings().retry_schedule
        waits = [next_delay(at, schedule, rng=lowest) for at in range(1, 14)]

        assert sum(waits) / 3600 == pytest.approx(87, abs=1)
        assert next_delay(14, schedule) is None


class JitterTests(SimpleTestCase):
    def test_adds_up_to_a_fifth(self):
        assert next_delay(2, SCHEDULE, rng=highest) == pytest.approx(36)
        assert next_delay(2, SCHEDULE, rng=lambda: 0.5) == pytest.approx(33)

    def test_is_random_by_default(self):
        delays = {next_delay(3, SCHEDULE) for _ in range(50)}

        assert len(delays) > 40
        assert all(120 <= delay <= 144 for delay in delays)

    def test_spreads(self):
        rng = random.Random(1).random  # noqa: S311 - no secret
        delays = [next_delay(3, SCHEDULE, rng=rng) for _ in range(1000)]

        assert min(delays) < 121
        assert max(delays) > 143


class AskedTests(SimpleTestCase):
    def delay(self, retry_after, attempts=2, rng=lowest, **options):
        return next_delay(
            attempts, SCHEDULE, retry_after=retry_after, rng=rng, **options
        )

    def test_replaces_the_schedule(self):
        for retry_after in (10, 31, 3600):
            with self.subTest(retry_after=retry_after):
                assert self.delay(retry_after) == retry_after

    def test_never_below_the_first_wait(self):
        for retry_after in (0, 0.1, 4.9, -1):
            with self.subTest(retry_after=retry_after):
                assert self.delay(retry_after) == 5

    def test_capped(self):
        assert self.delay(10**12) == 86400
        assert self.delay(float("inf")) == 86400
        assert self.delay(61, retry_after_max=60) == 60

    def test_cap_holds_with_jitter(self):
        assert self.delay(59, rng=highest, retry_after_max=60) == 60

    def test_jitter_never_comes_earlier(self):
        assert self.delay(100, rng=highest) == pytest.approx(120)
