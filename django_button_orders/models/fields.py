"""Model fields that refuse what Django would quietly convert."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from numbers import Number
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models

from django_button_orders.report.validation import (
    clean_moment,
    clean_text,
    redact_email,
)

if TYPE_CHECKING:
    IntegerBase = models.BigIntegerField[int | None, int | None]
    DateTimeBase = models.DateTimeField[datetime | None, datetime | None]
    JSONBase = models.JSONField[Any, Any]
else:
    IntegerBase = models.BigIntegerField
    DateTimeBase = models.DateTimeField
    JSONBase = models.JSONField


class StrictCharField(models.CharField):  # type: ignore[type-arg]  # null or not
    """
    Text that fits its column, in every database.

    Refused before the database sees it: an error of the database's own would
    break the shop's transaction, and some databases would cut the text.
    """

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, str):
            try:
                clean_text(value)
                MaxLengthValidator(self.max_length)(value)
            except ValidationError as exc:
                raise ValidationError({self.name: exc}) from exc
        return super().get_db_prep_save(value, connection)


class ExactCharField(StrictCharField):
    """
    Text that is the same only if all of it is the same, in every database.

    MySQL would take "aB1" for "Ab1", and the one order for the other.
    """

    def db_parameters(self, connection: Any) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "mysql":
            # These two count the spaces at the end, too.
            is_maria = connection.mysql_is_mariadb
            exact = "utf8mb4_nopad_bin" if is_maria else "utf8mb4_0900_bin"
            return {**parameters, "collation": exact}
        return parameters


class MinorUnitsField(IntegerBase):
    """An amount of money in minor units. 12.5 is a mistake, not 12."""

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

    def refused(self, value: object) -> ValidationError:
        message = "Enter an integer of minor units, not a value of type %(type)s."
        return ValidationError(
            message, code="type", params={"type": type(value).__name__}
        )


class AwareDateTimeField(DateTimeBase):
    """A moment. Without a time zone it could be any of twenty-five hours."""

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, date | str) and settings.USE_TZ:
            try:
                # Django would take a day for the midnight that it begins with.
                moment = self.to_python(value) if isinstance(value, str) else value
                clean_moment(moment)
            except ValidationError as exc:
                raise ValidationError({self.name: exc}) from exc
        return super().get_db_prep_save(value, connection)


class StrictJSONField(JSONBase):
    """
    JSON that every database stores alike: no NaN, NUL or lone surrogates.

    Value objects with an ``as_dict()`` are stored as what it returns.
    """

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            return super().get_db_prep_save(value, connection)
        if isinstance(value, list | tuple):
            value = [as_plain(item) for item in value]
        value = as_plain(value)
        if not is_storable(value):
            error = ValidationError("Enter values that JSON can carry.", code="json")
            raise ValidationError({self.name: error})
        return super().get_db_prep_save(value, connection)


class PersonalJSONField(StrictJSONField):
    """
    JSON about a person, of whom no e-mail address is kept.

    An address in there makes no valid report, and its row says so: what is
    wanted is its hash. But until someone reads that, it is not to lie around.
    """

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if not hasattr(value, "resolve_expression"):
            value = without_addresses(as_plain(value))
        return super().get_db_prep_save(value, connection)


def without_addresses(value: Any) -> Any:
    if isinstance(value, str):
        return redact_email(value)
    if isinstance(value, list | tuple):
        return [without_addresses(item) for item in value]
    if isinstance(value, dict):
        return {
            without_addresses(key): without_addresses(item)
            for key, item in value.items()
        }
    return value


def as_plain(value: Any) -> Any:
    return value.as_dict() if hasattr(value, "as_dict") else value


def is_storable(value: Any) -> bool:
    try:
        encoded = json.dumps(value, allow_nan=False, ensure_ascii=False)
        encoded.encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return NULL_CHARACTER.search(encoded) is None


# An escape, not the end of an escaped backslash.
NULL_CHARACTER = re.compile(r"(?<!\\)(\\\\)*\\u0000")
