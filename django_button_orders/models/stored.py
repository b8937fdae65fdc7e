"""What a database holds for us: types of models, and dates in its own way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.models import ContentType, ContentTypeManager
from django.db import models, router
from django.utils import timezone


def content_types(using: str | None) -> ContentTypeManager:
    """Return the content types that the rows of a database refer to."""
    if using is None or not router.allow_migrate_model(using, ContentType):
        using = router.db_for_read(ContentType)
    return ContentType.objects.db_manager(using)


def model_of(
    content_type_id: int | None, using: str | None
) -> type[models.Model] | None:
    """Return the model of a content type, or None if it is gone."""
    if content_type_id is None:
        return None
    try:
        return content_types(using).get_for_id(content_type_id).model_class()
    except ContentType.DoesNotExist:
        return None


def as_aware(value: datetime | None) -> datetime | None:
    """Return a date as the database gave it, with the zone that it is in."""
    if value is None or settings.USE_TZ or timezone.is_aware(value):
        return value
    return timezone.make_aware(value)


def as_stored(value: Any) -> Any:
    """Return a value as the database takes it: the other way round."""
    if isinstance(value, datetime) and not settings.USE_TZ and timezone.is_aware(value):
        return timezone.make_naive(value)
    return value
