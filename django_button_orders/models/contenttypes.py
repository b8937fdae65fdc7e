"""The types of models that rows refer to."""

from __future__ import annotations

from django.contrib.contenttypes.models import ContentType, ContentTypeManager
from django.db import models, router


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
