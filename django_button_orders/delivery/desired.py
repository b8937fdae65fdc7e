"""Find what Button should know about a row's order, from committed data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import InterfaceError, OperationalError

from django_button_orders.delivery.verdicts import Result, Verdict, invalid
from django_button_orders.models import CANCELLED_DIGEST, ButtonOrder
from django_button_orders.outbox.adapters import (
    HostOrders,
    OrderAdapter,
    find_adapter,
    get_adapter,
)
from django_button_orders.outbox.ownership import reattach
from django_button_orders.report.erasing import without_personal_data
from django_button_orders.report.objects import OrderReport, digest_of, payload_of
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_list,
    is_time_limit,
)
from django_button_orders.report.validation import clean_order_id, make_storable

Reason = ButtonOrder.Reason

MODEL_IS_GONE = "The model of the shop's order no longer exists."

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Desired:
    """
    What Button should know: a report, or (without one) that the order is cancelled.

    ``order_id`` differs from the row's if the shop gave the order another id before
    Button heard of it. ``earlier`` is the report of a cancelled order, if the row has
    none on record and Button may have it.
    """

    order_id: str
    report: OrderReport | None
    earlier: OrderReport | None = None

    def without_personal_data(self) -> Desired:
        """Return the same without what is about the customer."""
        if self.report is None:
            return self
        return replace(self, report=without_personal_data(self.report))

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The report as Button takes it, with amounts in minor units."""
        return payload_of(self.fields) if self.report else {}

    @cached_property
    def digest(self) -> str:
        """The fingerprint of the payload. A row keeps the last acknowledged one."""
        return digest_of(self.payload) if self.report else CANCELLED_DIGEST

    @property
    def total(self) -> int:
        """The total in minor units. A cancelled order has none left."""
        return self.report.total if self.report else 0

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The values of the row's fields."""
        return self.report.as_fields() if self.report else {}


class NoReport(Exception):  # noqa: N818 - carries a verdict, and is not an error
    """
    No report can be built. ``verdict`` says what follows for the row.

    ``order_id`` is the id that the shop's order has now, if it matters. ``hook`` is the
    hook of the adapter that failed, such as "ShopOrderAdapter.build", or "".
    """

    def __init__(self, verdict: Verdict, *, order_id: str = "", hook: str = "") -> None:
        super().__init__(verdict)
        self.verdict = verdict
        self.order_id = order_id
        self.hook = hook

    @property
    def summary(self) -> str:
        """The error of the hook without the values of an order, for lists and logs."""
        cause = self.__cause__
        if isinstance(cause, Exception):
            return describe_for_list(cause, self.hook)
        return self.verdict.error


def as_invalid(error: str, *, hook: str = "") -> NoReport:
    """Return the exception for an order that a person has to correct."""
    return NoReport(invalid(make_storable(error)), hook=hook)


def find_desired(row: ButtonOrder, hosts: HostOrders) -> Desired:
    """
    Return what Button should know about the order of a row.

    The report of an erased row has no personal data, whatever the shop has. Raises
    ``NoReport`` if that cannot be told.
    """
    desired = find_unerased(row, hosts)
    return desired if row.erased_at is None else desired.without_personal_data()


def find_unerased(row: ButtonOrder, hosts: HostOrders) -> Desired:
    """Return what Button should know about an order, with its personal data."""
    if row.cancel_requested_at is not None:
        return as_cancelled(row.order_id)
    if row.is_direct:
        return from_row(row)
    return from_host_order(row, hosts)


def as_cancelled(order_id: str) -> Desired:
    """Return, as what Button should know, that an order is cancelled."""
    try:
        # An id such as "." has a meaning of its own in the path of a URL.
        clean_order_id(order_id)
    except ValidationError as exc:
        raise as_invalid(describe_exception(exc, "order_id")) from exc
    return Desired(order_id=order_id, report=None)


