"""
Describe the shop's order models: adapters, their registry, and reading host orders.

A shop subclasses ``OrderAdapter`` and registers it. The app finds an order's adapter
with ``find_adapter``, and reads orders with ``select_orders`` or ``HostOrders``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.apps import apps
from django.conf import settings
from django.core.exceptions import (
    ImproperlyConfigured,
    ObjectDoesNotExist,
    ValidationError,
)
from django.db import DEFAULT_DB_ALIAS
from django.db.models import (
    BinaryField,
    CompositePrimaryKey,
    DateTimeField,
    Model,
    QuerySet,
)
from django.utils.timezone import localtime, make_naive

from django_button_orders.conf import DEFAULT_ACCOUNT
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.printable import get_logger
from django_button_orders.report.objects import OrderReport
from django_button_orders.report.privacy import describe_for_log, is_time_limit

if TYPE_CHECKING:
    # A shop may import its adapter before the models are loaded.
    from django_button_orders.models import AttributionToken, ButtonOrder

logger = get_logger(__name__)


class OrderAdapter:
    """
    Describe one order model to the app. Subclass it, and ``register`` the subclass.

    ``get_order_id``, ``is_reportable`` and ``get_account`` also run inside the shop's
    save, so they must be fast. The other methods run in workers, commands and the
    admin, on committed data.

    If a method raises an exception, the shop's save still succeeds. The Button order
    fails with the reason ``invalid``, and its page in the admin shows the error.
    """

    #: The name of the date field by which commands and tasks select orders. Add a
    #: database index to that field. Without a name, the task ``reconcile_orders`` does
    #: not add orders that were written without a signal.
    date_field: ClassVar[str] = ""
    #: The related models, each with the path to the order: ``{OrderLine: "order"}``, or
    #: ``{Refund: "line__order"}``. Saving or deleting a watched object marks its order
    #: as changed. For a many-to-many relation, watch the intermediate model:
    #: ``{Order.coupons.through: "order"}``.
    watch: ClassVar[Mapping[type[Model] | str, str]] = {}

    def __init__(self, model: type[Model]) -> None:
        self.model = model

    def get_order_id(self, order: Any) -> str:
        """
        Return the shop's ID of the order, which becomes its ID at Button.

        An ID must be unique in its account, and must never change after the first call
        for the order. It has 1 to 255 printable ASCII characters. After an order is
        deleted, another order may get its ID. An order that is not reportable may have
        no ID.
        """
        return str(order.pk)

    def get_account(self, order: Any) -> str:
        """
        Return the account at Button: a key of ``ACCOUNTS``, or "default".

        The account of an order must never change. If it changes, the app reports the
        order a second time, and the report to the old account stays.
        """
        return DEFAULT_ACCOUNT

    def is_reportable(self, order: Any) -> bool:
        """
        Return whether Button should know the order, for example once it is paid.

        Once Button knows the order, the returned value no longer matters. The app still
        sends changes, and only ``is_cancelled`` cancels the order.
        """
        return True

    def is_cancelled(self, order: Any) -> bool:
        """
        Return whether the whole order is cancelled. Button cannot undo that.

        If some lines remain, return False, and let ``build`` report these lines. That
        is Button's rule (Order API Best Practices).
        """
        return False

    def build(self, order: Any) -> OrderReport:
        """
        Return the report of the order, with its complete current state.

        Its ``order_id`` must be the one that ``get_order_id`` returns.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define build(order) and return an OrderReport."
        )

    def gross_total(self, order: Any) -> int | None:
        """
        Return the amount of the order with tax and delivery, or None.

        It is in minor units, after discounts and returns. A gift card that paid a part
        of it is no discount.

        Only ``button_orders_preflight`` calls this method, and ``tax`` and
        ``delivery``. It compares their amounts with the total of the report, which must
        contain neither tax nor delivery. Nothing of them is sent.
        """
        return None

    def tax(self, order: Any) -> int | None:
        """Return the tax in ``gross_total``, in minor units, or None. See there."""
        return None

    def delivery(self, order: Any) -> int | None:
        """Return the delivery fee without tax, in minor units, or None. See there."""
        return None

    def get_btn_ref(self, order: Any) -> str:
        """
        Return the attribution token that ``set_btn_ref`` keeps of an order, or "".

        Nothing calls it for you: ``build`` does, if your model has no field for the
        token. It costs one query.
        """
        token = find_kept_token(self, order)
        return "" if token is None else token.btn_ref

    def get_btn_ref_date(self, order: Any) -> datetime | None:
        """
        Return when the shop got the order's attribution token, or None if not known.

        This is when ``set_btn_ref`` was called, if your shop uses it.

        Only the explanation of an order reads it: ``button_orders_explain``, and the
        order's page in the admin. It then says by how much a token came too late. An
        exception is shown there, and the order is reported as before.
        """
        token = find_kept_token(self, order)
        return None if token is None else token.kept_at

    def get_queryset(self) -> QuerySet[Any]:
        """
        Return all orders, with the relations prefetched that ``build`` reads.

        If this queryset leaves out an order, the app treats that order as deleted.
        """
        return self.model._base_manager.all()

    @property
    def name(self) -> str:
        return type(self).__name__


