"""Build the reports of a shop's newest orders as a worker does, and check them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, router

from django_button_orders.conf import get_settings
from django_button_orders.delivery.desired import NoReport, check_report
from django_button_orders.models import ButtonOrder
from django_button_orders.monitoring.preflight.amounts import (
    Amounts,
    HookError,
    ask_amounts,
    check_amounts,
)
from django_button_orders.monitoring.preflight.findings import Findings, Preflight
from django_button_orders.monitoring.preflight.rehearsal import rolled_back
from django_button_orders.monitoring.preflight.repeats import AllRepeats
from django_button_orders.monitoring.preflight.texts import Mistake, check_texts
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    has_usable_key,
    registered,
    select_orders,
)
from django_button_orders.outbox.identity import RowKey, placeholder_id
from django_button_orders.outbox.savepoints import LazySavepoint, savepoint
from django_button_orders.report.objects import OrderReport
from django_button_orders.report.privacy import describe_for_author, describe_for_list
from django_button_orders.report.validation import make_storable

# The orders of each model, if nothing else is said.
LIMIT = 100
PAGE = 200
# What a report may have, by the name of its share.
SHARES: dict[str, Callable[[Any], object]] = {
    "token": lambda report: report.btn_ref,
    "lines": lambda report: report.line_items,
    "customer": lambda report: report.customer and report.customer.as_dict(),
    "is_new": lambda report: report.customer and report.customer.is_new is not None,
    "customer_order_id": lambda report: report.customer_order_id,
}
# The share of the reports whose total was compared with that of the shop.
GROSS_TOTAL = "gross_total"


@dataclass(kw_only=True)
class Selection:
    """
    The newest orders of one registered model, at most ``limit`` of them.

    ``since`` and ``until`` need the adapter's ``date_field``. Orders without a date are
    left out, because most are drafts.
    """

    adapter: OrderAdapter
    using: str
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = LIMIT

    def keys(self, wanted: Collection[str] = ()) -> list[Any]:
        """
        Return the primary keys of the orders, the newest first.

        Before them come those that Button orders with the ``wanted`` IDs have, and
        those that equal a wanted ID, so that few orders have to be read.
        """
        name = self.adapter.date_field
        orders = self.orders().order_by(*([f"-{name}"] if name else []), "-pk")
        if name and self.adapter.model._meta.get_field(name).null:
            orders = orders.filter(**{f"{name}__isnull": False})
        with savepoint(self.using):
            keys = list(orders.values_list("pk", flat=True)[: self.limit])
        if not wanted:
            return keys
        first = {*wanted, *self.find_known(wanted)}
        return sorted(keys, key=lambda key: str(key) not in first)

    def find_known(self, order_ids: Collection[str]) -> list[str | None]:
        """Return the primary keys of orders that have Button orders, as texts."""
        rows = ButtonOrder.objects.using(self.using).filter(order_id__in=order_ids)
        try:
            with savepoint(self.using):
                return list(rows.values_list("source_id", flat=True))
        except DatabaseError:
            # A database without our tables has no Button orders.
            return []

    def read(self, keys: list[Any]) -> list[Any]:
        """Return the orders with these keys, in their order. Some may be gone."""
        with savepoint(self.using):
            found = {order.pk: order for order in self.orders().filter(pk__in=keys)}
        return [found[key] for key in keys if key in found]

    def orders(self) -> Any:
        return select_orders(
            self.adapter, using=self.using, since=self.since, until=self.until
        )


def newest_orders(limit: int = LIMIT) -> list[Selection]:
    """Return the newest orders of each registered model."""
    return [
        Selection(
            adapter=adapter, using=router.db_for_write(adapter.model), limit=limit
        )
        for adapter in registered()
        if has_usable_key(adapter.model)
    ]


def run_preflight(
    selections: Iterable[Selection],
    *,
    order_ids: Collection[str] = (),
    advance: Callable[[], object] = lambda: None,
) -> Preflight:
    """
    Build and check the reports of the selected orders. Send and write nothing.

    With ``order_ids``, only the orders with these IDs are checked. Each adapter is
    asked for the IDs of its orders, the newest first, until all are found. ``advance``
    is called after each order. Errors of adapters become findings, and what adapters
    write to the databases of the selections is rolled back.
    """
    selections = list(selections)
    databases = {selection.using for selection in selections}
    run = Run(order_ids, advance)
    for selection in selections:
        for page in run.read_keys(selection):
            # One transaction for each page: none is open for long.
            with rolled_back(databases):
                run.check_page(selection, page)
    return run.result()


def changed_fields(report: OrderReport, other: OrderReport) -> str:
    """Return the names of the fields in which two reports differ."""
    ours, theirs = report.as_fields(), other.as_fields()
    return ", ".join(name for name in ours if ours[name] != theirs[name])


class Run:
    """The counts and findings of a preflight so far."""

    def __init__(
        self, order_ids: Collection[str], advance: Callable[[], object]
    ) -> None:
        self.advance = advance
        self.wanted = frozenset(order_ids)
        self.missing = set(order_ids)
        self.now = datetime.now(timezone.utc)
        self.counts: Counter[str] = Counter()
        self.shares: Counter[str] = Counter()
        self.findings = Findings()
        self.repeats = AllRepeats()

    def result(self) -> Preflight:
        reports = self.counts["reports"]
        self.repeats.report(self.findings)
        if reports and not self.shares["token"]:
            self.findings.add("no_token", count=reports)
        if self.counts.total() and not reports and not self.counts["not_built"]:
            self.findings.add("nothing_built", count=self.counts.total())
        return Preflight(
            orders=self.counts.total(),
            reports=reports,
            not_built=self.counts["not_built"],
            not_reportable=self.counts["not_reportable"],
            cancelled=self.counts["cancelled"],
            findings=list(self.findings.sorted()),
            shares={name: self.shares[name] for name in (*SHARES, GROSS_TOTAL)},
            unknown_ids=sorted(map(make_storable, self.missing)),
        )

    def is_done(self) -> bool:
        """Return whether all wanted orders are found."""
        return bool(self.wanted) and not self.missing

    def read_keys(self, selection: Selection) -> Iterator[list[Any]]:
        """Yield pages of the keys of a selection until the wanted orders are found."""
        if self.is_done():
            return
        with rolled_back([selection.using]):
            try:
                keys = selection.keys(self.wanted)
            except Exception as exc:  # noqa: BLE001 - the shop's get_queryset is a hook
                self.reject_queryset(selection, [], exc)
                return
        for at in range(0, len(keys), PAGE):
            if self.is_done():
                return
            yield keys[at : at + PAGE]

    def check_page(self, selection: Selection, keys: list[Any]) -> None:
        """Check the orders with these keys."""
        try:
            orders = selection.read(keys)
        except Exception as exc:  # noqa: BLE001 - and it may name wrong relations
            self.reject_queryset(selection, keys, exc)
            return
        for order in orders:
            if self.is_done():
                return
            self.check_order(RowKey(selection.adapter, order), selection.using)
            self.advance()

    def reject_queryset(
        self, selection: Selection, keys: list[Any], exc: Exception
    ) -> None:
        """Count the orders that cannot be read."""
        adapter = selection.adapter
        error = describe_for_list(exc, f"{adapter.name}.get_queryset")
        ids = [placeholder_id(adapter.model, key) for key in keys]
        self.counts["not_built"] += len(keys)
        self.findings.add("not_built", *ids, detail=error, count=len(keys))

    def check_order(self, key: RowKey, using: str) -> None:
        """Build the report of an order, and check it, or count why there is none."""
        try:
            with LazySavepoint(using):
                has_id = key.resolve()
                report = self.build(key) if has_id and self.is_wanted(key) else None
        except Exception as exc:  # noqa: BLE001 - an adapter may raise anything
            report = None
            if self.is_wanted(key):
                self.reject(key, exc)
        else:
            if not has_id and not self.wanted:
                self.counts["not_reportable"] += 1
        self.missing.discard(key.order_id)
        if report is not None:
            self.check_report(key, report, using)

    def is_wanted(self, key: RowKey) -> bool:
        return not self.wanted or key.order_id in self.wanted

    def build(self, key: RowKey) -> OrderReport | None:
        """
        Return the report of an order that has an ID, or count why it gets none.

        It is built twice: the report of an unchanged order must stay the same.
        """
        if not key.is_reportable:
            self.counts["not_reportable"] += 1
            return None
        self.repeats.add_order(key.account, key.order_id)
        if key.ask("is_cancelled"):
            self.counts["cancelled"] += 1
            return None
        report, again = (
            check_report(key.ask("build"), key.adapter, key.order_id) for _ in range(2)
        )
        if changed := changed_fields(report, again):
            self.findings.add("changing_report", key.order_id, detail=changed)
        return report

    def reject(self, key: RowKey, exc: Exception) -> None:
        """Count an order whose adapter raises, or returns something else."""
        self.counts["not_built"] += 1
        code, error = "not_built", describe_for_author(exc, key.hook_name)
        if isinstance(exc, NoReport):
            error = exc.summary
        elif "currency" in getattr(exc, "error_dict", ()):
            code = "unknown_currency"
        self.findings.add(code, key.order_id, detail=error)

    def check_report(self, key: RowKey, report: OrderReport, using: str) -> None:
        self.counts["reports"] += 1
        self.repeats.add_report(report)
        for name, is_there in SHARES.items():
            self.shares[name] += bool(is_there(report))
        for code, detail in self.find_mistakes(key, report, using):
            self.findings.add(code, key.order_id, detail=detail)

    def find_mistakes(
        self, key: RowKey, report: OrderReport, using: str
    ) -> Iterator[Mistake]:
        yield from check_texts(report, key.host_order, now=self.now)
        try:
            get_settings(key.account)
        except ImproperlyConfigured as exc:
            yield "unknown_account", str(exc)
        amounts = Amounts()
        try:
            with LazySavepoint(using):
                amounts = ask_amounts(key.adapter, key.host_order)
        except HookError as exc:
            yield "hook_failed", str(exc)
        self.shares[GROSS_TOTAL] += amounts.gross_total is not None
        yield from check_amounts(report, amounts)
