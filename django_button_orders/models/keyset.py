"""
Paging by key: each page is a query that starts where the last page ended.

So the last page costs what the first does, no transaction stays open between two
pages, and no object comes twice, even if the caller changes the objects meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Field, Model, Q, QuerySet


@dataclass(frozen=True)
class Keyset:
    """
    Pages of a queryset in the order of an index::

        for orders in Keyset(rows).pages(500): ...
        for pks in Keyset(submissions, ("started_at", "pk")).key_pages(500): ...

    ``names`` are one or two fields: a primary key, which "-pk" sorts newest first,
    and before it, if wanted, a date. The queryset may also yield named values, such
    as ``rows.values_list("pk", "total", named=True)``, if ``names`` are among them.

    To stop and resume later, store the text of ``position_of(page[-1])``, and get
    the next page from ``page(position, size)``.
    """

    objects: QuerySet[Any, Any]
    names: tuple[str, ...] = ("pk",)

    def pages(self, size: int, *, limit: int | None = None) -> Iterator[list[Any]]:
        """Yield lists of up to ``size`` objects, ``limit`` objects in all."""
        following = self.objects.order_by(*self.names)
        while limit is None or limit > 0:
            wanted = size if limit is None else min(size, limit)
            page = list(following[:wanted])
            if page:
                yield page
            if len(page) < wanted:
                return
            following = self.following([getattr(page[-1], key) for key in self.keys])
            limit = None if limit is None else limit - wanted

    def key_pages(self, size: int, *, limit: int | None = None) -> Iterator[list[Any]]:
        """Yield lists of up to ``size`` primary keys, ``limit`` keys in all."""
        keys = self.objects.values_list(*self.keys, named=True)
        for page in replace(self, objects=keys).pages(size, limit=limit):
            yield [row.pk for row in page]

    def page(self, position: str, size: int) -> list[Any]:
        """Return up to ``size`` objects after a position, or the first if it is ""."""
        return list(self.after(position)[:size])

    def after(self, position: str) -> QuerySet[Any, Any]:
        """Return the queryset of the objects after a position, in order."""
        if not position:
            return self.objects.order_by(*self.names)
        return self.following(self.values_at(position))

    def position_of(self, item: Model) -> str:
        """Return a model instance's position as a text that can be stored."""
        return json.dumps([field.value_to_string(item) for field in self.fields])

    def values_at(self, position: str) -> list[Any]:
        """Return the values of ``names`` that a position stands for."""
        texts = json.loads(position)
        return [
            field.to_python(text)
            for field, text in zip(self.fields, texts, strict=True)
        ]

    def following(self, values: Sequence[Any]) -> QuerySet[Any, Any]:
        """Return the queryset of the objects after these values, in order."""
        ordered = self.objects.order_by(*self.names)
        *dates, key = values
        is_descending = self.names[-1].startswith("-")
        beyond = Q(pk__lt=key) if is_descending else Q(pk__gt=key)
        if not dates:
            return ordered.filter(beyond)
        name = self.names[0]
        is_later = Q(**{f"{name}__gt": dates[0]}) | beyond
        # An index on the date can serve only the first of these conditions.
        return ordered.filter(Q(**{f"{name}__gte": dates[0]}) & is_later)

    @property
    def keys(self) -> list[str]:
        return [name.removeprefix("-") for name in self.names]

    @property
    def fields(self) -> list[Field[Any, Any]]:
        meta = self.objects.model._meta
        return [meta.pk if key == "pk" else meta.get_field(key) for key in self.keys]
