"""Convert amounts of money to minor units and back, exactly, by ISO 4217."""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from functools import cache

from django.core.exceptions import ValidationError
from iso4217 import Currency

# Currencies that are no more: old orders in them are still updated and backfilled. The
# codes are from list three of ISO 4217 ("codes for historic denominations"), as far as
# they were withdrawn since 2003. The list has no decimals: these are the ones that the
# currencies had in list one.
WITHDRAWN = {
    0: "BYR MGF TRL",
    2: (
        "AFA ANG AZM BGL BGN CSD CUC CYP EEK GHC HRK LTL LVL MRO MTL MZM ROL RUR SDD "
        "SIT SKK SLL SRG STD TMM VEB VEF YUM ZMK ZWD ZWL ZWN ZWR"
    ),
}
ROUNDINGS = sorted(name for name in vars(decimal) if name.startswith("ROUND_"))
# The digits of an amount: thirty, and the decimals of any currency.
DIGITS = decimal.Context(prec=40)
# Rounds a quotient such that rounding it again gives what rounding once would give.
QUOTIENT = decimal.Context(prec=60, rounding=decimal.ROUND_05UP)


@cache
def exponents() -> dict[str, int]:
    """Return the number of decimals of each currency that has or had minor units."""
    withdrawn = {
        code: decimals
        for decimals, codes in WITHDRAWN.items()
        for code in codes.split()
    }
    current = {
        currency.code: currency.exponent
        for currency in Currency
        if currency.exponent is not None
    }
    return withdrawn | current


def exponent(currency: str) -> int:
    """
    Return the number of decimals of a currency: 2 for USD, 0 for JPY, 3 for KWD.

    Raises ``ValidationError`` for anything but an ISO 4217 code in upper case, and for
    codes without minor units, such as gold. A currency may have been withdrawn since
    2003, as its orders may still change.
    """
    known = exponents().get(currency) if isinstance(currency, str) else None
    if known is None:
        raise ValidationError(
            "Enter the ISO 4217 code of a currency, in upper case, such as USD"
            "%(instead)s.",
            code="currency",
            params={"instead": describe(currency)},
        )
    return known


def describe(currency: object) -> str:
    """Return ", not 'ZZZ'", but without what may be a customer's data."""
    if currency in (None, ""):
        return ""
    if not isinstance(currency, str):
        return f", not a value of type {type(currency).__name__}"
    if re.fullmatch(r"[^\s@]{1,8}", currency):
        return f", not {currency!r}"
    return f", not a text of {len(currency)} characters"


def to_minor_units(
    amount: Decimal | int, currency: str, *, rounding: str | None = None
) -> int:
    """
    Return an amount in minor units by ISO 4217: 1234 for 12.34 USD, 1234 for 1234 JPY.

    ``rounding`` is a constant of ``decimal`` such as ``decimal.ROUND_HALF_UP``. It
    rounds an amount that has more decimals than the currency.

    Raises ``ValidationError`` in three cases: if an amount has too many decimals and
    there is no ``rounding``, if the currency is unknown, or if the amount is a float. A
    float cannot store most amounts exactly.
    """
    if rounding is not None:
        refuse_unknown_rounding(rounding)
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        raise ValidationError(
            "Enter the amount as a Decimal, not as %(type)s.",
            code="amount",
            params={"type": type(amount).__name__},
        )
    try:
        decimals = exponent(currency)
    except ValidationError as exc:
        raise ValidationError({"currency": exc}) from exc
    value = Decimal(amount)
    # An amount of over thirty digits is a mistake, and its arithmetic would be slow.
    if not value.is_finite() or (value and abs(value.adjusted()) > 30):
        raise ValidationError("Enter a finite amount of money.", code="amount")
    if rounding is not None:
        smallest = Decimal(1).scaleb(-decimals)
        value = value.quantize(smallest, rounding, context=DIGITS)
    numerator, denominator = value.as_integer_ratio()
    units, fraction = divmod(numerator * 10**decimals, denominator)
    if fraction:
        raise ValidationError(
            "Amounts in %(currency)s can have at most %(decimals)d decimal "
            "places. Round the amount first (in Python: rounding=).",
            code="amount",
            params={"currency": currency, "decimals": decimals},
        )
    return int(units)


