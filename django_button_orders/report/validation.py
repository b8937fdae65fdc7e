"""
The rules for single values: each cleaner returns the value, or raises an error.

The error is a ``ValidationError`` without the value, which may be personal or long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from django_button_orders.report.money import exponent

# A key of the shop, as its models have it. Button takes it as text.
Key = str | int | UUID

INT32_MAX = 2**31 - 1
# The most characters of an error, or of other unchecked text, that a row stores.
MAX_LENGTH = 2000
CHANNELS = ("app", "webview")
# In the path of a URL, these would name another resource.
RESERVED_ORDER_IDS = (".", "..", "btn-ref")

BTN_REF = re.compile(r"[A-Za-z0-9._~-]{1,255}")
PRINTABLE_ASCII = re.compile(r"[ -~]{1,255}")
SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
# Replaces a redacted e-mail address.
REDACTED_EMAIL = "[e-mail]"
EMAIL = re.compile(r"[^\s@](@|%40)[^\s@]")

Cleaner = Callable[[Any], Any]


def is_btn_ref(value: object) -> bool:
    """Return whether a value can be an attribution token."""
    return isinstance(value, str) and BTN_REF.fullmatch(value) is not None


def wrong_type(expected: str, value: object) -> ValidationError:
    """Return the error for a value of a wrong type."""
    return ValidationError(
        "Enter %(expected)s, not a value of type %(type)s.",
        code="type",
        params={"expected": expected, "type": type(value).__name__},
    )


def optional(clean: Cleaner, empty: object = "") -> Cleaner:
    """Return a cleaner that also accepts None and "", and turns them into ``empty``."""

    def clean_optional(value: Any) -> Any:
        return empty if value is None or value == "" else clean(value)

    return clean_optional


def clean_text(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type("text", value)
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise ValidationError("Enter text that is valid UTF-8.", code="utf8") from exc
    if "\0" in value:
        raise ValidationError("Enter text without null characters.", code="null")
    return value


def clean_key(value: Any) -> str:
    """Return a key as text: "5" for 5. Floats and booleans are no keys."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise wrong_type("text or an integer", value)
    # The keys of databases have up to 64 bits.
    if isinstance(value, int) and value.bit_length() <= 64:
        return f"{value:d}"
    return clean_text(value)


def clean_short_text(value: Any) -> str:
    return refuse_long(clean_text(value))


def clean_short_key(value: Any) -> str:
    return refuse_long(clean_key(value))


def refuse_long(text: str) -> str:
    if len(text) > 255:
        raise ValidationError("Enter at most 255 characters.", code="max_length")
    return text


def clean_required_text(value: Any) -> str:
    if value is None or value == "":
        raise ValidationError("This field is required.", code="required")
    return clean_text(value)


def clean_required_key(value: Any) -> str:
    return clean_required_text(value if value in (None, "") else clean_key(value))


def clean_order_id(value: Any) -> str:
    text = clean_required_key(value)
    if not PRINTABLE_ASCII.fullmatch(text):
        raise ValidationError(
            "Enter 1 to 255 printable ASCII characters.", code="order_id"
        )
    if text in RESERVED_ORDER_IDS:
        raise ValidationError(
            "Enter another ID: this one cannot be part of a URL.", code="order_id"
        )
    return text


def clean_btn_ref(value: Any) -> str:
    if not is_btn_ref(clean_text(value)):
        raise ValidationError(
            "Enter 1 to 255 URL-safe characters: A-Z a-z 0-9 . _ ~ -", code="btn_ref"
        )
    return str(value)


def integer(minimum: int, maximum: int = INT32_MAX) -> Cleaner:
    """Return a cleaner that accepts integers from ``minimum`` to ``maximum``."""

    def clean_integer(value: Any) -> int:
        if value is None:
            raise ValidationError("This field is required.", code="required")
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type("an integer", value)
        if not minimum <= value <= maximum:
            raise ValidationError(
                "Enter an integer from %(minimum)d to %(maximum)d.",
                code="range",
                params={"minimum": minimum, "maximum": maximum},
            )
        return value

    return clean_integer


