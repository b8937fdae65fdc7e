"""Model fields that refuse values which Django or a database would silently change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from numbers import Number
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils import timezone as django_timezone
from django.utils.functional import Promise

from django_button_orders.models.encoding import (
    UNICODE,
    as_stored_json,
    escape,
    json_encoding,
    map_texts,
    unescape_json,
)
from django_button_orders.report.validation import (
    clean_key,
    clean_moment,
    clean_text,
    redact_email,
    wrong_type,
)

if TYPE_CHECKING:
    IntegerBase = models.BigIntegerField[int | None, int | None]
    DateTimeBase = models.DateTimeField[Any, Any]
    JSONBase = models.JSONField[Any, Any]
    TextBase = models.Field[Any, Any]
else:
    IntegerBase = models.BigIntegerField
    DateTimeBase = models.DateTimeField
    JSONBase = models.JSONField
    TextBase = object


class TextMixin(TextBase):
    """
    Text in the characters of all languages, which is compared byte by byte.

    In MySQL the column has its own charset and collation, because the shop's may have
    only some characters, and ignore case: order "aB1" would be order "Ab1". Where a
    database still cannot store a character, it is stored and searched for as an escape.
    """

    def db_parameters(self, connection: Any) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            # Both collations also compare trailing spaces.
            is_maria = connection.mysql_is_mariadb
            exact = "utf8mb4_nopad_bin" if is_maria else "utf8mb4_0900_bin"
            return {**parameters, "collation": exact}
        return parameters

    def get_db_prep_value(
        self, value: Any, connection: Any, prepared: bool = False
    ) -> Any:
        value = super().get_db_prep_value(value, connection, prepared)
        return escape(value, connection) if isinstance(value, str) else value


class AnyTextField(TextMixin, models.TextField):  # type: ignore[type-arg]  # as Django's are at run time
    """Text that others say: errors, answers and notes. None of it is ever refused."""


class StrictCharField(TextMixin, models.CharField):  # type: ignore[type-arg]  # as Django's are at run time
    """
    Text that fits its column in every database.

    What is no text, or does not fit, is refused in Python, because an error in the
    database would break the shop's transaction, and some databases would cut the text.
    """

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        # Django would make a text of anything: "['a']" of a list.
        value = None if value is None else self.clean_type(value)
        return super().clean(value, model_instance)

    def clean_type(self, value: Any) -> str:
        """Return a value of a known type as text. Raises ``ValidationError``."""
        return clean_text(str(value) if isinstance(value, Promise) else value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if not hasattr(value, "resolve_expression"):
            with naming(self):
                value = self.clean_for(value, connection)
        return super().get_db_prep_save(value, connection)

    def clean_for(self, value: Any, connection: Any) -> str | None:
        """Return a text that a database can store. Raises ``ValidationError``."""
        if value is None and self.null:
            return None
        if value is None:
            raise ValidationError("This field is required.", code="required")
        text = self.clean_type(value)
        MaxLengthValidator(self.max_length)(text)
        if escape(text, connection) != text:
            raise ValidationError(
                "Enter text in the characters of the database's encoding.",
                code="encoding",
            )
        return text


class ExactCharField(StrictCharField):
    """A key of the shop's, which may be an integer or a UUID there."""

    def clean_type(self, value: Any) -> str:
        is_text = isinstance(value, Promise)
        return super().clean_type(value if is_text else clean_key(value))


class MinorUnitsField(IntegerBase):
    """An amount of money in minor units. It refuses 12.5 instead of storing 12."""

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int | str | None):
            raise self.refused(value)
        converted: int | None = super().to_python(value)
        return converted

    def get_prep_value(self, value: Any) -> int | None:
        if isinstance(value, bool) or (
            isinstance(value, Number) and not isinstance(value, int)
        ):
            raise ValidationError({self.name: self.refused(value)})
        converted: int | None = super().get_prep_value(value)
        return converted

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if not hasattr(value, "resolve_expression"):
            with naming(self):
                value = self.to_python(value)
                if value is not None and not -LIMIT <= value < LIMIT:
                    raise ValidationError("Enter a smaller amount.", code="range")
        return super().get_db_prep_save(value, connection)

    def refused(self, value: object) -> ValidationError:
        message = "Enter an integer of minor units, not a value of type %(type)s."
        return ValidationError(
            message, code="type", params={"type": type(value).__name__}
        )


