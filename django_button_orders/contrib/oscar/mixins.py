"""
Mixins for a forked order app of Oscar, whose order has a field for the token.

They need each other: one adds the field, the other fills it.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models, router
from django.utils.translation import gettext_lazy as _

from django_button_orders.contrib.oscar.tokens import FIELD, find_btn_ref, has_field


class BtnRefOrderMixin(models.Model):
    """
    Add the field ``btn_ref`` to a forked order model, for the attribution token.

    Name it after Oscar's ``AbstractOrder``, whose ``Meta`` the order then keeps.
    """

    btn_ref = models.CharField(
        _("attribution token"),
        max_length=255,
        blank=True,
        default="",
        editable=False,
        help_text=_(
            "The btn_ref of the Button link that the customer followed; empty"
            " without one."
        ),
    )

    class Meta:
        abstract = True


class BtnRefOrderCreatorMixin:
    """
    Store the visitor's token in the field ``btn_ref`` of the order that is placed.

    Name it before Oscar's ``OrderCreator`` in your forked ``order.utils``. The token is
    written with the order, in one statement. A ``btn_ref`` that the caller of
    ``place_order`` passes comes first.
    """

    def create_order_model(  # noqa: PLR0913 - the parameters are Oscar's
        self,
        user: Any,
        basket: Any,
        shipping_address: Any,
        shipping_method: Any,
        shipping_charge: Any,
        billing_address: Any,
        total: Any,
        order_number: Any,
        status: Any,
        request: Any = None,
        surcharges: Any = None,
        **extra_order_fields: Any,
    ) -> Any:
        """Create the order with the visitor's token, in Oscar's transaction."""
        order_model = apps.get_app_config("order").get_model("Order")
        if has_field(order_model) and FIELD not in extra_order_fields:
            extra_order_fields[FIELD] = find_btn_ref(
                basket,
                user_id=getattr(user, "pk", None),
                using=router.db_for_write(order_model),
                request=request,
            )
        # The class after this one is Oscar's.
        return super().create_order_model(  # type: ignore[misc]
            user,
            basket,
            shipping_address,
            shipping_method,
            shipping_charge,
            billing_address,
            total,
            order_number,
            status,
            request,
            surcharges,
            **extra_order_fields,
        )
