"""Convert amounts of money to minor units and back, exactly, by ISO 4217."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from django.core.exceptions import ValidationError
from iso4217 import Currency


@cache
def exponents() -> dict[str, int]:
    """Return the number of decimals of each currency that has minor units."""
    return {
        currency.code: currency.exponent
        for currency in Currency
        if currency.exponent is not None
    }


def exponent(currency: str) -> int:
    """
    Return the number of decimals of a currency: 2 for USD, 0 for JPY, 3 for KWD.

    Raises ``ValidationError`` for anything but a current ISO 4217 code in upper case,
    and for codes without minor units, such as gold.
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
    Return an amount in minor units: 1234 for 12.34 USD.

    Raises ``ValidationError`` if the amount has more decimals than the currency, and
    for floats, which cannot store most amounts exactly. It never rounds.
    """
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise ValidationError(
            "Enter the amount as a Decimal, not as %(type)s.",
            code="amount",
            params={"type": type(amount).__name__},
        )
    decimals = exponent(currency)
    value = Decimal(amount)
    # An amount of over thirty digits is a mistake, and its arithmetic would be slow.
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
    """Return minor units as an amount in major units: 12.34 for 1234 and USD."""
    return Decimal(minor_units).scaleb(-exponent(currency))


def in_major_units(minor_units: int | None, currency: str | None) -> Decimal | None:
    """Return a row's amount in major units, or None without a valid currency."""
    try:
        return None if minor_units is None else to_decimal(minor_units, currency or "")
    except ValidationError:
        return None
