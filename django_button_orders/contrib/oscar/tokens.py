"""
Keep the visitor's attribution token for the order that a checkout of Oscar places.

Oscar's order has no field for it. ``keep_on_creation`` stores it beside the order, and
``BtnRefOrderCreatorMixin`` in a field of a forked order. Nothing here raises into the
checkout: an order without its token is better than no order.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.http import HttpRequest

from django_button_orders.middleware import current_request, get_btn_ref
from django_button_orders.outbox.adapters import find_adapter
from django_button_orders.outbox.marking import must_reach_shop
from django_button_orders.outbox.tokens import set_btn_ref
from django_button_orders.printable import get_logger
from django_button_orders.report.privacy import describe_for_log

logger = get_logger(__name__)

FIELD = "btn_ref"


def keep_on_creation(
    sender: type[Model],
    *,
    instance: Any,
    created: bool,
    raw: bool,
    using: str,
    **kwargs: Any,
) -> None:
    """
    Keep the visitor's token for an order that was just created. Receives ``post_save``.

    An order that has its token in a field is left as it is.
    """
    has_token = bool(getattr(instance, FIELD, ""))
    if not created or raw or has_token or find_adapter(sender) is None:
        return
    # Read from the cache, so that an order with another basket costs no query.
    basket = instance._state.fields_cache.get("basket")
    btn_ref = find_btn_ref(basket, user_id=instance.user_id, using=using)
    if btn_ref:
        set_btn_ref(instance, btn_ref, using=using)


def has_field(model: type[Model]) -> bool:
    """Return whether an order model has a field for the token."""
    try:
        model._meta.get_field(FIELD)
    except FieldDoesNotExist:
        return False
    return True


def find_btn_ref(
    basket: Any,
    *,
    user_id: Any,
    using: str,
    request: HttpRequest | None = None,
) -> str:
    """
    Return the token of the visitor who places an order, or "".

    ``user_id`` is the order's customer. The session of a staff user who places an order
    for somebody else says nothing about that customer.
    """
    try:
        request = request or request_of(basket) or current_request()
        if request is None or is_placed_for_another(request, user_id):
            return ""
        return get_btn_ref(request)
    except Exception as exc:
        if must_reach_shop(exc, using):
            raise
        logger.error("The token of a new order was not read: %s", describe_for_log(exc))
        return ""


def request_of(basket: Any) -> HttpRequest | None:
    """Return the request for which Oscar calculates a basket's prices, or None."""
    if basket is None or not basket.has_strategy:
        return None
    # A shop's own Selector may create its strategy without a request.
    request: HttpRequest | None = getattr(basket.strategy, "request", None)
    return request


def is_placed_for_another(request: HttpRequest, user_id: Any) -> bool:
    """Return whether a staff user places an order that is not his own."""
    user: Any = getattr(request, "user", None)
    return bool(getattr(user, "is_staff", False)) and user.pk != user_id