def net_of(
    gross: int,
    tax_rate: Decimal | str | int | None = None,
    *,
    tax: int | None = None,
    rounding: str = decimal.ROUND_HALF_UP,
) -> int:
    """
    Return a price without its tax, in minor units: 1000 for 1190 and a rate of 0.19.

    ``gross`` is the price with tax, in minor units. It is negative for a discount.
    Enter either ``tax_rate`` or ``tax``. ``tax_rate`` is a fraction, such as
    ``Decimal("0.19")`` or ``"0.19"`` for 19 %. ``tax`` is the amount of the tax that
    ``gross`` contains, in minor units.

    ``rounding`` is a constant of ``decimal``. By default, half a minor unit is rounded
    away from zero, which is the commercial way.

    Raises ``ValidationError`` for a tax rate below 0 or from 1 on, for a tax that is
    larger than the price, for a float, and if there is not exactly one of ``tax_rate``
    and ``tax``.
    """
    refuse_unknown_rounding(rounding)
    require_minor_units(gross)
    if (tax_rate is None) == (tax is None):
        raise ValidationError("Enter either tax_rate or tax.", code="tax")
    if tax is not None:
        return gross - clean_tax(tax, gross)
    divisor = QUOTIENT.add(1, clean_tax_rate(tax_rate))
    net = QUOTIENT.divide(gross, divisor)
    return int(net.quantize(Decimal(1), rounding, QUOTIENT))


def clean_tax(tax: int, gross: int) -> int:
    """Return the amount of a tax. It must be a part of the price."""
    require_minor_units(tax)
    if not min(gross, 0) <= tax <= max(gross, 0):
        raise ValidationError(
            "The tax must be a part of the price: an amount from 0 to %(gross)d.",
            code="tax",
            params={"gross": gross},
        )
    return tax


def clean_tax_rate(tax_rate: object) -> Decimal:
    """Return a tax rate as a fraction from 0 on and below 1."""
    if isinstance(tax_rate, bool) or not isinstance(tax_rate, Decimal | str | int):
        raise ValidationError(
            "Enter the tax rate as a Decimal or a text, not as %(type)s.",
            code="tax_rate",
            params={"type": type(tax_rate).__name__},
        )
    try:
        rate = Decimal(tax_rate)
    except decimal.InvalidOperation:
        rate = Decimal("NaN")
    if not rate.is_finite() or not 0 <= rate < 1:
        raise ValidationError(
            "Enter the tax rate as a fraction from 0 to below 1: 0.19 for 19 %.",
            code="tax_rate",
        )
    return rate


def refuse_unknown_rounding(rounding: str) -> None:
    if rounding not in ROUNDINGS:
        raise ValidationError(
            "rounding must be None or a constant of decimal (%(known)s).",
            code="rounding",
            params={"known": ", ".join(ROUNDINGS)},
        )


def require_minor_units(minor_units: object) -> None:
    """Raise ``ValidationError`` for anything but an integer of plausible size."""
    if isinstance(minor_units, bool) or not isinstance(minor_units, int):
        raise ValidationError(
            "Enter the amount as an integer in minor units, not as %(type)s. In "
            "Python, to_minor_units() converts a Decimal.",
            code="amount",
            params={"type": type(minor_units).__name__},
        )
    if abs(minor_units) >= 10**30:
        raise ValidationError("Enter a finite amount of money.", code="amount")


def to_decimal(minor_units: int, currency: str) -> Decimal:
    """Return minor units as an amount in major units: 12.34 for 1234 and USD."""
    return Decimal(minor_units).scaleb(-exponent(currency))


def in_major_units(minor_units: int | None, currency: str | None) -> Decimal | None:
    """Return a row's amount in major units, or None without a valid currency."""
    try:
        return None if minor_units is None else to_decimal(minor_units, currency or "")
    except ValidationError:
        return None
