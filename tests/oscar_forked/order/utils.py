from __future__ import annotations

from oscar.apps.order import utils

from django_button_orders.contrib.oscar.mixins import BtnRefOrderCreatorMixin


class OrderCreator(BtnRefOrderCreatorMixin, utils.OrderCreator):
    pass
