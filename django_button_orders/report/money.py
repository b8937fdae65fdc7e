"""Money in minor units, exactly, by the exponents of ISO 4217."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from django.core.exceptions import ValidationError
from iso4217 import Currency


@cache
def exponents() -> dict[str, int]:
    return {
        currency.code: currency.exponent
        for currency in Currency
        if currency.exponent is not None
    }


def exponent(currency: str) -> int:
    """
    Return how many decimals a currency has: 2 for USD, 0 for JPY, 3 for KWD.

    Raises ``ValidationError`` for anything but a current ISO 4217 code in upper
    case that has minor units (gold has none).
    """
    known = exponents().get(currency) if isinstance(currency, str) else None
    if known is None:
        raise ValidationError(
            "Enter the ISO 4217 code of a currency, in upper case, such as USD.",
            code="currency",
        )
    return known


def to_minor_units(amount: Decimal | int, currency: str) -> int:
    """
    Return an amount in the smallest unit of its currency: 12.34 USD is 1234.

    Raises ``ValidationError`` instead of rounding when the amount has more
    decimals than the currency, and for floats, whose cents cannot be trusted.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise ValidationError(
            "Enter the amount as a Decimal, not as %(type)s.",
            code="amount",
            params={"type": type(amount).__name__},
        )
    decimals = exponent(currency)
    value = Decimal(amount)
    # Beyond thirty digits it is not money, and the arithmetic gets slow.
    if not value.is_finite() or (value and abs(value.adjusted()) > 30):
        raise ValidationError("Enter a finite amount of money.", code="amount")
    numerator, denominator = value.as_integer_ratio()
    units, fraction = divmod(numerator * 10**decimals, denominator)
    if fraction:
        raise ValidationError(
            "%(currency)s has %(decimals)d decimals, the amount has more.",
            code="amount",
            params={"currency": currency, "decimals": decimals},
        )
    return int(units)


def to_decimal(minor_units: int, currency: str) -> Decimal:
    """Return minor units as an amount: 1234 USD is 12.34."""
    return Decimal(minor_units).scaleb(-exponent(currency))


def in_major_units(minor_units: int | None, currency: str | None) -> Decimal | None:
    """Do so for what a row says, which may be nothing, or of no known currency."""
    try:
        return None if minor_units is None else to_decimal(minor_units, currency or "")
    except ValidationError:
        return None
