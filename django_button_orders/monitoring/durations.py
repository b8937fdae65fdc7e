"""
Durations in buckets: few enough to keep for each hour, and good to three per cent.

A bucket is named by the shortest duration in it, in milliseconds. Up to 64 each has
one of its own, and from then on there are 32 to each doubling.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Case, Expression, F, Value, When

FINE_BITS = 6
# Nothing is expected to take longer than half an hour; it is kept all the same.
MOST_BITS = 21


def width(bucket: int) -> int:
    """Return how many milliseconds a bucket has."""
    bits = min(bucket.bit_length(), MOST_BITS)
    return 1 << max(bits - FINE_BITS, 0)


def bucket_of(field: str) -> Expression:
    """Return an expression for the bucket of a field, in whole numbers alone."""
    steps = [
        When(**{f"{field}__lt": 1 << bits}, then=Value(1 << (bits - FINE_BITS)))
        for bits in range(FINE_BITS, MOST_BITS)
    ]
    coarsest = Value(1 << (MOST_BITS - FINE_BITS))
    return F(field) - F(field) % Case(*steps, default=coarsest)


def percentile(counts: Mapping[int, int], percent: float) -> float | None:
    """Return the duration that so many per cent do not exceed; None of none."""
    rank = sum(counts.values()) * percent / 100
    seen = 0
    for bucket in sorted(counts):
        if counts[bucket] and seen + counts[bucket] >= rank:
            share = (rank - seen) / counts[bucket]
            return bucket + (width(bucket) - 1) * share
        seen += counts[bucket]
    return None
