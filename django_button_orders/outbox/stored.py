"""
Find out whether an instance holds what the database keeps of it.

After a save, an instance may still hold an expression, such as ``F("paid") + 70``, or a
value that its field normalises, such as a UUID given as text. A hook that is asked
about such a value may raise, or give the order another id than the next save.

This runs in each save of the shop, so ``fields_of`` remembers for each field the types
whose values are always kept as they are. No deferred field is loaded.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from django import VERSION
from django.conf import settings
from django.db.models import DateTimeField, DecimalField, Field, Model
from django.utils.functional import Promise
from django.utils.timezone import is_aware

# The modules of the types that Django's own fields have in Python.
PLAIN = {"builtins", "datetime", "decimal", "uuid"}
# Newer versions read the generated fields again in each save.
KEEPS_OLD_RESULTS = VERSION < (6,)


def as_stored(instance: Model, *, using: str, is_new: bool = False) -> Model | None:
    """
    Return the instance, or one read anew if it holds what the database does not keep.

    Return None if it would have to be read anew, and is gone.
    """
    if is_as_stored(instance, is_new=is_new):
        return instance
    objects = type(instance)._base_manager.using(using)
    return objects.filter(pk=instance.pk).first()


def is_as_stored(instance: Model, *, is_new: bool = False) -> bool:
    """Return whether an instance holds only values that the database keeps as such."""
    values = instance.__dict__
    for name, field, usual in fields_of(type(instance)):
        value = values.get(name)
        if type(value) not in usual and not keeps(field, value, usual):
            return False
    return is_new or values.keys().isdisjoint(outdated_fields(type(instance)))


@cache
def fields_of(model: type[Model]) -> list[tuple[str, Field[Any, Any], set[type]]]:
    """Return the fields of a model, each with the types that it is known to keep."""
    return [
        (field.attname, field, {type(None)}) for field in model._meta.concrete_fields
    ]


@cache
def outdated_fields(model: type[Model]) -> frozenset[str]:
    """Return the generated fields, which show the result of an earlier save."""
    fields = model._meta.concrete_fields if KEEPS_OLD_RESULTS else []
    return frozenset(field.attname for field in fields if field.generated)


def is_expression(value: Any) -> bool:
    return hasattr(value, "resolve_expression")


def keeps(field: Field[Any, Any], value: Any, usual: set[type]) -> bool:
    """
    Return whether the database keeps a value of a field as it is.

    Add its type to ``usual`` if it keeps all values of that type.
    """
    if isinstance(value, Decimal) and isinstance(field, DecimalField):
        return has_room_for(field, value)
    if isinstance(value, datetime) and isinstance(field, DateTimeField):
        return is_read_as(value)
    if is_expression(value) or not is_normal(field, value):
        return False
    if type(field).to_python.__module__.startswith("django."):
        # A field of another package may also change one value and keep another.
        usual.add(type(value))
    return True


def is_read_as(value: datetime) -> bool:
    """Return whether Django reads a moment as it is: in UTC, or without a zone."""
    if not settings.USE_TZ:
        return not is_aware(value)
    # In another zone, it may have another date.
    return is_aware(value) and not value.utcoffset()


def has_room_for(field: DecimalField[Any, Any], value: Decimal) -> bool:
    """Return whether a value has no more decimal places than its field."""
    exponent, places = value.as_tuple().exponent, field.decimal_places
    return not isinstance(exponent, int) or places is None or exponent >= -places


def is_normal(field: Field[Any, Any], value: Any) -> bool:
    """Return whether a field leaves a value and its type as they are."""
    if isinstance(value, Enum):
        # The database keeps the value of a member, and its text may be the name.
        return str(value) == str(value.value)
    if type(value).__module__ not in PLAIN:
        # A field of another package has it, and may return it only when it is read.
        return not isinstance(value, Promise)
    try:
        cleaned = field.to_python(value)
        if cleaned != value:
            return False
    except Exception:  # noqa: BLE001 - the field does not take the value as it is
        return False
    # A whole number is as good as the Decimal or the float that it equals.
    return type(cleaned) is type(value) or (
        type(value) is int and isinstance(cleaned, (float, Decimal))
    )
