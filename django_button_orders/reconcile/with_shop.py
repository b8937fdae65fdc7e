"""
Compare the shop's orders with their rows.

This finds orders without a row and changes that sent no signal, as
``bulk_create()``, ``QuerySet.update()`` and SQL do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import QuerySet

from django_button_orders.delivery.desired import MODEL_IS_GONE
from django_button_orders.models import ButtonOrder, Difference
from django_button_orders.models.keyset import Keyset
from django_button_orders.outbox.adapters import (
    HostOrders,
    OrderAdapter,
    all_orders,
    by_model,
    get_adapter,
)
from django_button_orders.outbox.identity import RowKey, placeholder_id
from django_button_orders.outbox.ownership import (
    IdTakenError,
    is_made_for,
    is_owned_by_live_order,
    reattach,
)
from django_button_orders.outbox.savepoints import LazySavepoint
from django_button_orders.reconcile.findings import AGREE, Finding, PageResult
from django_button_orders.reconcile.rows import (
    CLOSED,
    FAILED,
    MENDED,
    NOT_ADDED,
    NOT_REPORTABLE,
    WAITING,
    Mismatch,
    as_finding,
    compare_rows,
    count,
    has_failed_as_invalid,
)
from django_button_orders.report.privacy import describe_for_list, is_time_limit

Kind = Difference.Kind
Status = ButtonOrder.Status

# The counts of rows whose order's adapter raises. The other rows are findings.
KNOWN = {
    Status.PENDING: WAITING,
    Status.FAILED: FAILED,
    Status.CLOSED: CLOSED,
    Status.DISMISSED: AGREE,
}


@dataclass(kw_only=True)
class ShopOrders:
    """
    The comparison of one model's orders with their rows.

    ``names`` are the fields by which pages are read, see ``Keyset``. ``account`` and
    ``order_ids`` select orders, which only the adapter can tell apart. An order without
    a row that ``may_add`` refuses is only counted.
    """

    adapter: OrderAdapter
    orders: QuerySet[Any]
    using: str
    names: tuple[str, ...] = ("pk",)
    account: str | None = None
    order_ids: Collection[str] = ()
    may_add: Callable[[Any], bool] = lambda order: True

    side = Difference.Side.SHOP

    @property
    def label_with_database(self) -> str:
        return f"{self.adapter.model._meta.label} of {self.using}"

    @property
    def keyset(self) -> Keyset:
        return Keyset(objects=self.orders, names=self.names)

    def compare(self, page: list[Any]) -> PageResult:
        result = PageResult(done=len(page))
        keys, broken = self.identify(page, result)
        placeholders = {
            placeholder_id(self.adapter.model, key.host_order.pk): key for key in keys
        }
        order_ids = {*(key.order_id for key in keys), *placeholders}
        # Rows are read after the orders, so that a row added with its order is found.
        rows = {
            (row.account, row.order_id): row
            for row in self.rows().filter(order_id__in=order_ids)
        }
        reattach(rows.values())
        self.compare_placeholders(placeholders, rows, result)
        own_rows, hosts = [], HostOrders()
        for key in keys:
            row = rows.get((key.account, key.order_id))
            if row is not None and self.is_own(row, key):
                own_rows.append(row)
                hosts.cache[row.source_type_id, row.source_id] = key.host_order
            elif not self.may_add(key.host_order):
                result.counts[NOT_ADDED] += 1
            elif row is None:
                self.compare_without_row(key, result)
            else:
                self.compare_with_row_of_other(key, row, result)
        compare_rows(own_rows, hosts, result, using=self.using)
        self.compare_broken(broken, result)
        return result

    def is_own(self, row: ButtonOrder, key: RowKey) -> bool:
        """Return whether a row with an order's ID does not belong to another order."""
        return row.is_direct or is_made_for(row, key.source(self.using))

    def rows(self) -> QuerySet[ButtonOrder]:
        return ButtonOrder.objects.using(self.using)

    def identify(
        self, page: list[Any], result: PageResult
    ) -> tuple[list[RowKey], list[tuple[RowKey, str]]]:
        """Return the row keys of the orders, and the keys whose adapter raised."""
        keys: list[RowKey] = []
        broken: list[tuple[RowKey, str]] = []
        for order in page:
            key = RowKey(self.adapter, order)
            try:
                with LazySavepoint(self.using):
                    has_id = key.resolve()
            except Exception as exc:
                if is_time_limit(exc):
                    raise
                error = describe_for_list(exc, key.hook_name)
                if self.is_selected(key):
                    broken.append((key, error))
                continue
            if not self.is_selected(key):
                continue
            if has_id:
                keys.append(key)
            else:
                result.counts[NOT_REPORTABLE] += 1
        return keys, broken

    def is_selected(self, key: RowKey) -> bool:
        if self.account is not None and key.account != self.account:
            return False
        return not self.order_ids or key.order_id in self.order_ids

    def compare_without_row(self, key: RowKey, result: PageResult) -> None:
        if self.needs_report(key):
            result.add(self.as_finding(key, Mismatch(kind=Kind.MISSING)))
        else:
            result.counts[NOT_REPORTABLE] += 1

    def compare_with_row_of_other(
        self, key: RowKey, row: ButtonOrder, result: PageResult
    ) -> None:
        """Compare an order whose ID has the row of another host order."""
        if not self.needs_report(key):
            result.counts[NOT_REPORTABLE] += 1
        elif is_owned_by_live_order(row):
            self.compare_with_placeholder(key, row, result)
        else:
            finding = self.as_finding(key, Mismatch(kind=Kind.MISSING))
            finding.row = row
            result.add(finding)

    def compare_with_placeholder(
        self, key: RowKey, row: ButtonOrder, result: PageResult
    ) -> None:
        """Compare an order whose ID belongs to another order that still exists."""
        key.use_placeholder()
        placeholder = self.rows().filter(account=key.account, order_id=key.order_id)
        status = placeholder.values_list("status", flat=True).first()
        if status is None:
            error = " ".join(IdTakenError(row).messages)
            mismatch = Mismatch(kind=Kind.INVALID, error=error)
            result.add(self.as_finding(key, mismatch))
        elif status == Status.DISMISSED:
            result.agree((key.account, key.order_id))
        else:
            # The conflict has a row already, and a person has to resolve it.
            result.counts[FAILED if status == Status.FAILED else WAITING] += 1

    def compare_placeholders(
        self,
        placeholders: dict[str, RowKey],
        rows: dict[tuple[str, str], ButtonOrder],
        result: PageResult,
    ) -> None:
        """
        Find the failed placeholders of orders that the adapter can tell again.

        An attempt dismisses such a placeholder. That of an order without a row is
        dismissed when the order has got its own row.
        """
        for (_, order_id), row in rows.items():
            key = placeholders.get(order_id)
            if (
                key is None
                or order_id == key.order_id
                or not has_failed_as_invalid(row)
            ):
                continue
            if not self.is_own(row, key):
                continue
            own = rows.get((key.account, key.order_id))
            if own is None and key.is_reportable:
                continue
            if own is None or self.is_own(own, key):
                result.add(as_finding(row, Mismatch(kind=Kind.CHANGED, error=MENDED)))

    def needs_report(self, key: RowKey) -> bool:
        return key.is_reportable and not self.is_cancelled(key)

    def is_cancelled(self, key: RowKey) -> bool:
        try:
            with LazySavepoint(self.using):
                return bool(self.adapter.is_cancelled(key.host_order))
        except Exception as exc:
            if is_time_limit(exc):
                raise
            # The worker will record this error on the order's row.
            return False

    def compare_broken(
        self, broken: list[tuple[RowKey, str]], result: PageResult
    ) -> None:
        """Compare orders whose adapter raised, by the rows of their host orders."""
        if not broken:
            return
        by_source = {self.source_id(key): key for key, _ in broken}
        source_type_id = broken[0][0].source(self.using)["source_type_id"]
        rows = {
            row.source_id: row
            # An order may also have a placeholder, and its own row counts.
            for row in sorted(
                self.rows().filter(
                    source_type_id=source_type_id, source_id__in=by_source
                ),
                key=lambda row: row.is_acknowledged,
            )
        }
        for key, error in broken:
            mismatch = Mismatch(kind=Kind.INVALID, error=error, hook=key.hook_name)
            row = rows.get(self.source_id(key))
            if row is None and not self.may_add(key.host_order):
                result.counts[NOT_ADDED] += 1
                continue
            if row is None:
                result.add(self.as_finding(key, mismatch))
                continue
            # Without the order's ID and account, nobody can tell what differs.
            known = KNOWN.get(row.status)
            if known is None:
                result.add(as_finding(row, mismatch))
            else:
                count(known, row, result)

    def source_id(self, key: RowKey) -> str:
        return str(key.host_order.pk)

    def as_finding(self, key: RowKey, mismatch: Mismatch) -> Finding:
        difference = Difference(
            side=self.side,
            kind=mismatch.kind,
            account=key.account,
            order_id=key.order_id,
            error=mismatch.error,
            **key.source(self.using),
        )
        return Finding(difference=difference, host_order=key.host_order)


