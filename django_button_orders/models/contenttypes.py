"""
Find the content types by which rows refer to the shop's order models.

A database with rows may have content types of its own, with other keys.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.contenttypes.models import ContentType, ContentTypeManager
from django.db import models, router


def content_types(using: str | None) -> ContentTypeManager:
    """Return the manager of the content types that a database's rows refer to."""
    if using is None or not has_content_types(using, tuple(router.routers)):
        using = router.db_for_read(ContentType)
    return content_types_in(using)


# Each save of the shop needs the type of its order, so the answers are remembered.
@cache
def has_content_types(using: str, routers: tuple[Any, ...]) -> bool:
    """Return whether a database has content types, with these database routers."""
    return router.allow_migrate_model(using, ContentType)


@cache
def content_types_in(using: str) -> ContentTypeManager:
    """Return the manager for a database, which shares its cache with all others."""
    return ContentType.objects.db_manager(using)


def content_type_of(model: type[models.Model], using: str | None) -> ContentType:
    """Return the content type by which a database's rows refer to a model's orders."""
    # A proxy may have an adapter, where the model that it stands for has none.
    return content_types(using).get_for_model(model, for_concrete_model=False)


def model_of(
    content_type_id: int | None, using: str | None
) -> type[models.Model] | None:
    """Return the model of a content type, or None if either does not exist."""
    if content_type_id is None:
        return None
    try:
        return content_types(using).get_for_id(content_type_id).model_class()
    except ContentType.DoesNotExist:
        return None
