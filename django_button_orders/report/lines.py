"""Spread an amount over the lines of an order, such as a voucher for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from django_button_orders.report.money import require_minor_units
from django_button_orders.report.objects import LineItem, clean_line_item

Line = LineItem | Mapping[str, Any] | int


def spread(amount: int, over: Iterable[Line]) -> list[int]:
    """
    Return the share of each line in an amount, such as a voucher for the whole order.

    ``amount`` is an integer in minor units. ``over`` has the lines as ``OrderReport``
    takes them, or their totals as integers in minor units. The shares are integers in
    the same order. They sum to ``amount``, are proportional to the totals, and are
    never negative. No share exceeds its line, so subtract it from the line's total. A
    line of zero, or a negative one such as a discount, gets no share.

    Each share is rounded down. One minor unit is then added to the lines that lost most
    by rounding, and if several lost the same, to the first of them.

    Raises ``ValidationError`` if ``amount`` is negative or larger than the sum of the
    lines, and for amounts that are not integers.
    """
    require_minor_units(amount)
    totals = [total_of(at, line) for at, line in enumerate(over, start=1)]
    if not 0 <= amount <= max(sum(totals), 0):
        raise ValidationError(
            "An amount of %(amount)d cannot be spread over lines that sum to "
            "%(sum)d. Enter an amount from 0 to this sum, in minor units.",
            code="spread",
            params={"amount": amount, "sum": sum(totals)},
        )
    weights = [max(total, 0) for total in totals]
    whole = sum(weights) or 1
    shares = [amount * weight // whole for weight in weights]
    rests = [amount * weight % whole for weight in weights]
    # The rests sum to the missing units times ``whole``, and each is smaller. So more
    # lines have a rest than there are units, and one more does not exceed their total.
    largest = sorted(range(len(rests)), key=lambda at: -rests[at])
    for at in largest[: amount - sum(shares)]:
        shares[at] += 1
    return shares


def total_of(position: int, line: Line) -> int:
    """Return the total of a line in minor units. Errors name an invalid dict."""
    total = line
    if isinstance(line, LineItem | Mapping):
        total = clean_line_item(position, line).total  # type: ignore[assignment]  # cleaned
    require_minor_units(total)
    return total  # type: ignore[return-value]  # checked
