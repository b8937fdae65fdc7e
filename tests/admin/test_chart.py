from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone

from django.test import SimpleTestCase

from django_button_orders.admin.chart import HEIGHT, WIDTH, draw

START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def hours(*counts):
    """Return hours with so many calls that succeeded, are retried, and failed."""
    outcomes = ("succeeded", "will_retry", "failed")
    return {
        START + timedelta(hours=at): {
            outcome: Counter({10: number})
            for outcome, number in zip(outcomes, numbers, strict=True)
            if number
        }
        for at, numbers in enumerate(counts)
    }


class ChartTests(SimpleTestCase):
    def test_nothing(self):
        chart = draw(hours((0, 0, 0), (0, 0, 0)))

        assert (chart.total, chart.most) == (0, 0)
        assert [bar.blocks for bar in chart.bars] == [[], []]

    def test_counts(self):
        chart = draw(hours((3, 0, 1), (0, 2, 0)))

        assert [bar.counts for bar in chart.bars] == [[3, 0, 1], [0, 2, 0]]
        assert chart.totals == [3, 2, 1]
        assert (chart.total, chart.most) == (6, 4)

    def test_from_the_ground_up(self):
        [bar] = draw(hours((3, 0, 1))).bars

        assert [(b.outcome, b.y, b.height) for b in bar.blocks] == [
            ("succeeded", 25, 75),
            ("failed", 0, 25),
        ]

    def test_shares_of_the_busiest_hour(self):
        _, bar = draw(hours((4, 0, 0), (1, 0, 0))).bars

        assert bar.blocks[0].height == 25

    def test_bars_stand_side_by_side(self):
        bars = draw(hours(*[(1, 0, 0)] * 24)).bars

        ends = [bar.x + bar.width for bar in bars]
        assert all(end < bar.x for end, bar in zip(ends, bars[1:], strict=False))
        assert ends[-1] <= WIDTH

    def test_little_is_seen_beside_much(self):
        [bar] = draw(hours((100_000, 1, 1))).bars

        assert all(block.height > 1.5 for block in bar.blocks)
        assert sum(block.height for block in bar.blocks) <= HEIGHT + 0.01
        assert all(block.y >= 0 for block in bar.blocks)
        for below, above in zip(bar.blocks, bar.blocks[1:], strict=False):
            assert abs(above.y + above.height - below.y) < 0.02