def minor_units(minimum: int) -> Cleaner:
    """Return a cleaner for amounts, which are 32-bit integers in Button's API."""
    clean_integer = integer(minimum)

    def clean_minor_units(value: Any) -> int:
        try:
            return int(clean_integer(value))
        except ValidationError as exc:
            if exc.code == "range" and value > INT32_MAX:
                exc.message += " Button takes no larger amount of minor units."
            raise

    return clean_minor_units


def clean_currency(value: Any) -> str:
    """Return the ISO 4217 code of a currency that has minor units."""
    exponent(value)
    return str(value)


def clean_moment(value: Any) -> datetime:
    """Return a datetime in UTC. It must have a time zone."""
    if value is None:
        raise ValidationError("This field is required.", code="required")
    if not isinstance(value, datetime):
        raise wrong_type("a datetime", value)
    if value.utcoffset() is None:
        raise ValidationError("Enter a datetime with a time zone.", code="naive")
    try:
        return value.astimezone(timezone.utc)
    except OverflowError as exc:
        raise ValidationError("Enter a date that exists in UTC.", code="range") from exc


def clean_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong_type("True or False", value)
    return value


def clean_channel(value: Any) -> str:
    if value not in CHANNELS:
        raise ValidationError("Enter app or webview.", code="choice")
    return str(value)


def clean_personal_text(value: Any) -> str:
    """Return a text about a customer. It must hold no e-mail address."""
    return refuse_email(clean_short_text(value))


def clean_personal_key(value: Any) -> str:
    """Return a customer's key. It must hold no e-mail address."""
    return refuse_email(clean_short_key(value))


def has_email(text: str) -> bool:
    """Return whether a text contains an e-mail address."""
    return EMAIL.search(text) is not None


def refuse_email(text: str) -> str:
    if has_email(text) or REDACTED_EMAIL in text:
        raise ValidationError(
            "Do not enter an e-mail address here. Use Customer(email=...), "
            "which hashes it.",
            code="email",
        )
    return text


def clean_sha256(value: Any) -> str:
    text = clean_text(value)
    if not SHA256.fullmatch(text):
        raise ValidationError("Enter 64 hexadecimal digits.", code="sha256")
    return text.lower()


def clean_category(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise wrong_type("a list of texts", value)
    return tuple(clean_text(name) for name in value if name not in (None, ""))


def clean_attributes(value: Any) -> dict[str, str]:
    """Return a dict of texts, without the empty ones."""
    if not isinstance(value, Mapping):
        raise wrong_type("a dict of texts", value)
    return {
        clean_required_text(name): clean_text(text)
        for name, text in value.items()
        if text not in (None, "")
    }


def apply_cleaners(instance: Any, cleaners: Mapping[str, Cleaner]) -> None:
    """Clean the fields of a frozen instance. One error names all invalid fields."""
    errors: dict[str, ValidationError] = {}
    for name, clean in cleaners.items():
        try:
            object.__setattr__(instance, name, clean(getattr(instance, name)))
        except ValidationError as exc:
            errors[name] = exc
    if errors:
        raise ValidationError(errors)


def redact_email(text: str) -> str:
    """Return a text with each word replaced that contains an e-mail address."""
    return re.sub(
        r"\S+", lambda word: REDACTED_EMAIL if has_email(word[0]) else word[0], text
    )


def make_storable(text: str) -> str:
    """
    Return any text as every database can store it, without e-mail addresses.

    What is no UTF-8, and NUL, is escaped. The text is cut to ``MAX_LENGTH`` characters.
    """
    clean = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    return redact_email(clean)[:MAX_LENGTH]


def as_line(error: ValidationError) -> str:
    """Return an error as one line, such as "total: Enter an integer." """
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items()
    )
