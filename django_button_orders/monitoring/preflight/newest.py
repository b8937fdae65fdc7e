"""Yield the reports of a shop's newest orders, for invented orders of their shape."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django_button_orders.delivery.desired import check_report
from django_button_orders.monitoring.preflight.rehearsal import rolled_back
from django_button_orders.monitoring.preflight.run import LIMIT, Selection
from django_button_orders.outbox.identity import RowKey
from django_button_orders.outbox.savepoints import LazySavepoint
from django_button_orders.report.objects import OrderReport


def newest_reports(
    selections: Iterable[Selection], *, account: str, order_ids: Collection[str] = ()
) -> Iterator[OrderReport]:
    """
    Yield the reports of an account's orders, the newest of each model first.

    Without ``order_ids``, only the newest ``LIMIT`` orders of each model are read. What
    the adapters write to the database of their orders is rolled back.
    Orders without a valid report are left out: the checks say what is wrong with them.
    """
    missing = set(order_ids)
    for selection in selections:
        for orders in read_pages(selection, order_ids):
            if order_ids and not missing:
                return
            with rolled_back([selection.using]):
                reports = [
                    build(
                        RowKey(selection.adapter, order),
                        selection.using,
                        account,
                        order_ids,
                    )
                    for order in orders
                ]
            for report in filter(None, reports):
                missing.discard(str(report.order_id))
                yield report


def read_pages(selection: Selection, order_ids: Collection[str]) -> Iterator[list[Any]]:
    """Yield pages of selected orders, until the shop's queryset raises an error."""
    try:
        keys = selection.keys(order_ids)[: None if order_ids else LIMIT]
        for at in range(0, len(keys), LIMIT):
            yield selection.read(keys[at : at + LIMIT])
    except Exception:  # noqa: BLE001 - the shop's get_queryset is a hook
        return


def build(
    key: RowKey, using: str, account: str, order_ids: Collection[str]
) -> OrderReport | None:
    """Return the report of an order, or None if it is not wanted or not reported."""
    try:
        with LazySavepoint(using):
            key.resolve()
            if key.account != account or (order_ids and key.order_id not in order_ids):
                return None
            if not key.is_reportable or key.ask("is_cancelled"):
                return None
            return check_report(key.ask("build"), key.adapter, key.order_id)
    except Exception:  # noqa: BLE001 - an adapter may raise anything
        return None
