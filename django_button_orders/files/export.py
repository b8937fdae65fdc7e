"""
Button's batch files: what it should know, with one row for each line item.

For when the API cannot be used. What is in them comes from where a worker takes
it, at the time of the export.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from django_button_orders.conf import get_settings
from django_button_orders.delivery.desired import (
    AdapterHooks,
    Desired,
    NoReport,
    as_invalid,
    check_report,
    find_desired,
)
from django_button_orders.delivery.verdicts import Result
from django_button_orders.models import ButtonOrder, as_aware, as_stored
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.querysets import ButtonOrderQuerySet
from django_button_orders.outbox.adapters import find_adapter
from django_button_orders.outbox.host_orders import HostOrders
from django_button_orders.report import columns
from django_button_orders.report.money import to_decimal
from django_button_orders.report.objects import OrderReport
from django_button_orders.report.payload import as_timestamp
from django_button_orders.report.privacy import describe_exception

PAGE = 500

Status = ButtonOrder.Status
Values = Mapping[str, Any]


@dataclass(kw_only=True)
class BatchFile:
    """
    The orders of one account for a file, of those bought or changed in a time.

    ``complain`` is told which orders are not in it, although they should be, and
    why. ``counts`` has how many orders are in it, and how many are not.
    """

    account: str
    kind: str
    since: datetime
    until: datetime
    complain: Callable[[str], object]
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.settings = get_settings(self.account)
        chosen = {**columns.DEFAULT, **self.settings.batch_file_columns}
        self.columns = chosen[self.kind]

    @property
    def header(self) -> list[str]:
        return list(self.columns)

    def pages(self, using: str) -> Iterator[list[list[str]]]:
        """Yield the rows of the file, for some hundred orders at a time."""
        for orders in Keyset(self.candidates(using)).pages(PAGE):
            hosts = HostOrders(orders)
            found = [cells for row in orders for cells in self.try_order(row, hosts)]
            self.counts["rows"] += len(found)
            yield found

    def candidates(self, using: str) -> ButtonOrderQuerySet:
        """Return those that may belong into the file: their reports will tell."""
        rows = ButtonOrder.objects.using(using).filter(account=self.account)
        # A person, or the setting about tokens, has decided not to report them.
        rows = rows.exclude(status=Status.DISMISSED)
        since, until = as_stored(self.since), as_stored(self.until)
        if self.kind == "new":
            bought = Q(purchase_date__gte=since, purchase_date__lt=until)
            # Whatever was bought since then has been noted since then.
            not_built = Q(purchase_date__isnull=True, updated_at__gte=since)
            return rows.filter(bought | not_built, cancel_requested_at__isnull=True)
        # Attempts move this date on, too, until the change has arrived.
        unsettled = Q(status__in=[Status.PENDING, Status.FAILED])
        changed = unsettled | Q(updated_at__lt=until)
        return rows.filter(changed, updated_at__gte=since, revision__gt=1)

    def try_order(self, row: ButtonOrder, hosts: HostOrders) -> list[list[str]]:
        try:
            found = self.order(row, hosts)
        except NoReport as exc:
            if exc.verdict.result is Result.DISMISSED:
                # There is no order to report any more.
                return []
            self.counts["failed"] += 1
            self.complain(f"{row.order_id}: {exc.verdict.error}")
            return []
        if found:
            self.counts["orders"] += 1
        return found

    def order(self, row: ButtonOrder, hosts: HostOrders) -> list[list[str]]:
        if row.lease_token is None:
            # An attempt counts itself, and nothing else tells that this is none.
            row.unanswered += 1
        desired = find_desired(row, hosts)
        report = desired.report or self.cancelled_report(row, hosts)
        if report is None or not self.includes(row, desired, report.purchase_date):
            return []
        is_cancelled = desired.report is None
        return self.rows_of(report, as_aware(row.updated_at), is_cancelled)

    def cancelled_report(
        self, row: ButtonOrder, hosts: HostOrders
    ) -> OrderReport | None:
        """Return what a cancelled order was, as its line items have to be named."""
        if self.kind == "new":
            return None
        if row.total is not None:
            try:
                return row.as_report()
            except ValidationError as exc:
                raise as_invalid(
                    describe_exception(exc, "The order is not valid")
                ) from exc
        model = row.get_source_model()
        adapter = find_adapter(model) if model else None
        if adapter is None:
            raise unknown_lines()
        hook = AdapterHooks(adapter, row.order_id)
        order = hook.call("get_queryset", lambda: hosts.find(adapter, row))
        if order is None:
            raise unknown_lines()
        report = hook.call("build", lambda: adapter.build(order))
        return check_report(report, adapter, row.order_id)

    def includes(
        self, row: ButtonOrder, desired: Desired, purchase_date: datetime
    ) -> bool:
        if self.kind == "new":
            is_wanted = desired.report is not None and (
                bool(desired.report.btn_ref)
                or row.is_acknowledged
                or self.settings.report_without_token
            )
            return is_wanted and self.since <= purchase_date < self.until
        # One that was bought in this time is in the file of new orders, unless
        # Button knew it before it changed.
        is_known = row.is_acknowledged and desired.digest != row.reported_digest
        return purchase_date < self.since or is_known

    def rows_of(
        self, report: OrderReport, updated_at: datetime | None, is_cancelled: bool
    ) -> list[list[str]]:
        payload = report.as_payload()
        items = payload.get("line_items", [])
        if not any(name in columns.OF_LINE_ITEM for name in self.columns.values()):
            items = [{}]
        if not items:
            raise as_invalid(
                "It has no line items, of which the file has a row for each."
            )
        if is_cancelled:
            # All of its new state: nothing is left of it.
            payload["total"] = 0
            items = [{**item, "total": 0, "quantity": 0} for item in items]
        order = {
            **payload,
            "updated_date": as_timestamp(updated_at),
            "is_cancelled": is_cancelled,
            "total_as_decimal": self.settings.total_as_decimal,
        }
        return [
            [self.cell(name, order, item) for name in self.columns.values()]
            for item in items
        ]

    def cell(self, column: str, order: Values, item: Values) -> str:
        name, values = column, order
        if column in columns.OF_CUSTOMER:
            name, values = columns.OF_CUSTOMER[column], order.get("customer", {})
        elif column in columns.OF_LINE_ITEM:
            name, values = columns.OF_LINE_ITEM[column], item
        value = values.get(name)
        if name in ("total", "amount") and self.settings.total_as_decimal:
            return "" if value is None else str(to_decimal(value, order["currency"]))
        return as_text(value)


def unknown_lines() -> NoReport:
    return as_invalid("The order is cancelled, and its line items are not known.")


def as_text(value: Any) -> str:
    """
    Return a value as it stands in the file, and as a backfill reads it.

    Nothing is put before a text that a spreadsheet would take for a formula: the
    file is for a machine, to which that would be another id.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " > ".join(value)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
