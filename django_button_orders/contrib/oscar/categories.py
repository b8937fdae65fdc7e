"""Read the categories of products with the names of the categories above them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet


class CategoriesWithPath(QuerySet[Any]):
    """
    Categories that know their path. Use it to prefetch.

    Oscar asks the database for the path of each category. This takes one query for the
    names of all categories that are above those it reads.
    """

    def __iter__(self) -> Iterator[Any]:
        categories = list(super().__iter__())
        # Each product gets such a queryset, with categories that were read before.
        self.add_paths(
            [item for item in categories if not hasattr(item, "names_of_path")]
        )
        return iter(categories)

    def add_paths(self, categories: list[Any]) -> None:
        above = {path for item in categories for path in paths_above(item)}
        rows = self.model._base_manager.using(self.db).filter(path__in=above)
        names = dict(rows.values_list("path", "name")) if above else {}
        for item in categories:
            known = [names[path] for path in paths_above(item) if path in names]
            item.names_of_path = [*known, item.name]


def paths_above(category: Any) -> list[str]:
    """Return the paths of the categories above one, from the most general one."""
    path, step = category.path, category.steplen
    return [path[:end] for end in range(step, len(path), step)]


def category_of(product: Any) -> list[str]:
    """Return the names of a product's first public category, the most general first."""
    if product is None:
        return []
    owner = product.parent if product.is_child else product
    if owner is None:
        return []
    for category in owner.categories.all():
        if category.is_public and category.ancestors_are_public:
            return names_of_path(category)
    return []


def names_of_path(category: Any) -> list[str]:
    known: list[str] | None = getattr(category, "names_of_path", None)
    if known is not None:
        return known
    return [item.name for item in category.get_ancestors_and_self()]