class AwareDateTimeField(DateTimeBase):
    """
    A date and time, which is stored in UTC, also without ``USE_TZ``.

    With ``USE_TZ``, it refuses one without a time zone instead of guessing it. Without,
    its values are local times, as Django's are. Those would be stored as they are, and
    name two moments in an hour of each autumn; leases would end an hour too early in
    spring. A local time that was read knows by ``fold`` which of two moments it is.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if value is None or connection.vendor == "postgresql":
            return value
        # Django takes it for a time in the zone of the database's settings.
        return as_stored(value.replace(tzinfo=timezone.utc))

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        if not isinstance(value, date | str | None):
            raise wrong_type("a datetime", value)
        return super().clean(value, model_instance)

    def get_prep_value(self, value: Any) -> Any:
        is_known = isinstance(value, date | str | None)
        if not is_known and not hasattr(value, "resolve_expression"):
            raise ValidationError({self.name: wrong_type("a datetime", value)})
        return super().get_prep_value(as_stored(value))

    def get_db_prep_value(
        self, value: Any, connection: Any, prepared: bool = False
    ) -> Any:
        if not prepared:
            value = self.get_prep_value(value)
        if isinstance(value, datetime):
            value = as_aware(value)
            if connection.vendor != "postgresql":
                value = value.astimezone(timezone.utc).replace(tzinfo=None)
        return super().get_db_prep_value(value, connection, prepared=True)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        # Operators set the app's own columns by hand, as Django lets them.
        if isinstance(value, date | str) and self.editable:
            with naming(self):
                # Django would convert a date without a time to midnight.
                moment = self.to_python(value) if isinstance(value, str) else value
                clean_moment(as_aware(moment))
        return super().get_db_prep_save(value, connection)


def as_aware(value: Any) -> Any:
    """Return the moment, in UTC, of a local time in a project without ``USE_TZ``."""
    if not isinstance(value, datetime) or settings.USE_TZ or value.tzinfo:
        return value
    local = value.replace(tzinfo=django_timezone.get_default_timezone())
    try:
        # To Python, a time of the hour that comes twice equals no time of another zone.
        return local.astimezone(timezone.utc)
    except OverflowError:
        # The last hours of the calendar: who stores the date says what is wrong.
        return local


def as_stored(value: Any) -> Any:
    """Return a moment as Django has it: as a local time where ``USE_TZ`` is false."""
    if not isinstance(value, datetime) or settings.USE_TZ or not value.tzinfo:
        return value
    return django_timezone.make_naive(value, django_timezone.get_default_timezone())


class StrictJSONField(JSONBase):
    """
    JSON that every database can store: without NaN, NUL and lone surrogates.

    Objects that have ``as_dict()`` are stored as the dict that it returns. A PostgreSQL
    database of another encoding than UTF-8 gets escapes for the characters that it does
    not have, and whoever reads the field gets the characters.
    """

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if not hasattr(value, "resolve_expression"):
            with naming(self):
                value = as_stored_json(self.as_json(value), connection)
        return super().get_db_prep_save(value, connection)

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        # Django encodes the value, which need not come to an end.
        super().validate(self.as_json(value), model_instance)

    def as_json(self, value: Any) -> Any:
        """Return a value as JSON. Raises ``ValidationError`` for what JSON lacks."""
        if isinstance(value, list | tuple):
            value = [as_plain(item) for item in value]
        value = as_plain(value)
        if not is_storable(value):
            raise ValidationError("Enter values that JSON can represent.", code="json")
        return value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        has_escapes = isinstance(value, str) and "\\\\" in value
        value = super().from_db_value(value, expression, connection)
        if has_escapes and json_encoding(connection) != UNICODE:
            return unescape_json(value)
        return value


class PersonalJSONField(StrictJSONField):
    """
    JSON about a person, without e-mail addresses.

    An address makes the report invalid, and the row fails with the advice to send its
    hash. Until somebody reads that, the address must not be stored, so it is redacted.
    """

    def as_json(self, value: Any) -> Any:
        return without_addresses(super().as_json(value))


def without_addresses(value: Any) -> Any:
    """Return a JSON value with the e-mail addresses in it redacted."""
    if isinstance(value, str):
        return redact_email(value)
    return map_texts(without_addresses, value)


def as_plain(value: Any) -> Any:
    return value.as_dict() if hasattr(value, "as_dict") else value


def is_storable(value: Any) -> bool:
    """Return whether every database can store a JSON value."""
    if is_deeper(value, MAX_DEPTH):
        return False
    try:
        encoded = json.dumps(value, allow_nan=False, ensure_ascii=False)
        encoded.encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return NULL_CHARACTER.search(encoded) is None


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether lists and dicts lie within each other at more levels."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return levels == 0 or any(is_deeper(item, levels - 1) for item in value)


@contextmanager
def naming(field: models.Field[Any, Any]) -> Iterator[None]:
    """Name the field in a ``ValidationError`` that is raised within."""
    try:
        yield
    except ValidationError as exc:
        raise ValidationError({field.name: exc}) from exc


# MariaDB takes JSON of up to 32 levels for none.
MAX_DEPTH = 30
# A column has signed integers of 64 bits.
LIMIT = 2**63
# NUL in encoded JSON. An escaped backslash before "u0000" is no NUL.
NULL_CHARACTER = re.compile(r"(?<!\\)(\\\\)*\\u0000")
