"""Model fields that refuse what Django would quietly convert."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils import timezone

from django_button_orders.cleaners import clean_text

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


class MinorUnitsField(IntegerBase):
    """An amount of money in minor units. 12.5 is a mistake, not 12."""

    def to_python(self, value: Any) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int | str | None):
            raise self.refused(value)
        converted: int | None = super().to_python(value)
        return converted

    def get_prep_value(self, value: Any) -> int | None:
        if isinstance(value, bool | float | Decimal):
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

    def get_prep_value(self, value: Any) -> Any:
        value = self.to_python(value)
        if settings.USE_TZ and isinstance(value, datetime) and timezone.is_naive(value):
            error = ValidationError("Enter a date with a time zone.", code="naive")
            raise ValidationError({self.name: [error]})
        return super().get_prep_value(value)


class StrictJSONField(JSONBase):
    """
    JSON that every database stores alike: no NaN, NUL or lone surrogates.

    Value objects with an ``as_dict()`` are stored as what it returns.
    """

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if isinstance(value, list | tuple):
            value = [as_plain(item) for item in value]
        value = as_plain(value)
        try:
            encoded = json.dumps(value, allow_nan=False, ensure_ascii=False)
            encoded.encode()
        except (TypeError, ValueError, RecursionError) as exc:
            raise self.refused() from exc
        if "\\u0000" in encoded:
            raise self.refused()
        return super().get_db_prep_save(value, connection)

    def refused(self) -> ValidationError:
        error = ValidationError("Enter values that JSON can carry.", code="json")
        return ValidationError({self.name: [error]})


def as_plain(value: Any) -> Any:
    return value.as_dict() if hasattr(value, "as_dict") else value
