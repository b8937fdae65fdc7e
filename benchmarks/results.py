"""The figures of each round, the targets, and their text."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Metrics = dict[str, "float | None"]


class Target(NamedTuple):
    """A bound for a figure. Targets with one ``number`` belong together."""

    number: int
    what: str
    value: float | None
    bound: float
    at_least: bool
    unit: str = "x"

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        if self.at_least:
            return self.value >= self.bound
        return self.value <= self.bound

    def as_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "reached": self.reached}


@dataclass
class Results:
    """The figures of a scenario: each side (an integration) in each case."""

    title: str
    rounds: dict[tuple[str, str], list[Metrics]] = field(default_factory=dict)
    # Case, side and reference: the text has a line with the ratios of the two.
    pairs: list[tuple[str, str, str]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Is told the figures of each round, as a line of text.
    listener: Callable[[str], None] | None = None

    def add(self, case: str, side: str, **metrics: float | None) -> None:
        self.rounds.setdefault((case, side), []).append(metrics)
        if self.listener is not None:
            figures = [f"{name} {number(value)}" for name, value in metrics.items()]
            self.listener(f"{case}, {side}: {', '.join(figures)}")

    def add_pair(self, case: str, side: str, reference: str) -> None:
        """Show the ratios of one side to another, if both have figures."""
        pair, both = (case, side, reference), {(case, side), (case, reference)}
        if pair not in self.pairs and both <= self.rounds.keys():
            self.pairs.append(pair)

    def sides(self) -> list[tuple[str, str]]:
        """Return case and side of all figures, grouped by case."""
        cases = list(dict.fromkeys(case for case, _ in self.rounds))
        return sorted(self.rounds, key=lambda key: cases.index(key[0]))

    def median(self, case: str, side: str, metric: str) -> float | None:
        found = [values.get(metric) for values in self.rounds.get((case, side), [])]
        known = [value for value in found if value is not None]
        return statistics.median(known) if known else None

    def ratio(self, case: str, side: str, reference: str, metric: str) -> float | None:
        return divide(
            self.median(case, side, metric), self.median(case, reference, metric)
        )

    def at_least(
        self, number: int, what: str, value: float | None, bound: float, unit: str = "x"
    ) -> None:
        self.targets.append(Target(number, what, value, bound, True, unit))

    def at_most(
        self, number: int, what: str, value: float | None, bound: float, unit: str = "x"
    ) -> None:
        self.targets.append(Target(number, what, value, bound, False, unit))

    @property
    def metrics(self) -> list[str]:
        rounds = [values for rounds in self.rounds.values() for values in rounds]
        return list(dict.fromkeys(name for values in rounds for name in values))

    def as_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "rows": [
                {
                    "case": case,
                    "side": side,
                    "medians": {m: self.median(case, side, m) for m in rounds[0]},
                    "rounds": rounds,
                }
                for (case, side), rounds in self.rounds.items()
            ],
            "ratios": [
                {
                    "case": case,
                    "side": side,
                    "reference": reference,
                    "ratios": {
                        m: self.ratio(case, side, reference, m) for m in self.metrics
                    },
                }
                for case, side, reference in self.pairs
            ],
            "targets": [target.as_dict() for target in self.targets],
            "notes": self.notes,
        }


def divide(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


# As text


def number(value: float | None) -> str:
    """Return a figure with about three digits."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def table(lines: list[list[str]]) -> Iterator[str]:
    """Yield aligned lines: the first two columns left, the figures right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if position < 2 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def describe(results: Results) -> Iterator[str]:
    yield f"== {results.title}"
    lines = [["", "", *results.metrics]]
    for case, side in results.sides():
        medians = [results.median(case, side, name) for name in results.metrics]
        lines.append([case, side, *map(number, medians)])
        for _, _, reference in [p for p in results.pairs if p[:2] == (case, side)]:
            ratios = [
                results.ratio(case, side, reference, name) for name in results.metrics
            ]
            shown = [f"{number(item)}x" if item is not None else "-" for item in ratios]
            lines.append(["", f"  to {reference}", *shown])
    yield from table(lines)
    yield from results.notes


def describe_targets(targets: list[Target]) -> Iterator[str]:
    words = {True: "reached", False: "NOT REACHED", None: "not measured"}
    lines = [["", "Target", "measured", "bound", ""]]
    for target in sorted(targets, key=lambda item: item.number):
        bound = (
            f"{'>=' if target.at_least else '<='} {number(target.bound)}{target.unit}"
        )
        value = "-" if target.value is None else f"{number(target.value)}{target.unit}"
        verdict = words[target.reached]
        lines.append([str(target.number), target.what, value, bound, verdict])
    yield from table(lines)
