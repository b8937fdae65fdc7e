"""
The shop against our rows: orders that never got one, and changes that nobody saw.

``bulk_create()``, ``QuerySet.update()`` and SQL send no signals.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import QuerySet

from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.models.keyset import Keyset
from django_button_orders.outbox.adapters import OrderAdapter, get_adapter
from django_button_orders.outbox.host_orders import HostOrders, by_model
from django_button_orders.outbox.identity import RowKey, refuse_long_account
from django_button_orders.outbox.ownership import (
    IdTakenError,
    is_made_for,
    is_owned_by_live_order,
)
from django_button_orders.outbox.savepoints import LazySavepoint
from django_button_orders.reconcile.findings import Finding, PageResult
from django_button_orders.reconcile.rows import (
    FAILED,
    NOT_REPORTABLE,
    WAITING,
    Mismatch,
    compare_row,
    compare_rows,
    finding_of,
    note,
)
from django_button_orders.report.privacy import describe_for_list, is_time_limit

Kind = Difference.Kind
Status = ButtonOrder.Status


@dataclass(kw_only=True)
class ShopOrders:
    """The orders of one model, compared with their rows."""

    adapter: OrderAdapter
    orders: QuerySet[Any]
    using: str
    names: tuple[str, ...] = ("pk",)
    account: str | None = None
    order_ids: Collection[str] = ()

    side = Difference.Side.SHOP

    @property
    def label(self) -> str:
        return f"{self.adapter.model._meta.label} of {self.using}"

    @property
    def keyset(self) -> Keyset:
        return Keyset(objects=self.orders, names=self.names)

    def compare(self, page: list[Any]) -> PageResult:
        found = PageResult(done=len(page))
        known, broken = self.identify(page, found)
        order_ids = {identity.order_id for identity in known}
        # Read after the orders: a row that is made with one is seen with it.
        rows = {
            (row.account, row.order_id): row
            for row in self.rows().filter(order_id__in=order_ids)
        }
        here, hosts = [], HostOrders()
        for identity in known:
            row = rows.get((identity.account, identity.order_id))
            if row is None:
                self.judge_missing(identity, found)
            elif not (row.is_direct or is_made_for(row, identity.source(self.using))):
                self.judge_other(identity, row, found)
            else:
                here.append(row)
                hosts.found[row.source_type_id, row.source_id] = identity.host_order
        compare_rows(here, hosts, found, using=self.using)
        self.judge_broken(broken, found)
        return found

    def rows(self) -> QuerySet[ButtonOrder]:
        return ButtonOrder.objects.using(self.using)

    def identify(
        self, page: list[Any], found: PageResult
    ) -> tuple[list[RowKey], list[tuple[RowKey, str]]]:
        """Return the identities of orders, and those that raised with their errors."""
        known: list[RowKey] = []
        broken: list[tuple[RowKey, str]] = []
        for order in page:
            identity = RowKey(self.adapter, order)
            try:
                with LazySavepoint(self.using):
                    is_known = identity.find()
                refuse_long_account(identity)
            except Exception as exc:
                if is_time_limit(exc):
                    raise
                error = describe_for_list(exc, identity.asking)
                if self.is_wanted(identity):
                    broken.append((identity, error))
                continue
            if not self.is_wanted(identity):
                continue
            if is_known:
                known.append(identity)
            else:
                found.counts[NOT_REPORTABLE] += 1
        return known, broken

    def is_wanted(self, identity: RowKey) -> bool:
        if self.account is not None and identity.account != self.account:
            return False
        return not self.order_ids or identity.order_id in self.order_ids

    def judge_missing(self, identity: RowKey, found: PageResult) -> None:
        if self.is_to_be_reported(identity):
            found.add(self.finding(identity, Mismatch(kind=Kind.MISSING)))
        else:
            # Button does not know of it, and that is as it should be.
            found.counts[NOT_REPORTABLE] += 1

    def judge_other(
        self, identity: RowKey, row: ButtonOrder, found: PageResult
    ) -> None:
        """Judge an order under whose id there is the row of another one."""
        if not self.is_to_be_reported(identity):
            found.counts[NOT_REPORTABLE] += 1
        elif is_owned_by_live_order(row):
            self.judge_taken(identity, row, found)
        else:
            finding = self.finding(identity, Mismatch(kind=Kind.MISSING))
            finding.row = row
            found.add(finding)

    def judge_taken(
        self, identity: RowKey, row: ButtonOrder, found: PageResult
    ) -> None:
        """Judge an order whose id is that of another one that exists."""
        identity.lose_id()
        stand_in = self.rows().filter(
            account=identity.account, order_id=identity.order_id
        )
        status = stand_in.values_list("status", flat=True).first()
        if status is None:
            error = " ".join(IdTakenError(row).messages)
            amiss = Mismatch(kind=Kind.INVALID, error=error)
            found.add(self.finding(identity, amiss))
        elif status == Status.DISMISSED:
            found.agree((identity.account, identity.order_id))
        else:
            # That is known, and a person has to see to it.
            found.counts[FAILED if status == Status.FAILED else WAITING] += 1

    def is_to_be_reported(self, identity: RowKey) -> bool:
        return identity.is_reportable and not self.is_cancelled(identity)

    def is_cancelled(self, identity: RowKey) -> bool:
        try:
            with LazySavepoint(self.using):
                return bool(self.adapter.is_cancelled(identity.host_order))
        except Exception as exc:
            if is_time_limit(exc):
                raise
            # Its row will say what is wrong with it.
            return False

    def judge_broken(self, broken: list[tuple[RowKey, str]], found: PageResult) -> None:
        """Judge orders whose adapter does not say which row they have."""
        if not broken:
            return
        sources = {self.source_id(identity): identity for identity, _ in broken}
        kind = broken[0][0].source(self.using)["source_type_id"]
        rows = {
            row.source_id: row
            for row in self.rows().filter(source_type_id=kind, source_id__in=sources)
        }
        for identity, error in broken:
            amiss = Mismatch(kind=Kind.INVALID, error=error)
            row = rows.get(self.source_id(identity))
            if row is None:
                found.add(self.finding(identity, amiss))
                continue
            hosts = HostOrders()
            hosts.found[row.source_type_id, row.source_id] = identity.host_order
            verdict = compare_row(row, hosts)
            if isinstance(verdict, Mismatch):
                found.add(finding_of(row, amiss))
            else:
                note(verdict, row, found)

    def source_id(self, identity: RowKey) -> str:
        return str(identity.host_order.pk)

    def finding(self, identity: RowKey, amiss: Mismatch) -> Finding:
        difference = Difference(
            side=self.side,
            kind=amiss.kind,
            account=identity.account,
            order_id=identity.order_id,
            error=amiss.error,
            **identity.source(self.using),
        )
        return Finding(difference=difference, host_order=identity.host_order)


@dataclass(kw_only=True)
class ReportedRows:
    """
    The rows themselves: those whose host order is gone, and those that the shop
    writes itself and has changed with ``update()``.
    """

    reported: QuerySet[ButtonOrder]
    using: str

    side = Difference.Side.SHOP

    @property
    def label(self) -> str:
        return f"rows of {self.using}"

    @property
    def keyset(self) -> Keyset:
        return Keyset(objects=self.reported.filter(status=Status.REPORTED))

    def compare(self, page: list[ButtonOrder]) -> PageResult:
        found = PageResult(done=len(page))
        suspects = [row for row in page if row.is_direct]
        for model, rows in by_model(page):
            try:
                adapter = get_adapter(model)
            except ImproperlyConfigured as exc:
                for row in rows:
                    found.fail(row.order_id, str(exc))
                continue
            here = self.keys_of(adapter, rows)
            suspects += [row for row in rows if row.source_id not in here]
        compare_rows(suspects, HostOrders(), found, using=self.using)
        return found

    def keys_of(self, adapter: OrderAdapter, rows: list[ButtonOrder]) -> set[str]:
        """Return the keys of the host orders that are there."""
        orders = adapter.get_queryset().using(self.using)
        try:
            here = orders.filter(pk__in=[row.source_id for row in rows])
            return set(map(str, here.values_list("pk", flat=True)))
        except (TypeError, ValueError, ValidationError):
            # One of them is no key of this model. Each is looked at by itself.
            return set()
