"""The calls of the last day as a chart, which the template draws as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django_button_orders.models import Submission
from django_button_orders.monitoring.calls import Durations

# The units are those of the drawing, which is scaled to its place.
WIDTH = 480
HEIGHT = 100
GAP = 4
# What there is must be seen, however little it is beside the rest.
LEAST = 2

Outcome = Submission.Outcome
# From the ground up: what went wrong stands on top, where it is seen.
STACK = (Outcome.SUCCEEDED, Outcome.WILL_RETRY, Outcome.FAILED)


@dataclass(frozen=True, kw_only=True)
class Block:
    """The calls of one hour and outcome."""

    outcome: str
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    hour: datetime
    counts: list[int]
    x: float
    width: float
    blocks: list[Block]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, kw_only=True)
class Chart:
    bars: list[Bar]
    labels: list[str]
    totals: list[int]
    most: int
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def total(self) -> int:
        return sum(self.totals)


def draw(hours: Mapping[datetime, Durations]) -> Chart:
    counted = {
        hour: [sum(durations.get(outcome, {}).values()) for outcome in STACK]
        for hour, durations in hours.items()
    }
    most = max((sum(counts) for counts in counted.values()), default=0)
    step = WIDTH / max(len(counted), 1)
    return Chart(
        bars=[
            Bar(
                hour=hour,
                counts=counts,
                x=at * step,
                width=step - GAP,
                blocks=list(stack(counts, most)),
            )
            for at, (hour, counts) in enumerate(counted.items())
        ],
        labels=[str(outcome.label) for outcome in STACK],
        totals=[sum(column) for column in zip(*counted.values(), strict=True)],
        most=most,
    )


def stack(counts: list[int], most: int) -> Iterator[Block]:
    """Yield what stands on top of each other, and never more than fits."""
    shares = [max(LEAST, count / most * HEIGHT) if count else 0 for count in counts]
    scale = min(1, HEIGHT / sum(shares)) if any(shares) else 0
    y = float(HEIGHT)
    for outcome, share in zip(STACK, shares, strict=True):
        if share:
            height = round(share * scale, 2)
            y -= height
            yield Block(outcome=outcome.value, y=round(max(y, 0), 2), height=height)
