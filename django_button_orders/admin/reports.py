"""From the shop's order to its reports, or to the reason why there is none."""

from __future__ import annotations

from django.db.models import Model
from django.utils.translation import gettext as _

from django_button_orders.models import ButtonOrder, content_types
from django_button_orders.models.querysets import ButtonOrderQuerySet
from django_button_orders.outbox.adapters import find_adapter
from django_button_orders.outbox.identity import RowKey
from django_button_orders.outbox.savepoints import LazySavepoint
from django_button_orders.report.privacy import describe_exception

# An order has one, unless its account or its id has changed.
MAX_REPORTS = 20


def find_reports(host_order: Model, *, using: str) -> tuple[list[ButtonOrder], str]:
    """Return the rows about an order, the latest first, or why there is none."""
    rows = ButtonOrder.objects.using(using).order_by("-pk")
    found = list(rows_about(host_order, rows)[:MAX_REPORTS])
    return (found, "") if found else find_by_identity(host_order, rows)


def rows_about(host_order: Model, rows: ButtonOrderQuerySet) -> ButtonOrderQuerySet:
    adapter = find_adapter(type(host_order))
    model = type(host_order) if adapter is None else adapter.model
    kind = content_types(rows.db).get_for_model(model)
    return rows.filter(source_type=kind.pk, source_id=str(host_order.pk))


def find_by_identity(
    host_order: Model, rows: ButtonOrderQuerySet
) -> tuple[list[ButtonOrder], str]:
    """
    Return the row that the next save would change, or why there is none.

    The shop may have made it by itself, before it had an adapter.
    """
    adapter = find_adapter(type(host_order))
    if adapter is None:
        return [], _(
            "Orders of this kind are not reported to Button: no adapter is "
            "registered for %(model)s."
        ) % {"model": host_order._meta.label}
    identity = RowKey(adapter, host_order)
    try:
        with LazySavepoint(rows.db):
            identity.find()
    except Exception as exc:  # noqa: BLE001 - an adapter must not break this page
        return [], _("It cannot be reported: %(error)s") % {
            "error": describe_exception(exc, identity.asking)
        }
    found = rows.filter(account=identity.account, order_id=identity.order_id)
    return list(found), why_there_is_none(identity)


def why_there_is_none(identity: RowKey) -> str:
    if identity.is_reportable:
        return _(
            "Button does not know this order: it was saved before orders were "
            "reported, or in a way that sends no signal. Save it, or run "
            "button_orders_backfill."
        )
    return _(
        "This order is not reported: %(adapter)s says that it is not reportable, or "
        "not yet. Once it is, saving it reports it."
    ) % {"adapter": identity.adapter.name}
