"""
Read numbers as people and spreadsheets write them: "1,234.50", "1.234,50 €", "$12.50".

A number that can be read in two ways is refused: 7.000 is seven, or seven thousand.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from django.core.exceptions import ValidationError

from django_button_orders.report.money import exponents

SEPARATORS = (".", ",")
MINUS = "-\u2212"
NUMBER = re.compile(
    r"(?P<before>[^0-9]*?)(?P<number>[.,]?[0-9](?:[0-9.,'\u2019\s]*[0-9.,])?)"
    r"(?P<after>[^0-9]*)",
    re.DOTALL,
)
# Between thousands: spaces of all kinds, and the apostrophe of Switzerland.
SPACE = re.compile(r"(?<=[0-9])[\s'\u2019](?=[0-9]{3}(?![0-9]))")
# These signs mean one currency. Others, such as $ and £, mean several.
SIGNS = {
    "€": "EUR",
    "R$": "BRL",
    "₩": "KRW",
    "₪": "ILS",
    "₫": "VND",
    "₱": "PHP",
    "₴": "UAH",
    "₹": "INR",
    "₺": "TRY",
    "₽": "RUB",
    "฿": "THB",
}
AMBIGUOUS = (
    "The decimal separator is not clear. Set --decimal-separator . or "
    "--decimal-separator ,"
)


def parse_amount(text: str, *, currency: str, separator: str = "") -> Decimal:
    """
    Return an amount of money, which may have its currency before or after it.

    ``separator`` stands before the decimals. If it is "", the amount has to tell.
    """
    match = NUMBER.fullmatch(text)
    if match is None:
        raise ValidationError("Enter an amount such as 12.34.")
    before, after = match["before"].strip(), match["after"].strip()
    words = re.sub(f"[{MINUS}+]", "", before, count=1).strip()
    if (words and after) or not is_name_of(words or after, currency):
        raise ValidationError(
            "Enter an amount such as 12.34, in the currency of the order."
        )
    decimals = exponents().get(currency, 2)
    amount = parse_number(match["number"], separator=separator, decimals=decimals)
    is_negative = any(sign in before for sign in MINUS)
    return amount.copy_negate() if is_negative else amount


def is_name_of(word: str, currency: str) -> bool:
    """Return whether an amount in a currency may have this before or after it."""
    if word in ("", currency):
        return True
    if word in SIGNS:
        return SIGNS[word] == currency
    # "$", and also "US$" and "C$".
    is_sign = unicodedata.category(word[-1]) == "Sc"
    return is_sign and currency.startswith(word[:-1])


def parse_integer(text: str, *, separator: str = "") -> int:
    """Return an integer, which may have decimals that are all zero."""
    if re.fullmatch("-?[0-9]{1,9}", text):
        return int(text)
    if not re.fullmatch(r"-?[0-9][0-9.,'\u2019\s]{0,30}", text):
        raise ValidationError("Enter an integer.")
    number = parse_number(text.removeprefix("-"), separator=separator)
    if number != int(number):
        raise ValidationError("Enter an integer.")
    return -int(number) if text.startswith("-") else int(number)


def parse_number(text: str, *, separator: str, decimals: int = 2) -> Decimal:
    """Return a number without a sign that has so many decimals, as a rule."""
    digits = SPACE.sub("", text)
    if not separator:
        has_groups = digits != text
        separator = find_separator(digits, has_groups=has_groups, decimals=decimals)
    whole, _, fraction = digits.partition(separator)
    group = other(separator)
    # India groups by two digits above the thousand.
    grouped = rf"[0-9]{{1,3}}(\{group}[0-9]{{2,3}})*\{group}[0-9]{{3}}"
    if not re.fullmatch(rf"[0-9]*|{grouped}", whole) or not re.fullmatch(
        "[0-9]*", fraction
    ):
        raise ValidationError(f"Enter an amount such as 12{separator}34.")
    return Decimal(f"{whole.replace(group, '') or 0}.{fraction or 0}")


def find_separator(digits: str, *, has_groups: bool, decimals: int) -> str:
    """Return what stands before the decimals. Raises ``ValidationError``."""
    used = [char for char in digits if char in SEPARATORS]
    if len(used) != 1:
        # The last of two is for decimals. More of the same are all for thousands.
        is_group = len(used) > 1 and len(set(used)) == 1
        last = used[-1] if used else "."
        return other(last) if is_group else last
    whole, _, fraction = digits.partition(used[0])
    may_be_group = len(fraction) == 3 and re.fullmatch("[1-9][0-9]{0,2}", whole)
    # Currencies with three decimals are written so: 12.345 KWD.
    is_usual = decimals == 3 and used[0] == "."
    if may_be_group and not has_groups and not is_usual:
        raise ValidationError(AMBIGUOUS)
    return used[0]


def other(separator: str) -> str:
    return "," if separator == "." else "."