AdapterClass = TypeVar("AdapterClass", bound=type[OrderAdapter])

_adapters: dict[type[Model], OrderAdapter] = {}
_callbacks: list[Callable[[OrderAdapter], object]] = []


def register(*models: type[Model]) -> Callable[[AdapterClass], AdapterClass]:
    """
    Register an adapter for one or more order models.

    Raises ``ImproperlyConfigured`` if a model already has another adapter.
    """

    def decorate(adapter_class: AdapterClass) -> AdapterClass:
        if not models:
            raise ImproperlyConfigured("Add the model, as in @register(Order).")
        for model in models:
            known = _adapters.get(model)
            if known is not None and path_of(type(known)) != path_of(adapter_class):
                raise ImproperlyConfigured(
                    f"{model._meta.label} is already registered with {known.name}."
                )
            _adapters[model] = adapter_class(model)
            for callback in _callbacks:
                callback(_adapters[model])
        return adapter_class

    return decorate


def on_registration(callback: Callable[[OrderAdapter], object]) -> None:
    """Call a function with each registered adapter, and with later ones, too."""
    _callbacks.append(callback)
    for adapter in registered():
        callback(adapter)


def path_of(adapter_class: type[OrderAdapter]) -> str:
    """Return the dotted path of a class, which stays when its module is reloaded."""
    return f"{adapter_class.__module__}.{adapter_class.__qualname__}"


def unregister(model: type[Model]) -> None:
    """Remove the adapter of a model, if it has one."""
    _adapters.pop(model, None)


def registered() -> list[OrderAdapter]:
    """Return the adapters of all registered models."""
    return list(_adapters.values())


@cache
def has_usable_key(model: type[Model]) -> bool:
    """
    Return whether a row can refer to a model's orders: by a key that text stands for.

    If not, the log says so once. A system check reports it, too.
    """
    key: Any = model._meta.pk
    while key.remote_field:
        key = key.target_field
    if not isinstance(key, (BinaryField, CompositePrimaryKey)):
        return True
    logger.error(
        "Orders of %s are not reported: their primary key is a %s, "
        "which is not supported.",
        model._meta.label,
        type(key).__name__,
    )
    return False


def find_adapter(model: type[Model]) -> OrderAdapter | None:
    """Return the adapter of a model, or of the model it is a proxy or child of."""
    for base in model.__mro__:
        if base in _adapters:
            return _adapters[base]
    return None


def get_adapter(model: type[Model]) -> OrderAdapter:
    """Return the adapter of a model. Raises ``ImproperlyConfigured`` without one."""
    adapter = find_adapter(model)
    if adapter is None:
        raise ImproperlyConfigured(f"No adapter is registered for {model._meta.label}.")
    return adapter


def watched_paths(model: type[Model]) -> list[str]:
    """Return the paths from a watched model to the order, for all adapters."""
    return [
        path
        for adapter in _adapters.values()
        for watched, path in watched_models(adapter)
        if issubclass(model, watched)
    ]


def watched_models(adapter: OrderAdapter) -> Iterator[tuple[type[Model], str]]:
    """Yield the models that an adapter watches, and their paths to the order."""
    for model, path in adapter.watch.items():
        yield apps.get_model(model) if isinstance(model, str) else model, path


def follow(instance: Any, path: str) -> Any:
    """Return the object at the end of a path such as "line__order", or None."""
    for name in path.split("__"):
        if instance is None:
            return None
        try:
            instance = getattr(instance, name)
        except ObjectDoesNotExist as exc:
            # Without a related object, Django raises an error that is both. One that
            # is in the database, and is not found, is another matter.
            if not isinstance(exc, AttributeError):
                raise
            return None
    return instance


