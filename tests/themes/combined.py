"""An admin site whose classes are combined with those of Unfold."""

from __future__ import annotations

from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from django_button_orders.admin import (
    ButtonOrderAdmin,
    ButtonOrderAdminMixin,
    DifferenceAdmin,
    PausedAccountAdmin,
)
from django_button_orders.models import ButtonOrder, Difference, PausedAccount
from tests.shop.models import Order


class OrderAdmin(ButtonOrderAdminMixin, ModelAdmin):
    pass


class UnfoldButtonOrderAdmin(ButtonOrderAdmin, ModelAdmin):
    pass


class UnfoldPausedAccountAdmin(PausedAccountAdmin, ModelAdmin):
    pass


class UnfoldDifferenceAdmin(DifferenceAdmin, ModelAdmin):
    pass


site = UnfoldAdminSite(name="combined")
site.register(Order, OrderAdmin)
site.register(ButtonOrder, UnfoldButtonOrderAdmin)
site.register(PausedAccount, UnfoldPausedAccountAdmin)
site.register(Difference, UnfoldDifferenceAdmin)
