"""Find out which part of an Oscar order came back, as units or as money."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Returned:
    """
    The part of an order that came back.

    ``units`` and ``parts`` are by the keys of the lines. A part is a fraction of the
    line's price: 1 if nothing of it is left. ``goodwill`` is money with tax that was
    refunded beside it, for the order as a whole.
    """

    units: dict[Any, int]
    parts: dict[Any, Fraction]
    goodwill: Fraction

    def kept(self, line: Any, price: Any) -> Fraction:
        """Return what is left of a line's price, before goodwill."""
        return Fraction(price) * (1 - self.parts[line.pk])

    def is_all(self, lines: Sequence[Any]) -> bool:
        """Return whether there are lines, and nothing is left of any."""
        return bool(lines) and all(self.parts[line.pk] == 1 for line in lines)


def find_returned(
    lines: Sequence[Any],
    *,
    gone: Collection[Any],
    returns: Iterable[Any],
    refunds: Iterable[Any],
) -> Returned:
    """
    Return what came back: for each line, the larger of returned and refunded.

    ``gone`` has the keys of lines that are cancelled as a whole, ``returns`` the
    shipping events of goods that came back, and ``refunds`` the payment events.

    A refund without lines often pays for goods that came back without a refund of their
    own. It is goodwill only as far as it exceeds their price.
    """
    returned = units_returned(lines, gone, returns)
    refunded = Refunded(lines, refunds)
    parts, unpaid = {}, Fraction(0)
    for line in lines:
        part = Fraction(returned[line.pk], line.quantity or 1)
        paid = min(refunded.parts[line.pk], Fraction(1))
        parts[line.pk] = max(part, paid)
        unpaid += (parts[line.pk] - paid) * Fraction(line.line_price_incl_tax)
    return Returned(
        units={
            line.pk: min(max(returned[line.pk], refunded.units[line.pk]), line.quantity)
            for line in lines
        },
        parts=parts,
        goodwill=max(refunded.goodwill - unpaid, Fraction(0)),
    )


def units_returned(
    lines: Sequence[Any], gone: Collection[Any], returns: Iterable[Any]
) -> dict[Any, int]:
    """Return how many units of each line came back, and not more than it holds."""
    counts: Counter[Any] = Counter()
    for event in returns:
        counts.update(quantities_of(event))
    return {
        line.pk: line.quantity
        if line.pk in gone
        else min(counts[line.pk], line.quantity)
        for line in lines
    }


class Refunded:
    """Add up the refunds of an order, by the keys of its lines."""

    def __init__(self, lines: Sequence[Any], refunds: Iterable[Any]) -> None:
        self.lines = {line.pk: line for line in lines}
        self.units: Counter[Any] = Counter()
        self.parts: defaultdict[Any, Fraction] = defaultdict(Fraction)
        self.goodwill = Fraction(0)
        for event in refunds:
            self.add(event)

    def add(self, event: Any) -> None:
        """Add a refund, which some shops record as a negative amount."""
        amount = abs(Fraction(event.amount))
        units = {
            self.lines[key]: quantity
            for key, quantity in quantities_of(event).items()
            if key in self.lines
        }
        if not units:
            self.goodwill += amount
            return
        part = paid_part(amount, units)
        for line, quantity in units.items():
            self.parts[line.pk] += part * quantity / (line.quantity or 1)
            if part == 1:
                self.units[line.pk] += quantity


def paid_part(amount: Fraction, units: dict[Any, int]) -> Fraction:
    """
    Return the part of its units' price that a refund pays back.

    It is 1 unless the amount is less than their price without tax: then the customer
    keeps them, for a lower price. The dashboard enters the price of whole lines, and so
    too much, unless the clerk enters an amount. An amount of 0 is not stated.
    """
    net, gross = (
        sum(
            Fraction(getattr(line, name)) * quantity / (line.quantity or 1)
            for line, quantity in units.items()
        )
        for name in ("line_price_excl_tax", "line_price_incl_tax")
    )
    return amount / gross if 0 < amount < net else Fraction(1)


def quantities_of(event: Any) -> dict[Any, int]:
    """Return how many units of which lines an event is about, by the lines' keys."""
    return {
        item.line_id: item.quantity
        for item in event.line_quantities.all()
        if item.quantity
    }