def all_orders(adapter: OrderAdapter, *, using: str | None) -> QuerySet[Any]:
    """Return the orders of an adapter's queryset, which are read and not locked."""
    orders = adapter.get_queryset().using(using)
    # Outside of a transaction, a database refuses to lock what it reads.
    orders.query.select_for_update = False
    return orders


def select_orders(
    adapter: OrderAdapter,
    *,
    using: str,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Any]:
    """
    Return the orders with a ``date_field`` from ``since`` on and before ``until``.

    Raises ``ValidationError`` if there are dates and the adapter has no ``date_field``.
    """
    if since is None and until is None:
        return all_orders(adapter, using=using)
    name = date_field_of(adapter)
    orders = all_orders(adapter, using=using)
    is_moment = isinstance(adapter.model._meta.get_field(name), DateTimeField)
    if since is not None:
        orders = orders.filter(**{f"{name}__gte": as_column(since, is_moment)})
    if until is not None:
        orders = orders.filter(**{f"{name}__lt": as_column(until, is_moment)})
    return orders


def find_kept_token(
    adapter: OrderAdapter, host_order: Any, *, using: str | None = None
) -> AttributionToken | None:
    """Return the token that ``set_btn_ref`` keeps of an order, or None."""
    from django_button_orders.models import AttributionToken, content_type_of

    alias = using or host_order._state.db or DEFAULT_DB_ALIAS
    kind = content_type_of(adapter.model, alias)
    tokens = AttributionToken.objects.using(alias)
    return tokens.of_order(kind.pk, str(host_order.pk)).first()


def date_field_of(adapter: OrderAdapter) -> str:
    """Return the name of ``date_field``. Raises ``ValidationError`` without one."""
    if not adapter.date_field:
        raise ValidationError(
            f"{adapter.name} has no date_field, so orders cannot be selected by date."
        )
    return adapter.date_field


def as_column(moment: datetime, is_moment: bool) -> Any:
    """Return a moment as a date field of the shop takes it, or as the local date."""
    if not is_moment:
        return localtime(moment).date()
    return moment if settings.USE_TZ else make_naive(moment)


class HostOrders:
    """
    Host orders of many rows, read together.

    There is one query for each model, and one for each relation that its adapter
    prefetches. ``find`` reads an order alone if it was not read with the others.
    """

    def __init__(self, rows: Iterable[ButtonOrder] = ()) -> None:
        self.cache: dict[tuple[int | None, str | None], Model] = {}
        for model, group in by_model(rows):
            adapter = find_adapter(model)
            if adapter is not None and len(group) > 1:
                self.read(adapter, group)

    def read(self, adapter: OrderAdapter, rows: list[ButtonOrder]) -> None:
        """Read the orders of some rows of one model into the cache."""
        using = rows[0]._state.db or DEFAULT_DB_ALIAS
        keys = [row.source_id for row in rows if row.cancel_requested_at is None]
        try:
            # A transaction is not begun, because in SQLite it may block writers.
            with savepoint(using):
                for order in all_orders(adapter, using=using).filter(pk__in=keys):
                    self.cache[rows[0].source_type_id, str(order.pk)] = order
        except Exception as exc:
            if is_time_limit(exc):
                raise
            # One order may be the cause. ``find`` reads each alone, and raises for it.
            logger.debug("%s.get_queryset: %s", adapter.name, describe_for_log(exc))

    def find(self, adapter: OrderAdapter, row: ButtonOrder) -> Model | None:
        """Return the host order of a row, or None if it is gone."""
        order = self.cache.get((row.source_type_id, row.source_id))
        if order is None:
            orders = all_orders(adapter, using=row._state.db)
            order = orders.filter(pk=row.source_id).first()
        return order


def by_model(
    rows: Iterable[ButtonOrder],
) -> Iterator[tuple[type[Model], list[ButtonOrder]]]:
    """Yield the models of the rows' host orders, each with its rows."""
    groups: defaultdict[int | None, list[ButtonOrder]] = defaultdict(list)
    for row in rows:
        if not row.is_direct:
            groups[row.source_type_id].append(row)
    for group in groups.values():
        model = group[0].get_source_model()
        if model is not None:
            yield model, group
