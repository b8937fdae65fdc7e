"""
Find the orders that a change of another object of the shop concerns.

That object is watched by an adapter, is linked to an order by a many-to-many relation,
or is an order's parent, as its model has child tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, ForeignObject, Model, QuerySet

from django_button_orders.outbox.adapters import (
    find_adapter,
    follow,
    registered,
    watched_paths,
)
from django_button_orders.outbox.stored import is_expression


def related_orders(
    sender: type[Model], instance: Model, *, using: str
) -> Iterator[Model]:
    """Yield the orders that a saved or deleted object of a watched model belongs to."""
    for path in watched_paths(sender):
        start: Model | None = instance
        if any(
            is_expression(instance.__dict__.get(name)) for name in columns(sender, path)
        ):
            start = read(instance, using=using)
        yield from as_orders(follow(start, path), using=using)


def read(instance: Model, *, using: str) -> Model | None:
    """Return an object as it is in the database now, or None if it is not there."""
    objects = type(instance)._base_manager.using(using)
    return next(iter(objects.filter(pk=instance.pk)), None)


@cache
def columns(model: type[Model], path: str) -> dict[str, Field[Any, Any]]:
    """
    Return the fields of a model that decide where the first step of a path leads.

    There are none if the step is a property, or a relation that another model has.
    """
    try:
        step = model._meta.get_field(path.partition("__")[0])
    except FieldDoesNotExist:
        return {}
    fields: Iterable[Any] = ()
    if isinstance(step, GenericForeignKey):
        fields = map(model._meta.get_field, (step.ct_field, step.fk_field))
    elif isinstance(step, ForeignObject):
        fields = step.local_related_fields
    return {field.attname: field for field in fields}


def as_orders(instance: Any, *, using: str) -> list[Model]:
    """
    Return an object as orders of registered models, which are none for most objects.

    An object that is the parent of an order, as its model has child tables, is that
    order.
    """
    if not isinstance(instance, Model):
        return []
    if find_adapter(type(instance)) is not None:
        return [instance]
    found: list[Model] = []
    for model in registered_children(type(instance)):
        if not any(isinstance(order, model) for order in found):
            # The child has the fields of its parent, and so its key.
            name = concrete(type(instance))._meta.pk.name
            orders = model._base_manager.using(using)
            found += orders.filter(**{name: instance.pk})
    return found


def registered_children(parent: type[Model]) -> list[type[Model]]:
    """Return the registered models with a parent table, and grandchildren first."""
    models = [adapter.model for adapter in registered()]
    children = [model for model in models if is_child(model, parent)]
    return sorted(children, key=lambda model: -len(model.__mro__))


def has_registered_child(parent: type[Model]) -> bool:
    return any(is_child(adapter.model, parent) for adapter in registered())


def is_child(model: type[Model], parent: type[Model]) -> bool:
    """Return whether a model has a table of its own, and the one of a parent."""
    parent = concrete(parent)
    return issubclass(model, parent) and concrete(model) is not parent


def concrete(model: type[Model]) -> Any:
    """Return the model that a proxy stands for, or the model itself."""
    return model._meta.concrete_model


def left_orders(
    instance: Model, *, using: str, update_fields: Collection[str] | None
) -> Iterator[Model]:
    """
    Yield the orders that a watched object is about to be moved away from.

    It is called before the save. Only what decides where the paths lead is read from
    the database, unless the object is moved.
    """
    saved = {
        path: saved_columns(instance, path, update_fields)
        for path in watched_paths(type(instance))
    }
    fields = {name: field for group in saved.values() for name, field in group.items()}
    if not fields:
        return
    rows = type(instance)._base_manager.using(using).filter(pk=instance.pk)
    for before in rows.values(*fields):
        moved = {
            name
            for name, field in fields.items()
            if is_other(before[name], instance.__dict__[name], field)
        }
        old = read(instance, using=using) if moved else None
        for path, group in saved.items():
            if not moved.isdisjoint(group):
                yield from as_orders(follow(old, path), using=using)


def saved_columns(
    instance: Model, path: str, update_fields: Collection[str] | None
) -> dict[str, Field[Any, Any]]:
    """Return those of ``columns`` that a save of the instance writes."""
    return {
        name: field
        for name, field in columns(type(instance), path).items()
        # A deferred field is not saved.
        if name in instance.__dict__
        and (update_fields is None or not {name, field.name}.isdisjoint(update_fields))
    }


def is_other(before: Any, now: Any, field: Field[Any, Any]) -> bool:
    """Return whether a field's new value differs from the one in the database."""
    return is_expression(now) or before not in (now, field.to_python(now))


def linked_orders(
    through: type[Model],
    instance: Model,
    *,
    model: type[Model],
    reverse: bool,
    pk_set: Collection[Any] | None,
    using: str,
) -> Iterator[Model]:
    """
    Yield the orders that links of a many-to-many relation concern.

    The arguments are those of ``m2m_changed``. ``through`` is the watched model of the
    links, from an instance to the objects in ``pk_set``, or without it to all.
    """
    field = find_relation(model if reverse else type(instance), through)
    near, far = field.m2m_field_name(), field.m2m_reverse_field_name()
    if reverse:
        near, far = far, near
    links = through._base_manager.using(using).filter(**{near: instance})
    if pk_set is not None:
        links = links.filter(**{f"{far}__in": pk_set})
    for path in watched_paths(through):
        first, _, rest = path.partition("__")
        # In a symmetrical relation, the objects at both ends change.
        for end in {near, far} if field.remote_field.symmetrical else {first}:
            starts = [instance] if end == near else ends_of(links, end)
            for start in starts:
                order = follow(start, rest) if rest else start
                yield from as_orders(order, using=using)


def ends_of(links: QuerySet[Any], end: str) -> list[Model]:
    """Return the objects that some links of a many-to-many relation lead to."""
    return [getattr(link, end) for link in links.select_related(end)]


def find_relation(model: type[Model], through: type[Model]) -> Any:
    """Return the many-to-many field of a model whose links a model has."""
    for field in model._meta.many_to_many:
        if field.remote_field.through is through:
            return field
    raise LookupError(f"{model._meta.label} has no relation by {through._meta.label}.")


def is_deleted_alone(sender: type[Model], instance: Model, origin: object) -> bool:
    """
    Return whether a watched object is deleted for its own sake.

    ``origin`` is what the shop deletes: an object or a queryset. If it is another one,
    a cascade deletes this object, and may delete its order.
    """
    if find_adapter(sender) is not None:
        # It is an order itself, and what it belongs to may be in the same queryset.
        return False
    if isinstance(origin, QuerySet):
        return is_same_table(sender, origin.model)
    return (
        isinstance(origin, Model)
        and is_same_table(sender, type(origin))
        and origin.pk == instance.pk
    )


def is_same_table(model: type[Model], other: type[Model]) -> bool:
    """Return whether two models are one, or one is the parent of the other."""
    return issubclass(model, concrete(other)) or issubclass(other, concrete(model))
