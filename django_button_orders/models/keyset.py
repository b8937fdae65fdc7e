"""Going through a table in the order of an index, from wherever one has stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Field, Model, Q, QuerySet


@dataclass(frozen=True, kw_only=True)
class Keyset:
    """
    Pages of a queryset by key, or by a date and key, so that the last page costs
    what the first does.

    ``names`` are those of fields, the last of which is unique; "-pk" begins with
    the newest. A position is the text of their values.
    """

    objects: QuerySet[Any]
    names: tuple[str, ...] = ("pk",)

    def page(self, position: str, size: int) -> list[Any]:
        """Return the objects that follow a position, or the first ones."""
        objects = self.objects.order_by(*self.names)
        if position:
            objects = objects.filter(self.following(position))
        return list(objects[:size])

    def position_of(self, item: Model) -> str:
        return json.dumps([field.value_to_string(item) for field in self.fields])

    def following(self, position: str) -> Q:
        texts = json.loads(position)
        *dates, key = (
            field.to_python(text)
            for field, text in zip(self.fields, texts, strict=True)
        )
        last = self.names[-1]
        beyond = Q(pk__lt=key) if last.startswith("-") else Q(pk__gt=key)
        if not dates:
            return beyond
        name = self.names[0]
        # The first condition is the one that an index on the date can serve.
        is_later = Q(**{f"{name}__gt": dates[0]}) | beyond
        return Q(**{f"{name}__gte": dates[0]}) & is_later

    @property
    def fields(self) -> list[Field[Any, Any]]:
        meta = self.objects.model._meta
        names = [name.removeprefix("-") for name in self.names]
        return [meta.pk if name == "pk" else meta.get_field(name) for name in names]
