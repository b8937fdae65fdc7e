"""
Write Button's batch files, with a row for each line item.

Batch files are for orders that cannot be reported through the API. Their contents are
what a worker would report at the time of the export.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from django_button_orders.conf import get_settings, this_site
from django_button_orders.delivery.desired import (
    Desired,
    NoReport,
    as_invalid,
    call_hook,
    check_report,
    find_desired,
)
from django_button_orders.delivery.verdicts import Result
from django_button_orders.models import ButtonOrder, as_aware
from django_button_orders.models.keyset import Keyset
from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.outbox.adapters import HostOrders, find_adapter
from django_button_orders.report import columns
from django_button_orders.report.erasing import without_personal_data
from django_button_orders.report.money import to_decimal
from django_button_orders.report.objects import OrderReport, as_timestamp
from django_button_orders.report.privacy import describe_exception, without_quotes

PAGE = 500

Status = ButtonOrder.Status
Values = Mapping[str, Any]


@dataclass(kw_only=True)
class BatchFile:
    """
    The batch file of one account's orders that were bought or changed in a period.

    ``complain`` is called with the ID and the error of each order that should be in
    the file but cannot be. ``counts`` has the numbers of orders and rows.
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
        """Yield the rows of the file, for up to 500 orders at a time."""
        for orders in Keyset(self.candidates(using)).pages(PAGE):
            hosts = HostOrders(orders)
            found = [
                cells
                for row in orders
                for cells in self.build_rows_or_complain(row, hosts)
            ]
            self.counts["rows"] += len(found)
            yield found

    def candidates(self, using: str) -> ButtonOrderQuerySet:
        """Return the Button orders that may be in the file. Their reports decide."""
        rows = ButtonOrder.objects.using(using).filter(account=self.account)
        # An operator, or REPORT_WITHOUT_TOKEN, has decided not to report these.
        rows = rows.exclude(status=Status.DISMISSED)
        since, until = self.since, self.until
        if self.kind == "new":
            bought = Q(purchase_date__gte=since, purchase_date__lt=until)
            # An order that was bought in the period was marked since it began.
            not_built = Q(purchase_date__isnull=True, updated_at__gte=since)
            return rows.filter(bought | not_built, cancel_requested_at__isnull=True)
        # An attempt also sets updated_at, so an unreported order's date may be later
        # than its change.
        unsettled = Q(status__in=[Status.PENDING, Status.FAILED])
        changed = unsettled | Q(updated_at__lt=until)
        return rows.filter(changed, updated_at__gte=since, revision__gt=1)

    def build_rows_or_complain(
        self, row: ButtonOrder, hosts: HostOrders
    ) -> list[list[str]]:
        try:
            found = self.build_rows(row, hosts)
        except NoReport as exc:
            if exc.verdict.result is Result.DISMISSED:
                # The shop's order is gone, or not reportable any more.
                return []
            self.counts["failed"] += 1
            error = without_quotes(exc.verdict.error)
            self.complain(f"{row.order_id}: {error}")
            return []
        if found:
            self.counts["orders"] += 1
        return found

    def build_rows(self, row: ButtonOrder, hosts: HostOrders) -> list[list[str]]:
        if row.lease_token is None:
            # A claimed row counts its attempt as unanswered. The rules expect that, so
            # a row without a claim must count one, too.
            row.unanswered += 1
        desired = find_desired(row, hosts)
        report = desired.report or self.build_cancelled_report(row, hosts)
        if report is None or not self.includes(row, desired, report.purchase_date):
            return []
        refuse_foreign(row)
        is_cancelled = desired.report is None
        return self.as_rows(report, as_aware(row.updated_at), is_cancelled)

    def build_cancelled_report(
        self, row: ButtonOrder, hosts: HostOrders
    ) -> OrderReport | None:
        """Return the report of a cancelled order, whose line items the file lists."""
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
        call = partial(call_hook, adapter)
        order = call("get_queryset", lambda: hosts.find(adapter, row))
        if order is None:
            raise unknown_lines()
        report = call("build", lambda: adapter.build(order))
        report = check_report(report, adapter, row.order_id)
        return report if row.erased_at is None else without_personal_data(report)

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
        # An order that was bought in the period is in the file of new orders. It is
        # in this one, too, if Button knew it before the change.
        is_known = row.is_acknowledged and not row.has_settled(desired.digest)
        return purchase_date < self.since or is_known

    def as_rows(
        self, report: OrderReport, updated_at: datetime | None, is_cancelled: bool
    ) -> list[list[str]]:
        payload = report.as_payload()
        items = payload.get("line_items", [])
        if not any(name in columns.OF_LINE_ITEM for name in self.columns.values()):
            items = [{}]
        if not items:
            raise as_invalid(
                "The order has no line items, and the file has one row per line item."
            )
        if is_cancelled:
            # A cancelled order has no total, and no quantity of any item.
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


def refuse_foreign(row: ButtonOrder) -> None:
    """Raise ``NoReport`` if Button's order is not this row's: a file overwrites it."""
    if row.reason == ButtonOrder.Reason.TAKEN:
        raise as_invalid("Button has another order under this ID. See its page.")
    if row.is_of_other_site:
        here = this_site() or "not set"
        raise as_invalid(
            f"The site {row.site} reports this order, and SITE is {here} here."
        )


def unknown_lines() -> NoReport:
    return as_invalid("The order is cancelled, and its line items are not known.")


def as_text(value: Any) -> str:
    """
    Return a value as a cell, which a backfill can read again.

    Texts that a spreadsheet takes for formulas stay as they are: the file is read by
    a machine, for which an escaped ID would be another ID.
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
