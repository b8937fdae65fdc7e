"""What Button should know about a row, and the call that would tell it so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import InterfaceError, OperationalError

from django_button_orders.delivery.verdicts import Result, Verdict, invalid
from django_button_orders.models import CANCELLED_DIGEST, ButtonOrder, Submission
from django_button_orders.outbox.adapters import HostOrders, OrderAdapter, get_adapter
from django_button_orders.report.objects import OrderReport, digest_of, payload_of
from django_button_orders.report.privacy import (
    describe_exception,
    describe_for_list,
    is_time_limit,
)
from django_button_orders.report.validation import clean_order_id, make_storable

logger = logging.getLogger(__name__)
Operation = Submission.Operation
Reason = ButtonOrder.Reason


@dataclass(frozen=True, kw_only=True)
class Desired:
    """
    What Button should know: a report, or that the order is cancelled.

    ``order_id`` differs from the row's where the shop has given the order
    another id before Button ever heard of it.
    """

    order_id: str
    report: OrderReport | None

    @cached_property
    def payload(self) -> dict[str, Any]:
        """What Button is sent, with amounts in minor units."""
        return payload_of(self.fields) if self.report else {}

    @cached_property
    def digest(self) -> str:
        return digest_of(self.payload) if self.report else CANCELLED_DIGEST

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The values that the row should show."""
        return self.report.as_fields() if self.report else {}


class NoReport(Exception):  # noqa: N818 - a verdict on its way, not an error
    """There is no telling what Button should know; the verdict says what follows."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict)
        self.verdict = verdict


def find_desired(row: ButtonOrder, hosts: HostOrders) -> Desired:
    """
    Return what Button should know about a row, from committed data.

    Raises ``Undecided`` when that cannot be told.
    """
    if row.cancel_requested_at is not None:
        return cancelled(row.order_id)
    if row.is_direct:
        return from_row(row)
    return from_host(row, hosts)


def cancelled(order_id: str) -> Desired:
    try:
        # Some ids would stand for something else in the path of a URL.
        clean_order_id(order_id)
    except ValidationError as exc:
        raise as_invalid(describe_exception(exc, "order_id")) from exc
    return Desired(order_id=order_id, report=None)


def from_row(row: ButtonOrder) -> Desired:
    try:
        return Desired(order_id=row.order_id, report=row.as_report())
    except ValidationError as exc:
        raise as_invalid(describe_exception(exc, "The order is not valid")) from exc


def from_host(row: ButtonOrder, hosts: HostOrders) -> Desired:
    model = row.get_source_model()
    if model is None:
        raise as_invalid("The model of the shop's order does not exist any more.")
    try:
        adapter = get_adapter(model)
    except ImproperlyConfigured as exc:
        raise as_invalid(str(exc)) from exc
    hook = AdapterHooks(adapter, row.order_id)
    order = hook.call("get_queryset", lambda: hosts.find(adapter, row))
    if order is None:
        raise host_order_gone(row)
    order_id = hook.call("get_order_id", lambda: str(adapter.get_order_id(order)))
    if order_id != row.order_id and row.may_be_known:
        raise as_invalid(
            "The shop's order has another id than the one Button knows it by. "
            "An order's id must never change."
        )
    if hook.call("is_cancelled", lambda: adapter.is_cancelled(order)):
        return cancelled(order_id)
    if not row.may_be_known and not hook.call(
        "is_reportable", lambda: adapter.is_reportable(order)
    ):
        raise NoReport(
            Verdict(
                result=Result.DISMISSED,
                error="The shop's order is not to be reported any more.",
            )
        )
    report = hook.call("build", lambda: adapter.build(order))
    return Desired(order_id=order_id, report=check_report(report, adapter, order_id))


def check_report(report: Any, adapter: OrderAdapter, order_id: str) -> OrderReport:
    if not isinstance(report, OrderReport):
        raise as_invalid(
            f"{adapter.name}.build returned {type(report).__name__}, "
            "not an OrderReport."
        )
    if report.order_id != order_id:
        raise as_invalid(
            f"{adapter.name}.build returned another order_id than get_order_id."
        )
    return report


class AdapterHooks:
    """Calls the methods of an adapter, and says which of them raised what."""

    def __init__(self, adapter: OrderAdapter, order_id: str) -> None:
        self.adapter = adapter
        self.order_id = order_id

    def call(self, name: str, hook: Any) -> Any:
        try:
            return hook()
        except (OperationalError, InterfaceError) as exc:
            # The shop's database is away. That says nothing about the order.
            raise NoReport(
                Verdict(
                    result=Result.RETRY,
                    reason=Reason.UNAVAILABLE,
                    error=describe_exception(exc, f"{self.adapter.name}.{name}"),
                )
            ) from exc
        except Exception as exc:
            if is_time_limit(exc):
                raise
            doing = f"{self.adapter.name}.{name}"
            what = describe_for_list(exc, doing)
            logger.warning("Order %s: %s", self.order_id, what)
            raise as_invalid(describe_exception(exc, doing)) from exc


def host_order_gone(row: ButtonOrder) -> NoReport:
    """What follows when the shop has deleted its order."""
    if row.is_acknowledged:
        error = "The shop's order is gone. Button keeps what it knew of it."
        return NoReport(Verdict(result=Result.DISMISSED, error=error))
    if row.may_be_known:
        return as_invalid(
            "The shop's order is gone, and a call for it was never answered: Button "
            "may have it. Cancel it, if it should not."
        )
    return as_invalid(
        "The shop's order is gone, and Button never knew of it. "
        "Dismiss it, unless it should have been reported."
    )


def as_invalid(error: str) -> NoReport:
    return NoReport(invalid(make_storable(error)))


def choose_operation(row: ButtonOrder, desired: Desired) -> str | Verdict:
    """
    Return the operation that closes the difference, or a verdict without a call.
    """
    is_same = desired.digest == row.reported_digest and row.is_acknowledged
    if is_same and row.unanswered <= 1:
        return as_settled(desired)
    if desired.report is None:
        return Operation.CANCEL if row.may_be_known else as_settled(desired)
    if row.reported_digest == CANCELLED_DIGEST:
        return Verdict(
            result=Result.FAILED,
            reason=Reason.FINALIZED,
            error="The order is cancelled at Button, which cannot be undone. "
            "Report it under another order id.",
        )
    if row.is_acknowledged:
        return Operation.UPDATE
    return Operation.RETRIEVE if row.may_be_known else Operation.CREATE


def as_settled(desired: Desired) -> Verdict:
    return Verdict(result=Result.REPORTED if desired.report else Result.CANCELLED)