def from_row(row: ButtonOrder) -> Desired:
    """Return what a row says that has no host order."""
    try:
        return Desired(order_id=row.order_id, report=row.as_report())
    except ValidationError as exc:
        raise as_invalid(describe_exception(exc, "The order is not valid")) from exc


def from_host_order(row: ButtonOrder, hosts: HostOrders) -> Desired:
    """Ask the adapter of the shop's order model."""
    adapter = get_adapter_of(row)
    call = partial(call_hook, adapter)
    order = call("get_queryset", lambda: hosts.find(adapter, row))
    if order is None:
        raise host_order_gone(row)
    order_id = call("get_order_id", lambda: str(adapter.get_order_id(order)))
    if order_id != row.order_id and row.may_be_known:
        raise as_invalid(
            "The shop's order has another ID than the one reported to Button. "
            "Restore its ID: the ID of a reported order must not change."
        )

    def build() -> OrderReport:
        report = call("build", lambda: adapter.build(order))
        return check_report(report, adapter, order_id)

    if call("is_cancelled", lambda: adapter.is_cancelled(order)):
        desired = as_cancelled(order_id)
        is_on_record = row.is_acknowledged or row.purchase_date is not None
        if row.may_be_known and not is_on_record:
            # The worker died that sent it. Button will show whose order it has.
            return replace(desired, earlier=build())
        return desired
    # An order that Button may know is reported as long as it exists.
    if not row.may_be_known and not call(
        "is_reportable", lambda: adapter.is_reportable(order)
    ):
        raise NoReport(
            Verdict(
                result=Result.DISMISSED,
                error="The shop's order is no longer reportable.",
            ),
            order_id=order_id,
        )
    return Desired(order_id=order_id, report=build())


def get_adapter_of(row: ButtonOrder) -> OrderAdapter:
    """Return the adapter that is registered for a row's host order."""
    model = row.get_source_model()
    if model is None or find_adapter(model) is None:
        reattach([row])
        model = row.get_source_model()
    if model is None:
        raise as_invalid(MODEL_IS_GONE)
    try:
        return get_adapter(model)
    except ImproperlyConfigured as exc:
        raise as_invalid(str(exc)) from exc


def check_report(report: Any, adapter: OrderAdapter, order_id: str) -> OrderReport:
    """Return what ``build()`` returned, if it is a report of this order."""
    hook = f"{adapter.name}.build"
    if not isinstance(report, OrderReport):
        kind = type(report).__name__
        raise as_invalid(f"{hook} returned {kind}, not an OrderReport.", hook=hook)
    if report.order_id != order_id:
        error = f"{hook} returned another order_id than get_order_id."
        raise as_invalid(error, hook=hook)
    return report


def call_hook(adapter: OrderAdapter, name: str, hook: Callable[[], T]) -> T:
    """Call a hook of an adapter, and turn what it raises into ``NoReport``."""
    doing = f"{adapter.name}.{name}"
    try:
        return hook()
    except (OperationalError, InterfaceError) as exc:
        # The shop's database is away, which says nothing about the order.
        error = describe_exception(exc, doing)
        raise NoReport(
            Verdict(result=Result.RETRY, reason=Reason.UNAVAILABLE, error=error)
        ) from exc
    except Exception as exc:
        if is_time_limit(exc):
            raise
        raise as_invalid(describe_exception(exc, doing), hook=doing) from exc


def host_order_gone(row: ButtonOrder) -> NoReport:
    """Return what follows for a row whose host order was deleted."""
    if row.is_acknowledged:
        error = "The shop's order is gone. Button keeps what it knew of it."
        return NoReport(Verdict(result=Result.DISMISSED, error=error))
    if row.may_be_known:
        return as_invalid(
            "The shop's order is gone, and a call for it was never answered: Button "
            "may have it. If Button should not have it, cancel it."
        )
    return as_invalid(
        "The shop's order is gone, and Button never knew of it. "
        "Dismiss it, unless it should have been reported."
    )