@dataclass(kw_only=True)
class ReportedRows:
    """
    The comparison of reported rows that ``ShopOrders`` cannot find.

    These are rows whose host order is gone, and rows that the shop writes itself.
    """

    reported: QuerySet[ButtonOrder]
    using: str

    side = Difference.Side.SHOP

    @property
    def label_with_database(self) -> str:
        return f"Button orders of {self.using}"

    @property
    def keyset(self) -> Keyset:
        return Keyset(objects=self.reported.filter(status=Status.REPORTED))

    def compare(self, page: list[ButtonOrder]) -> PageResult:
        result = PageResult(done=len(page))
        suspects = [row for row in page if row.is_direct]
        for row in reattach(page):
            if row.get_source_model() is None:
                result.fail(row.order_id, MODEL_IS_GONE)
        for model, rows in by_model(page):
            try:
                adapter = get_adapter(model)
            except ImproperlyConfigured as exc:
                for row in rows:
                    result.fail(row.order_id, str(exc))
                continue
            existing = self.existing_keys(adapter, rows)
            suspects += [row for row in rows if row.source_id not in existing]
        compare_rows(suspects, HostOrders(), result, using=self.using)
        return result

    def existing_keys(self, adapter: OrderAdapter, rows: list[ButtonOrder]) -> set[str]:
        """Return the keys of the rows' host orders that exist."""
        orders = all_orders(adapter, using=self.using)
        try:
            existing = orders.filter(pk__in=[row.source_id for row in rows])
            return set(map(str, existing.values_list("pk", flat=True)))
        except (TypeError, ValueError, ValidationError):
            # One of the keys is not valid for the model, so each row is compared.
            return set()
