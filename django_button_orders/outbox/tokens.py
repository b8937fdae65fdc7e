"""Keep the attribution token of an order whose model has no field for it."""

from __future__ import annotations

from typing import Any

from django.db import Error, router
from django.db.models import Model

from django_button_orders.models import AttributionToken, content_type_of
from django_button_orders.models.clock import DatabaseNow
from django_button_orders.outbox.adapters import (
    OrderAdapter,
    find_kept_token,
    get_adapter,
)
from django_button_orders.outbox.marking import (
    mark_changed,
    must_reach_shop,
    require_saved,
)
from django_button_orders.outbox.savepoints import savepoint
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_for_log
from django_button_orders.report.validation import is_btn_ref

logger = get_logger(__name__)


def set_btn_ref(host_order: Model, btn_ref: str, *, using: str | None = None) -> None:
    """
    Keep the attribution token of an order, for a model without a field for it.

    Call it in the transaction that places the order, as in
    ``set_btn_ref(order, get_btn_ref(request))``: Button ties a token to an order only
    at the first report. ``OrderAdapter.get_btn_ref`` returns the token to ``build``. A
    later token replaces the earlier one, and an empty one changes nothing.

    The token stays when your shop deletes the order. A new order with the same primary
    key and no token of its own gets it. If your shop uses a primary key again, call
    ``erase(order_ids=[...])`` when you delete the order.

    Raises ``ImproperlyConfigured`` if the order's model is not registered, and
    ``ValueError`` if the order was never saved. What cannot be a token, and what the
    database refuses, is only logged: the order is placed without a token.
    """
    adapter = get_adapter(type(host_order))
    require_saved(host_order, "set_btn_ref()")
    if not btn_ref:
        return
    if not is_btn_ref(btn_ref):
        logger.warning("%s: what cannot be a token was not kept.", adapter.name)
        return
    alias = using or router.db_for_write(type(host_order), instance=host_order)
    try:
        with savepoint(alias):
            is_news = keep_token(adapter, host_order, btn_ref, using=alias)
    except Error as exc:
        if must_reach_shop(exc, alias):
            raise
        logger.error(
            "%s: a token was not kept: %s", adapter.name, describe_for_log(exc)
        )
        return
    if is_news:
        mark_changed(host_order, using=alias)


def keep_token(
    adapter: OrderAdapter, host_order: Any, btn_ref: str, *, using: str
) -> bool:
    """Store an order's token. Return whether it is another one than before."""
    known = find_kept_token(adapter, host_order, using=using)
    if known is not None and known.btn_ref == btn_ref:
        return False
    AttributionToken.objects.using(using).update_or_create(
        source_type_id=content_type_of(adapter.model, using).pk,
        source_id=str(host_order.pk),
        defaults={"btn_ref": btn_ref, "kept_at": DatabaseNow()},
    )
    return True
