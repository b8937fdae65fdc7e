from __future__ import annotations

from collections import Counter

from django.test import SimpleTestCase, TestCase
from hypothesis import given
from hypothesis import strategies as st

from django_button_orders.models import Submission
from django_button_orders.monitoring.durations import bucket_of, percentile, width
from tests.monitoring.utils import add_calls
from tests.utils import create_row


class BucketTests(TestCase):
    def test_database_and_width_agree(self):
        durations = [0, 1, 63, 64, 65, 127, 128, 131, 999, 30_000, 4_000_000]
        add_calls(create_row(), *durations)

        found = Submission.objects.annotate(bucket=bucket_of("duration_ms"))

        buckets = dict(found.values_list("duration_ms", "bucket"))
        assert buckets == {
            0: 0,
            1: 1,
            63: 63,
            64: 64,
            65: 64,
            127: 126,
            128: 128,
            131: 128,
            999: 992,
            30_000: 29_696,
            4_000_000: 3_997_696,
        }
        for duration, bucket in buckets.items():
            assert bucket <= duration < bucket + width(bucket)

    def test_three_per_cent(self):
        for bucket in (64, 1000, 29_696, 1_000_000):
            assert width(bucket) / bucket <= 1 / 32


class PercentileTests(SimpleTestCase):
    def test_none(self):
        assert percentile({}, 50) is None

    def test_one(self):
        assert percentile({40: 1}, 50) == 40
        assert percentile({40: 1}, 95) == 40

    def test_ranks(self):
        counts = dict.fromkeys(range(1, 61), 1)

        assert percentile(counts, 50) == 30
        assert percentile(counts, 95) == 57
        assert percentile(counts, 100) == 60

    def test_within_a_bucket(self):
        assert percentile({1024: 100}, 50) == 1024 + 31 * 0.5

    @given(st.lists(st.integers(0, 60_000), min_size=1, max_size=200))
    def test_close_to_the_true_one(self, durations):
        counts = Counter(
            duration - duration % width(duration) for duration in durations
        )
        ordered = sorted(durations)
        for percent in (50, 95):
            rank = max(-(-len(ordered) * percent // 100), 1)
            true = ordered[rank - 1]

            found = percentile(counts, percent)

            assert abs(found - true) <= width(true)
