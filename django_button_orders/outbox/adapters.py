"""The way from a shop's own order model to an ``OrderReport``."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DEFAULT_DB_ALIAS
from django.db.models import DateTimeField, Model, QuerySet
from django.utils.timezone import localtime

from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.report.objects import OrderReport
from django_button_orders.report.privacy import describe_for_log, is_time_limit

if TYPE_CHECKING:
    # A shop may import its adapter before the models are loaded.
    from django_button_orders.models import ButtonOrder

logger = logging.getLogger(__name__)


class OrderAdapter:
    """
    Tells the app about one model of orders. Subclass it, and ``register`` it.

    ``get_order_id``, ``is_reportable`` and ``get_account`` run inside the
    shop's save, so they must be cheap. The others run in a worker, on
    committed data. What any of them raises ends up on the row, and never in
    the shop's save.
    """

    #: The field that the commands compare with their dates. With an index on it,
    #: the latest orders are found without looking at all the others.
    date_field: ClassVar[str] = ""
    #: Related models whose changes change the order: ``{OrderLine: "order"}``.
    #: A path may follow relations: ``{Refund: "line__order"}``.
    watch: ClassVar[Mapping[type[Model] | str, str]] = {}

    def __init__(self, model: type[Model]) -> None:
        self.model = model

    def get_order_id(self, order: Any) -> str:
        """
        Return the shop's id of the order. It must never change.

        No two orders may have one. Once an order is gone, another may have its id.
        """
        return str(order.pk)

    def get_account(self, order: Any) -> str:
        """
        Return the account at Button: a key of ``ACCOUNTS``, or "default".

        It must never change: each account has a row, and an order, of its own.
        """
        return DEFAULT_ACCOUNT

    def is_reportable(self, order: Any) -> bool:
        """Return whether Button should know of the order, such as: it is paid."""
        return True

    def is_cancelled(self, order: Any) -> bool:
        """Return whether all of the order is cancelled. A part is a change."""
        return False

    def build(self, order: Any) -> OrderReport:
        """Return what Button should know about the order."""
        raise NotImplementedError(
            f"{type(self).__name__} must define build(order) and return an OrderReport."
        )

    def get_queryset(self) -> QuerySet[Any]:
        """Return the orders, with what ``build`` needs selected or prefetched."""
        return self.model._base_manager.all()

    @property
    def name(self) -> str:
        return type(self).__name__


AdapterClass = TypeVar("AdapterClass", bound=type[OrderAdapter])

_adapters: dict[type[Model], OrderAdapter] = {}
_followers: list[Callable[[OrderAdapter], object]] = []


def register(*models: type[Model]) -> Callable[[AdapterClass], AdapterClass]:
    """
    Register an adapter for one or more models of orders.

    Raises ``ImproperlyConfigured`` when a model has another adapter already.
    """

    def decorate(adapter_class: AdapterClass) -> AdapterClass:
        if not models:
            raise ImproperlyConfigured("Name the model: @register(Order).")
        for model in models:
            known = _adapters.get(model)
            if known is not None and path_of(type(known)) != path_of(adapter_class):
                raise ImproperlyConfigured(
                    f"{model._meta.label} is registered with {known.name} already."
                )
            _adapters[model] = adapter_class(model)
            for follower in _followers:
                follower(_adapters[model])
        return adapter_class

    return decorate


def follow_registrations(follower: Callable[[OrderAdapter], object]) -> None:
    """Call somebody with each adapter that there is, and with each to come."""
    _followers.append(follower)
    for adapter in registered():
        follower(adapter)


def path_of(adapter_class: type[OrderAdapter]) -> str:
    # Not the class itself: a module that is loaded again makes a new one.
    return f"{adapter_class.__module__}.{adapter_class.__qualname__}"


def unregister(model: type[Model]) -> None:
    """Forget the adapter of a model, if it has one."""
    _adapters.pop(model, None)


def registered() -> list[OrderAdapter]:
    return list(_adapters.values())


def find_adapter(model: type[Model]) -> OrderAdapter | None:
    """Return the adapter of a model, or of the one it is a proxy or child of."""
    for base in model.__mro__:
        if base in _adapters:
            return _adapters[base]
    return None


def get_adapter(model: type[Model]) -> OrderAdapter:
    """Return the adapter of a model. Raises ``ImproperlyConfigured``."""
    adapter = find_adapter(model)
    if adapter is None:
        raise ImproperlyConfigured(f"No adapter is registered for {model._meta.label}.")
    return adapter


def watched_paths(model: type[Model]) -> list[str]:
    """Return the paths from an instance of a model to the orders it belongs to."""
    return [
        path
        for adapter in _adapters.values()
        for watched, path in watched_models(adapter)
        if issubclass(model, watched)
    ]


def watched_models(adapter: OrderAdapter) -> Iterator[tuple[type[Model], str]]:
    for model, path in adapter.watch.items():
        yield apps.get_model(model) if isinstance(model, str) else model, path


def follow(instance: Any, path: str) -> Any:
    """Return what a path such as "line__order" leads to, or None."""
    for name in path.split("__"):
        if instance is None:
            return None
        instance = getattr(instance, name)
    return instance


def select_orders(
    adapter: OrderAdapter,
    *,
    using: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Any]:
    """
    Return the orders from ``since`` on and before ``until``, by ``date_field``.

    Raises ``ValidationError`` when there are dates and no ``date_field``.
    """
    orders = adapter.get_queryset().using(using)
    if since is None and until is None:
        return orders
    name = adapter.date_field
    if not name:
        raise ValidationError(
            f"{adapter.name} has no date_field, so orders cannot be selected by date."
        )
    is_moment = isinstance(adapter.model._meta.get_field(name), DateTimeField)
    if since is not None:
        orders = orders.filter(**{f"{name}__gte": as_column(since, is_moment)})
    if until is not None:
        orders = orders.filter(**{f"{name}__lt": as_column(until, is_moment)})
    return orders


def as_column(moment: datetime, is_moment: bool) -> Any:
    return moment if is_moment else localtime(moment).date()


class HostOrders:
    """
    Host orders, read together: one query for each model, and for each relation
    that its adapter prefetches.

    One that is not among them is read when it is asked for.
    """

    def __init__(self, rows: Iterable[ButtonOrder] = ()) -> None:
        self.cache: dict[tuple[int | None, str | None], Model] = {}
        for model, group in by_model(rows):
            adapter = find_adapter(model)
            if adapter is not None and len(group) > 1:
                self.read(adapter, group)

    def read(self, adapter: OrderAdapter, rows: list[ButtonOrder]) -> None:
        using = rows[0]._state.db or DEFAULT_DB_ALIAS
        keys = [row.source_id for row in rows if row.cancel_requested_at is None]
        try:
            # So that an error stays in here. No transaction is begun, which would
            # keep others from writing in SQLite.
            with savepoint(using):
                for order in adapter.get_queryset().using(using).filter(pk__in=keys):
                    self.cache[rows[0].source_type_id, str(order.pk)] = order
        except Exception as exc:
            if is_time_limit(exc):
                raise
            # One of them may be the reason: read by itself, it takes the blame.
            logger.debug("%s.get_queryset: %s", adapter.name, describe_for_log(exc))

    def find(self, adapter: OrderAdapter, row: ButtonOrder) -> Model | None:
        """Return the host order of a row, or None if it is gone."""
        found = self.cache.get((row.source_type_id, row.source_id))
        if found is None:
            orders = adapter.get_queryset().using(row._state.db)
            found = orders.filter(pk=row.source_id).first()
        return found


def by_model(
    rows: Iterable[ButtonOrder],
) -> Iterator[tuple[type[Model], list[ButtonOrder]]]:
    groups: defaultdict[int, list[ButtonOrder]] = defaultdict(list)
    for row in rows:
        if row.source_type_id is not None:
            groups[row.source_type_id].append(row)
    for group in groups.values():
        model = group[0].get_source_model()
        if model is not None:
            yield model, group
